"""The public telephone network, when the settings name an account there."""

from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter

from commhub.kit.clock import Clock
from commhub.ports.inward import CallsIn
from commhub.ports.media import MediaEngine
from commhub.ports.store import Store
from commhub.settings import Settings, SettingsError
from gateways.twilio.config import TwilioConfig

if TYPE_CHECKING:
    from gateways.twilio.gateway import TwilioGateway

log = structlog.get_logger(__name__)


def open_telephone(
    settings: Settings, store: Store, media: MediaEngine, calls: CallsIn, clock: Clock
) -> "tuple[TwilioGateway, APIRouter] | None":
    """The driver of `tel:` legs, not entered yet, with its routes; None when it is off. Raises SettingsError."""
    config = twilio_config(settings)
    if config is None:
        log.info("twilio_off", reason="setting twilio.account_sid is not set")
        return None
    # A hub without a telephone need not wait for twilio's and requests' imports at every restart.
    from gateways.twilio.gateway import TwilioGateway  # noqa: PLC0415
    from gateways.twilio.routes import build_router  # noqa: PLC0415

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
