"""What goes wrong with Twilio. `retryable` says whether the same request may succeed later."""


class TwilioError(Exception):
    """Base of this package's errors."""

    retryable = False


class ForgeryError(TwilioError):
    """A request that Twilio did not make, or that was made once already. `reason` is a short code for the counter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProtocolError(TwilioError):
    """A message on a media stream that breaks its protocol."""


class ApiError(TwilioError):
    """Twilio said no. `status` is HTTP's, `code` is Twilio's own (0: it named none)."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(f"{code or status} {text}".strip())
        self.status = status
        self.code = code
        self.retryable = status == 429 or status >= 500


class NoAnswerError(TwilioError):
    """No readable answer came. The request may have had its effect unless `sent` is False."""

    retryable = True

    def __init__(self, reason: str, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.sent = sent


class UnreadablePageError(TwilioError):
    """A stored leg that this version does not understand."""
