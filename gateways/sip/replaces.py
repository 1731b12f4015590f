"""The Replaces header (RFC 3891): which dialog an INVITE wants to take the place of."""

from dataclasses import dataclass

from gateways.sip.core import Routes
from gateways.sip.dialogs import DialogKey
from gateways.sip.errors import MalformedError
from gateways.sip.grammar import read_parameters, split_outside
from gateways.sip.legs import Leg
from gateways.sip.message import Request


@dataclass(frozen=True, slots=True)
class Replaces:
    """Tags as the one who reads it has them: `to_tag` is its own."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @property
    def key(self) -> DialogKey:
        return (self.call_id, self.to_tag, self.from_tag)

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"

    @classmethod
    def read(cls, text: str) -> "Replaces":
        """Raises MalformedError: both tags are needed (§6.1)."""
        try:
            call_id, *pieces = split_outside(text, ";")
            parameters = read_parameters(pieces)
        except ValueError as error:
            raise MalformedError(f"Replaces: {error}") from error
        to_tag, from_tag = parameters.get("to-tag"), parameters.get("from-tag")
        if not call_id or any(c.isspace() for c in call_id) or not to_tag or not from_tag:
            raise MalformedError("Replaces names a Call-ID and two tags")
        return cls(call_id, to_tag, from_tag, "early-only" in parameters)


def find_replaced(routes: Routes[Leg], request: Request) -> Leg | None:
    """The leg whose place an INVITE is to take, None when it is an ordinary one. The tags are what its sender must know,
    beside its own password (§5). Raises MalformedError with the status of §3: 400 for what cannot be read, 481 where no
    such dialog is (an early one must be of our making), 486 for an established one that was to be early, 603 for one
    that has ended."""
    values = request.headers.getlist("Replaces")
    if not values:
        return None
    if len(values) > 1:
        raise MalformedError("Replaces more than once")
    wish = Replaces.read(values[0])
    leg = routes.get(wish.key)
    if leg is None:
        raise MalformedError("no such dialog", 481)
    if leg.is_leaving:
        raise MalformedError("that dialog has ended", 603)
    if leg.is_confirmed and wish.early_only:
        raise MalformedError("that dialog is established", 486)
    if not leg.is_confirmed and not leg.is_early:
        raise MalformedError("an early dialog that is the caller's own", 481)
    return leg
