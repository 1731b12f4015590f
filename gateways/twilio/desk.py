"""What all telephone legs share: configuration, ports, and how the core is told."""

from collections.abc import Awaitable, Callable

import structlog

from commhub.domain.call import Cause
from commhub.kit.clock import Clock
from commhub.kit.insist import insist
from commhub.ports.inward import CallsIn
from commhub.ports.media import MediaEngine
from commhub.ports.store import Store
from gateways.twilio import metrics
from gateways.twilio.api import TwilioApi
from gateways.twilio.config import TwilioConfig
from gateways.twilio.ledger import Ledger
from gateways.twilio.tickets import TicketOffice

log = structlog.get_logger(__name__)


class Desk:
    """One per gateway."""

    def __init__(
        self,
        config: TwilioConfig,
        store: Store,
        media: MediaEngine,
        calls: CallsIn,
        clock: Clock,
        api: TwilioApi,
    ) -> None:
        self.config = config
        self.media = media
        self.calls = calls
        self.clock = clock
        self.ledger = Ledger(store)
        self.api = api
        self.tickets = TicketOffice(config.auth_token)

    async def tell(self, report: str, say: Callable[[], Awaitable[None]]) -> None:
        """Report to the core, again when it cannot commit just now."""

        def failed(error: Exception) -> None:
            metrics.CORE_FAILURES.labels(report).inc()
            log.error("twilio_report_failed", report=report, exc_info=error)

        await insist(say, failed)

    async def release(self, leg_id: str) -> None:
        """Let the media engine forget the leg; a worker that is away has forgotten it anyway."""
        try:
            await self.media.release(leg_id)
        except Exception:
            log.exception("media_release_failed", leg_id=leg_id)

    async def tell_ended(self, leg_id: str, cause: Cause, detail: str | None) -> None:
        metrics.LEGS_ENDED.labels(cause.value).inc()
        await self.tell("leg_ended", lambda: self.calls.leg_ended(leg_id, cause, detail))
