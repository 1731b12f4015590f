"""Everything that rings telephones: the SIP edge with its trunks, Twilio, and the driver that chooses between them."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog
from fastapi import APIRouter

from commhub.domain.people import Scheme
from commhub.kit.clock import Clock
from commhub.ports.inward import CallsIn
from commhub.ports.media import MediaEngine
from commhub.ports.store import Store
from commhub.ports.telephony import LegDriver
from commhub.settings import Settings, SettingsError
from commhub.wiring.core import Core
from commhub.wiring.line_alarms import DeskAlarm
from commhub.wiring.outside import open_outside, watch_lines
from commhub.wiring.sip import sip_config
from gateways.sip.core import Inward
from gateways.sip.gateway import SipGateway
from gateways.sip.trunks.toll import Alarms
from gateways.twilio.config import TwilioConfig

if TYPE_CHECKING:
    from gateways.twilio.gateway import TwilioGateway

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telephones:
    """What was made of the settings, not entered yet. `drivers` are those of `sip:` and `tel:`; `routers` what Twilio calls."""

    sip: SipGateway
    twilio: "TwilioGateway | None"
    drivers: dict[Scheme, LegDriver]
    routers: list[APIRouter]
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        await self._stack.enter_async_context(self.sip)
        if self.twilio is not None:
            await self._stack.enter_async_context(self.twilio)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)


def open_telephones(
    settings: Settings, core: Core, media: MediaEngine, inward: Inward
) -> Telephones:
    """Make them. Raises SettingsError."""
    store, calls, clock = core.store, core.calls, core.clock
    alarm = Alarms(DeskAlarm(store, clock, inward.reports, core.bus.publish), clock)
    sip = SipGateway(
        sip_config(settings), store, media, calls, core.presence, clock, alarm, more=inward
    )
    if core.texts is not None:
        sip.carry(core.texts)
    drivers: dict[Scheme, LegDriver] = {Scheme.SIP: sip}
    telephone = open_telephone(settings, store, media, calls, clock)
    twilio = telephone[0] if telephone is not None else None
    outside = open_outside(settings, calls, store, clock, sip, twilio, alarm)
    drivers[Scheme.TEL] = outside
    watch_lines(core.health, sip)
    return Telephones(
        sip=sip,
        twilio=twilio,
        drivers=drivers,
        routers=[telephone[1]] if telephone is not None else [],
    )


def open_telephone(
    settings: Settings, store: Store, media: MediaEngine, calls: CallsIn, clock: Clock
) -> "tuple[TwilioGateway, APIRouter] | None":
    """The driver of `tel:` legs, not entered yet, with its routes; None when it is off. Raises SettingsError."""
    config = twilio_config(settings)
    if config is None:
        log.info("twilio_off", reason="setting twilio.account_sid is not set")
        return None
    # A hub without a telephone need not wait for twilio's and requests' imports at every restart.
    from gateways.twilio.gateway import TwilioGateway  # noqa: PLC0415 - slow, as said above
    from gateways.twilio.routes import build_router  # noqa: PLC0415 - likewise

    gateway = TwilioGateway(config, store, media, calls, clock)
    return gateway, build_router(gateway)


def twilio_config(settings: Settings) -> TwilioConfig | None:
    """The Twilio account of these settings; None when there is none. Raises SettingsError for half of one."""
    twilio = settings.twilio
    if twilio.account_sid is None:
        return None
    if twilio.auth_token is None or twilio.number is None:
        missing = "auth_token" if twilio.auth_token is None else "number"
        raise SettingsError(f"setting twilio: account_sid is set, so {missing} must be set too")
    public_url = (twilio.public_url or settings.public_url).rstrip("/")
    if twilio.api_base is None and not public_url.startswith("https://"):
        raise SettingsError(
            f"setting twilio.public_url: Twilio streams audio only to https addresses (given: {public_url!r})"
        )
    if not twilio.allowed_prefixes:
        log.warning("twilio_calls_nobody", reason="setting twilio.allowed_prefixes is empty")
    return TwilioConfig(
        account_sid=twilio.account_sid,
        auth_token=twilio.auth_token.get_secret_value(),
        number=twilio.number,
        public_url=public_url,
        api_base=twilio.api_base,
        allowed_prefixes=twilio.allowed_prefixes,
        inbound=dict(twilio.inbound),
        max_legs=twilio.max_legs,
    )
