"""Task cards by telephone, as these settings have them."""

from collections.abc import Sequence

from commhub.calls.alerts import AlertChannel, AlertConfig, AlertService
from commhub.calls.service import CallService
from commhub.kit.clock import Clock
from commhub.ports.channels import Channel
from commhub.ports.store import Store
from commhub.settings import Settings


def alert_service(
    settings: Settings, calls: CallService, store: Store, clock: Clock
) -> AlertService:
    """Not connected yet."""
    alerts = settings.alerts
    config = AlertConfig(
        prompt=alerts.prompt,
        accepted_prompt=alerts.accepted_prompt,
        refused_prompt=alerts.refused_prompt,
        listen_for_s=alerts.listen_for_s,
    )
    return AlertService(calls, store, clock, config)


def alert_channels(settings: Settings, alerts: AlertService) -> Sequence[Channel]:
    """Those that are in service: none, unless somebody wants phones to ring."""
    wanted = {"sip": settings.alerts.phones, "tel": settings.alerts.numbers}
    return [AlertChannel(name, alerts) for name, on in wanted.items() if on]
