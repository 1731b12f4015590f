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
    """A request got no final response: timeout (RFC 3261 §17.1.1.2 timer B, §17.1.2.2 timer F) or no way to send."""

    retryable = True
