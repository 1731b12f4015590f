"""What several processes of one hub must agree on: the broker's place, the worker's socket, their secrets."""

import os
from ipaddress import ip_address
from pathlib import Path

from commhub.settings import Settings, SettingsError
from commhub.wiring.secrets import own_secret
from devices.broker_files import BrokerConfig

WORKER = "w0"
# sun_path of unix(7), with its closing NUL.
_LONGEST_SOCKET_PATH = 108


def control_secret(settings: Settings) -> str:
    """The password of the broker's user `hub-control`."""
    given = settings.mqtt.control_password
    return given.get_secret_value() if given else own_secret(settings.data_dir, "mqtt-control")


def voice_secret(settings: Settings) -> str:
    """The password of the broker's user `hub-voice`."""
    given = settings.mqtt.voice_password
    return given.get_secret_value() if given else own_secret(settings.data_dir, "mqtt-voice")


def broker_config(settings: Settings) -> BrokerConfig:
    """The embedded broker of this hub."""
    return BrokerConfig(
        data_dir=settings.data_dir.resolve() / "mqtt",
        tenant=settings.tenant,
        control_secret=control_secret(settings),
        voice_secret=voice_secret(settings),
        host=settings.mqtt.host,
        port=settings.mqtt.port,
    )


def mqtt_address(settings: Settings) -> tuple[str, int]:
    """Where our own processes reach the broker; one bound to every address is reached on loopback."""
    host = settings.mqtt.host
    if settings.mqtt.embedded and ip_address(host).is_unspecified:
        host = "127.0.0.1"
    return host, settings.mqtt.port


def worker_socket(settings: Settings, worker: str) -> Path:
    """The Unix socket on which a media worker takes orders. Raises SettingsError when its path is too long."""
    path = settings.run_dir / f"{worker}.sock"
    if len(os.fsencode(path)) >= _LONGEST_SOCKET_PATH:
        raise SettingsError(
            f"setting data_dir: {settings.data_dir} is too deep for a Unix socket; choose a shorter path"
        )
    return path
