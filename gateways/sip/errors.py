"""What can go wrong at the SIP edge. None of these reaches the event loop: each becomes a status or a count."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateways.sip.message import Request


class SipError(Exception):
    """Base of this package. `retryable` says whether the same thing may work a moment later."""

    retryable = False


class MalformedError(SipError):
    """A message that is no SIP, or whose verdict is a refusal.

    `status` is what RFC 3261 answers to it; `request` carries what could be read, None when nothing can be
    answered and the message is dropped.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status
        self.request: Request | None = None


class SdpError(SipError):
    """A session description that cannot be read (`status` 400), or that has nothing we can speak (488)."""

    def __init__(self, reason: str, status: int = 488) -> None:
        super().__init__(reason)
        self.status = status


class TransactionError(SipError):
    """A request got no final response. `status` is the one that would have said so (RFC 3261 §8.1.3.1): 408 for
    silence (timers B and F), 503 for a connection that broke or could not be opened."""

    retryable = True

    def __init__(self, reason: str, status: int = 408) -> None:
        super().__init__(reason)
        self.status = status
