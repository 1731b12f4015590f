"""A media worker process: the audio engine, and in one of them the voice connection that links it to the radios; or
the picture engine."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress

from bridges.audio.config import AudioConfig, RadioCodec
from bridges.transport.port import PortConfig
from bridges.video.plain_sessions import PlainConfig
from bridges.video.worker import VideoWorkerConfig, run_video_worker
from bridges.worker import WorkerConfig, run_worker
from commhub.ports.voice import VoiceSink
from commhub.settings import Settings
from commhub.wiring.shared import (
    RADIO_WORKER,
    mqtt_address,
    video_worker_names,
    voice_secret,
    worker_journal,
    worker_names,
    worker_ports,
    worker_socket,
)
from devices.broker_files import VOICE_USER
from devices.link import MqttAddress
from devices.voice import VoiceConfig, VoiceConnection


def worker_config(settings: Settings, name: str) -> WorkerConfig:
    """What the worker of that name is told."""
    media = settings.media
    first_port, last_port = worker_ports(settings, name)
    return WorkerConfig(
        name=name,
        control=_control_address(settings, name),
        secret=media.secret.get_secret_value() if media.secret else None,
        journal=worker_journal(settings, name),
        audio=AudioConfig(
            recordings=settings.recordings_dir,
            prompts=settings.prompts_dir,
            bind_host=media.host,
            advertise_host=media.advertised_host or media.host,
            ipv6_bind_host=media.ipv6_host,
            ipv6_advertise_host=media.ipv6_advertised_host,
            port_min=first_port,
            port_max=last_port,
            radio_codec=RadioCodec[media.radio_codec.upper()],
        ),
        webrtc=PortConfig(
            bind_host=media.host,
            advertise_host=media.advertised_host or media.host,
            port=media.webrtc_port and media.webrtc_port + _place_of(name),
        ),
    )


def video_config(settings: Settings, name: str) -> VideoWorkerConfig:
    """What the video worker of that name is told."""
    media = settings.media
    first_port, last_port = worker_ports(settings, name)
    return VideoWorkerConfig(
        name=name,
        control=_control_address(settings, name),
        secret=media.secret.get_secret_value() if media.secret else None,
        webrtc=PortConfig(
            bind_host=media.host,
            advertise_host=media.advertised_host or media.host,
            port=media.video_port,
        ),
        plain=PlainConfig(
            bind_host=media.host,
            advertise_host=media.advertised_host or media.host,
            ipv6_bind_host=media.ipv6_host,
            ipv6_advertise_host=media.ipv6_advertised_host,
            port_min=first_port,
            port_max=last_port,
        ),
        recordings=settings.recordings_dir,
    )


def _control_address(settings: Settings, name: str) -> str:
    """Where control finds the worker: those of this machine by a socket, another at the address it is to listen at."""
    listen = settings.media.listen
    if listen is not None and name not in (*worker_names(settings), *video_worker_names(settings)):
        return listen
    return f"unix:{worker_socket(settings, name)}"


def _place_of(name: str) -> int:
    """The worker's number among its like, which its name ends with."""
    digits = name.lstrip("abcdefghijklmnopqrstuvwxyz-")
    return int(digits) if digits.isdecimal() else 0


async def run_worker_process(settings: Settings, name: str) -> None:
    """Run until SIGTERM or SIGINT."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    settings.recordings_dir.mkdir(parents=True, exist_ok=True)
    if name in video_worker_names(settings):
        await _until_told(run_video_worker(video_config(settings, name)))
        return
    host, port = mqtt_address(settings)
    voice = VoiceConfig(
        address=MqttAddress(host=host, port=port, user=VOICE_USER, secret=voice_secret(settings)),
        tenant=settings.tenant,
    )

    def open_voice(sink: VoiceSink) -> VoiceConnection:
        connection = VoiceConnection(voice)
        connection.deliver_to(sink)
        return connection

    voiced = open_voice if name == RADIO_WORKER and settings.mqtt.enabled else None
    await _until_told(run_worker(worker_config(settings, name), voiced))


async def _until_told(work: Coroutine[None, None, None]) -> None:
    running = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
