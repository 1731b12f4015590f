"""What the core says when it refuses: a stable code for programs, a sentence for people."""


class DomainError(Exception):
    """A request the core understood and refuses. `code` is stable, `str(error)` is for people."""

    code = "refused"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details


class NotFoundError(DomainError):
    """The thing named does not exist, or the caller may not know that it does."""

    code = "not-found"


class IllegalMoveError(DomainError):
    """The action is not legal in the present stage."""

    code = "illegal-move"


class RequirementError(DomainError):
    """The action is legal here, but something it requires is missing."""

    code = "requirement-missing"


class NotAllowedError(DomainError):
    """The caller's role does not include this."""

    code = "not-allowed"


class ConflictError(DomainError):
    """The request contradicts what is already there (a name taken, a key used for another body)."""

    code = "conflict"


class InvalidError(DomainError):
    """A value no rule of the model admits."""

    code = "invalid"


class UnavailableError(DomainError):
    """A part the request needs is down just now; the same request may succeed later."""

    code = "unavailable"
