"""What goes wrong with WeCom. `retryable` says whether the same request may succeed later."""


class WeComError(Exception):
    """Base of this package's errors."""

    retryable = False


class ForgeryError(WeComError):
    """A callback that WeCom did not make, or that somebody changed. `reason` is a short code for the counter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ApiError(WeComError):
    """WeCom answered with an error code (D/90313)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}".strip())
        self.code = code


class NotSentError(WeComError):
    """The request never reached WeCom, or was turned away before anything was done."""

    retryable = True

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class NoAnswerError(WeComError):
    """The request left, and no answer that can be read came back: it may have had its effect."""

    retryable = True
