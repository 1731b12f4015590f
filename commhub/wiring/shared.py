"""What several processes of one hub must agree on: the broker's place, the workers' names, sockets and ports, and
their secrets."""

import os
from ipaddress import ip_address
from pathlib import Path

from commhub.settings import Settings, SettingsError
from commhub.wiring.secrets import own_secret
from devices.broker_files import BrokerConfig

RADIO_WORKER = "w0"
"""The worker with the voice connection to the radios: the broker has one such user."""
_FEWEST_PORTS = 8
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


def worker_names(settings: Settings) -> list[str]:
    """The audio workers of this machine."""
    return [f"w{number}" for number in range(settings.media.workers)]


def video_worker_names(settings: Settings) -> list[str]:
    """The video workers of this machine (decision 10)."""
    return [f"v{number}" for number in range(settings.media.video_workers)]


def worker_ports(settings: Settings, worker: str) -> tuple[int, int]:
    """The first and the last RTP port of a worker: an even share for each of this machine's, all for a worker that
    is not one of them (it runs on a machine of its own). Raises SettingsError when the range is too small."""
    media, names = settings.media, worker_names(settings)
    count = len(names) if worker in names else 1
    share = (media.last_port + 1 - media.first_port) // count // 2 * 2
    if share < _FEWEST_PORTS:
        raise SettingsError(
            f"setting media: ports {media.first_port} to {media.last_port} are too few for {count} workers"
        )
    first = media.first_port + share * (names.index(worker) if worker in names else 0)
    return first, first + share - 1


def worker_journal(settings: Settings, worker: str) -> Path:
    """Where a media worker writes down what it was told."""
    return settings.run_dir / f"{worker}.journal"
