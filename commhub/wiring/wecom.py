"""WeChat Work: the channel of messages and the callback, when these settings have an app."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog
from fastapi import APIRouter

from commhub.kit.clock import Clock
from commhub.messages.service import MessageService
from commhub.ports.channels import Channel
from commhub.reports.service import ReportService
from commhub.settings import Settings, SettingsError
from gateways.wecom.callback import build_router
from gateways.wecom.channel import WeComChannel
from gateways.wecom.config import WeComConfig

log = structlog.get_logger(__name__)


async def open_channels(
    settings: Settings, clock: Clock, stack: AsyncExitStack
) -> Sequence[Channel]:
    """The WeCom channel, when these settings have an app."""
    config = wecom_config(settings)
    if config is None:
        log.info("wecom_off", reason="setting wecom.corp_id is not set")
        return []
    return [await stack.enter_async_context(WeComChannel(config, clock))]


def wecom_routers(
    settings: Settings, messages: MessageService, reports: ReportService, clock: Clock
) -> list[APIRouter]:
    """Where WeCom calls back. Raises SettingsError for a key that is none."""
    wecom = wecom_config(settings)
    if wecom is None:
        return []
    try:
        return [build_router(wecom, messages, reports, clock)]
    except ValueError as error:
        raise SettingsError(f"setting wecom.callback_aes_key: {error}") from error


def wecom_config(settings: Settings) -> WeComConfig | None:
    """The WeCom app of these settings; None when there is none. Raises SettingsError for half of one."""
    wecom = settings.wecom
    if wecom.corp_id is None:
        return None
    secrets = {
        "secret": wecom.secret,
        "callback_token": wecom.callback_token,
        "callback_aes_key": wecom.callback_aes_key,
    }
    missing = [name for name, value in secrets.items() if value is None]
    if missing:
        raise SettingsError(
            f"setting wecom: corp_id is set, so {', '.join(missing)} must be set too"
        )
    given = {name: value.get_secret_value() for name, value in secrets.items() if value}
    return WeComConfig(
        corp_id=wecom.corp_id,
        agent_id=wecom.agent_id,
        secret=given["secret"],
        token=given["callback_token"],
        aes_key=given["callback_aes_key"],
        api_base=wecom.api_base,
        ca_file=wecom.ca_file,
    )
