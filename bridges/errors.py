"""What goes wrong between control and worker; both ends translate it at their edge."""

from commhub.domain.errors import UnavailableError


class BridgesError(Exception):
    """Base of this package's own errors."""

    retryable = False


class ProtocolError(BridgesError):
    """The other side said something the worker protocol does not have."""


class RefusedError(BridgesError):
    """The other side refuses to talk: another protocol version, a wrong secret. Trying again helps only after
    one of the two was changed, so it is tried slowly."""

    retryable = True


class WorkerLostError(UnavailableError):
    """The worker is not there, or went before it answered: the order may have been carried out or not. Orders
    that do no harm twice may be given again."""
