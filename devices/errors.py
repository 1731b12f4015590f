"""What devices/ raises. Wire faults never leave the package: they are counted and logged where they arrive."""


class DevicesError(Exception):
    """Base of the package. `retryable`: the same attempt may succeed later."""

    retryable = False


class BrokerError(DevicesError):
    """The embedded broker could not be set up or started."""


class WireError(DevicesError):
    """Something arrived that the protocol does not know. `reason` is a short code for counters and logs."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
