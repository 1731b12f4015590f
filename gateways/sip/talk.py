"""What an established leg has agreed on, and the two messages every stage of it may have to send."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from commhub.domain.call import Cause
from commhub.kit.values import quick
from commhub.ports.media import RtpAddress
from commhub.ports.store import Also
from gateways.sip import sdp
from gateways.sip.dialogs import Dialog
from gateways.sip.errors import SipError
from gateways.sip.ledger import Chapter, Page, StoredInvite
from gateways.sip.legs import Leg
from gateways.sip.message import Response
from gateways.sip.sessions import Session, answer_headers
from gateways.sip.transactions import ClientTransaction, ServerTransaction

log = structlog.get_logger(__name__)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What is agreed; the descriptions may hold keys of SRTP, so no repr shows them. `invite` is the caller's
    INVITE as long as its 200 has no ACK."""

    dialog: Dialog
    address: RtpAddress
    local: sdp.Local
    local_sdp: bytes = field(repr=False)
    remote_sdp: bytes = field(repr=False)
    held: bool = False
    invite: StoredInvite | None = None
    session: Session | None = None

    def page(self, leg: Leg, chapter: Chapter) -> Page:
        return Page(
            leg_id=leg.id,
            call_id=leg.call_id,
            chapter=chapter,
            dialog=self.dialog,
            invites=(self.invite,) if self.invite else (),
            address=self.address,
            local=self.local,
            local_sdp=self.local_sdp,
            remote_sdp=self.remote_sdp,
            held=self.held,
            session=self.session,
        )


class Conversation(Protocol):
    """An established leg, as its parts see it."""

    @property
    def leg(self) -> Leg: ...

    @property
    def talk(self) -> Talk:
        """What is agreed now."""
        ...

    async def ask(
        self, method: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> ClientTransaction:
        """Send a request inside the dialog; its outcome comes to the inbox. Raises TransactionError."""
        ...

    async def hang_up(self, cause: Cause, detail: str | None) -> None: ...


async def say_bye(leg: Leg, dialog: Dialog) -> bool:
    """Send the BYE of a leg; its outcome comes to the inbox. False when it could not be sent."""
    _, bye = dialog.request("BYE")
    try:
        await leg.send(bye, dialog.hop)
    except (SipError, ValueError) as error:
        log.warning("sip_bye_not_sent", leg_id=leg.id, error=str(error))
        return False
    return True


async def tell_state(leg: Leg, agreement: sdp.Agreement, *, also: Also | None = None) -> bool:
    """Tell the core what the descriptions make of a leg: it talks, or is held. `also` is written with the first; False
    when that could not be committed."""
    calls, codec = leg.core.calls, agreement.remote.audio.encoding
    done = await leg.core.tell(
        "leg_connected", lambda: calls.leg_connected(leg.id, codec, also=also)
    )
    if agreement.held:
        await leg.core.tell("leg_held", lambda: calls.leg_held(leg.id))
    return done


def answer_200(
    leg: Leg, transaction: ServerTransaction, body: bytes, session: Session | None = None
) -> Response:
    """The 200 to an INVITE or UPDATE with our description and timer; Record-Route is what makes the dialog's route
    (§12.1.1)."""
    routes = transaction.request.headers.getlist("Record-Route")
    headers = [
        *(("Record-Route", route) for route in routes),
        *leg.core.call_headers(transaction.request, transaction.source),
        *(answer_headers(transaction.request, session) if session else []),
        *([("Content-Type", "application/sdp")] if body else []),
    ]
    return transaction.request.response(200, to_tag=transaction.to_tag, headers=headers, body=body)
