"""The ACK of a 2xx to an INVITE of ours: no transaction repeats it, so the leg does (RFC 3261 §13.2.2.4)."""

import structlog

from gateways.sip.dialogs import Dialog
from gateways.sip.errors import TransactionError
from gateways.sip.legs import Leg
from gateways.sip.message import Response
from gateways.sip.transport import Hop

log = structlog.get_logger(__name__)


class Acknowledging:
    """The ACK of one established leg as it was last sent."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._sent: tuple[bytes, Hop] | None = None

    async def send(self, dialog: Dialog) -> None:
        """Acknowledge their 2xx. Raises TransactionError."""
        self._sent = await self._leg.core.acknowledge(dialog, shown=self._leg.shown)

    async def again(self, dialog: Dialog, response: Response) -> None:
        """Their 2xx came again: our ACK was lost, or sent by a former process."""
        ours = response.recipient.tag == dialog.remote_tag
        if not 200 <= response.status < 300 or not ours or response.cseq.method != "INVITE":
            return
        if self._sent is not None:
            self._leg.core.layer.send(*self._sent)
            return
        try:
            await self.send(dialog)
        except TransactionError as error:
            log.warning("sip_ack_failed", leg_id=self._leg.id, error=str(error))
