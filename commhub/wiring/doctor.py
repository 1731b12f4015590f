"""`commhub doctor`: what this machine and these settings lack, each with what to do about it."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from bridges.protocol import ControlAddress
from commhub.settings import Settings, SettingsError
from commhub.wiring.doctor_lines import ipv6_voice, lines
from commhub.wiring.findings import Finding, Verdict
from commhub.wiring.reachable import is_loopback, turn_answers, udp_comes_back
from commhub.wiring.shared import video_worker_names, worker_names, worker_ports, worker_socket
from commhub.wiring.sip import sip_tls

WANTED_SOCKET_BUFFER = 4 << 20


async def examine(settings: Settings) -> list[Finding]:
    """Run every check; none of them changes anything, and one that fails does not stop the others."""
    checks: list[Callable[[Settings], Awaitable[Finding]]] = [
        _python,
        _data_dir,
        _database,
        _redis,
        _broker,
        _hub,
        _sip_port,
        _media,
        ipv6_voice,
        _pictures,
        _turn,
        _socket_buffer,
        _console,
    ]
    single = asyncio.gather(*(check(settings) for check in checks))
    return [*await single, *await lines(settings)]


async def _python(settings: Settings) -> Finding:
    del settings
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", Verdict.OK, version)


async def _data_dir(settings: Settings) -> Finding:
    folder = settings.data_dir.resolve()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(nearest, os.W_OK):
        return Finding(
            "data_dir",
            Verdict.FAILED,
            f"{folder} cannot be written",
            "set COMMHUB_DATA_DIR to a folder that can",
        )
    free_gib = shutil.disk_usage(nearest).free / 2**30
    if free_gib < 1:
        return Finding(
            "data_dir",
            Verdict.WARNING,
            f"{folder}: {free_gib:.1f} GiB free",
            "recordings need room: free some",
        )
    return Finding("data_dir", Verdict.OK, f"{folder}: {free_gib:.0f} GiB free")


async def _database(settings: Settings) -> Finding:
    if settings.database_url is None:
        return Finding("database", Verdict.OK, "SQLite in the data directory")
    engine = create_async_engine(settings.database)
    shown = engine.url.render_as_string(hide_password=True)
    try:
        async with asyncio.timeout(5), engine.connect() as connection:
            await connection.execute(text("select 1"))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        return Finding(
            "database",
            Verdict.FAILED,
            f"{shown}: {type(error).__name__}",
            "is the server running, and do name and password in COMMHUB_DATABASE_URL fit?",
        )
    finally:
        await engine.dispose()
    return Finding("database", Verdict.OK, shown)


async def _redis(settings: Settings) -> Finding:
    if settings.redis_url is None:
        return Finding("redis", Verdict.OK, "not configured: one hub process needs none")
    client: Redis = Redis.from_url(settings.redis_url, socket_connect_timeout=5, socket_timeout=5)
    try:
        await client.ping()
    except (RedisError, OSError) as error:
        return Finding(
            "redis", Verdict.FAILED, type(error).__name__, "start Redis or unset COMMHUB_REDIS_URL"
        )
    finally:
        await client.aclose()
    return Finding("redis", Verdict.OK, "answers")


async def _broker(settings: Settings) -> Finding:
    mqtt = settings.mqtt
    if not mqtt.enabled:
        return Finding("mqtt", Verdict.OK, "switched off: no radios and body cameras of its own")
    if not mqtt.embedded:
        if await _listens(mqtt.host, mqtt.port):
            return Finding("mqtt", Verdict.OK, f"{mqtt.host}:{mqtt.port} listens")
        return Finding(
            "mqtt",
            Verdict.FAILED,
            f"{mqtt.host}:{mqtt.port} does not listen",
            "start the broker or fix COMMHUB_MQTT__HOST",
        )
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        return Finding(
            "mqtt", Verdict.FAILED, "mosquitto is not installed", "apt-get install mosquitto"
        )
    return Finding("mqtt", Verdict.OK, f"{program}, started by the hub on port {mqtt.port}")


async def _hub(settings: Settings) -> Finding:
    http = settings.http
    if not await _listens(http.host, http.port):
        return Finding("hub", Verdict.OK, f"not running; port {http.port} is free")
    try:
        async with httpx.AsyncClient(timeout=3) as client:
            answer = await client.get(f"http://{http.host}:{http.port}/readyz")
    except httpx.HTTPError:
        answer = None
    if answer is None or "application/json" not in answer.headers.get("content-type", ""):
        return Finding(
            "hub",
            Verdict.FAILED,
            f"port {http.port} belongs to another program",
            "set COMMHUB_HTTP__PORT to a free one",
        )
    if answer.status_code != httpx.codes.OK:
        return Finding(
            "hub", Verdict.WARNING, f"running, not ready: {answer.text[:200]}", "see its log"
        )
    return Finding("hub", Verdict.OK, "running and ready")


async def _sip_port(settings: Settings) -> Finding:
    sip = settings.sip
    try:
        tls = sip_tls(sip)
    except SettingsError as error:
        return Finding("sip", Verdict.FAILED, str(error), "TLS needs a PEM certificate and its key")
    wanted = [(socket.SOCK_DGRAM, sip.port), (socket.SOCK_STREAM, sip.port)][: 1 + sip.tcp]
    wanted += [(socket.SOCK_STREAM, sip.tls_port)] if tls else []
    for host, (kind, port) in product(filter(None, (sip.host, sip.ipv6_host)), wanted):
        try:
            _try_to_bind(kind, host, port)
        except OSError as error:
            if await _listens(settings.http.host, settings.http.port):
                return Finding(
                    "sip", Verdict.OK, f"port {port} in use, by the running hub it seems"
                )
            return Finding(
                "sip",
                Verdict.FAILED,
                f"{host}:{port}: {error.strerror}",
                "another SIP program may hold the port: set COMMHUB_SIP__PORT and …__TLS_PORT",
            )
    ports = f"ports {sip.port} and {sip.tls_port} are" if tls else f"port {sip.port} is"
    return Finding("sip", Verdict.OK, f"{ports} free")


def _try_to_bind(kind: socket.SocketKind, host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            # Connections of a hub that has just stopped do not hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


async def _media(settings: Settings) -> Finding:
    """The workers' shares of the ports, and which of them answer when the hub runs."""
    names, remote = worker_names(settings), settings.media.remote_workers
    try:
        ports = [worker_ports(settings, name) for name in names]
        sockets = {name: f"unix:{worker_socket(settings, name)}" for name in names}
    except SettingsError as error:
        return Finding("media", Verdict.FAILED, str(error), "widen the range, or fewer workers")
    addresses = sockets | {one.name: one.address for one in remote}
    answers = {name: await _answers(address) for name, address in addresses.items()}
    away = [name for name, there in answers.items() if not there]
    shares = ", ".join(
        f"{name} {first}–{last}" for name, (first, last) in zip(names, ports, strict=True)
    )
    if len(away) == len(addresses):
        return Finding("media", Verdict.OK, f"not running; {shares}")
    if away:
        return Finding(
            "media",
            Verdict.WARNING,
            f"{', '.join(away)} of {', '.join(addresses)} do not answer",
            "see the hub's log; a remote worker is started by hand on its machine",
        )
    return Finding("media", Verdict.OK, f"{len(addresses)} running; {shares}")


async def _pictures(settings: Settings) -> Finding:
    """The video worker, and whether far ends would reach it by what they are told."""
    media, names = settings.media, video_worker_names(settings)
    if not names:
        return Finding("video", Verdict.OK, "off: media.video_workers is 0")
    told = media.advertised_host or media.host
    if not await udp_comes_back(media, media.video_port):
        return Finding(
            "video",
            Verdict.WARNING,
            f"UDP to {told} does not arrive here",
            "media.advertised_host must be an address of this machine as browsers see it, and UDP open to it; "
            "behind NAT without a way back this check cannot tell",
        )
    port = f"port {media.video_port}" if media.video_port else "any free port"
    is_up = await _answers(f"unix:{worker_socket(settings, names[0])}")
    state = "running" if is_up else "not running"
    if is_loopback(told):
        return Finding(
            "video", Verdict.OK, f"{state}; UDP {told}, {port}: browsers on this machine only"
        )
    return Finding("video", Verdict.OK, f"{state}; UDP {told}, {port}, arrives")


async def _turn(settings: Settings) -> Finding:
    turn = settings.media.turn
    if turn is None:
        return Finding("turn", Verdict.OK, "not configured: browsers need UDP to the hub")
    silent = [url for url in turn.urls if not await turn_answers(url)]
    if silent:
        return Finding(
            "turn",
            Verdict.WARNING,
            f"{', '.join(silent)} does not answer",
            "is coturn running, and its port open from here?",
        )
    return Finding("turn", Verdict.OK, f"{', '.join(turn.urls)} answers")


async def _answers(address: str) -> bool:
    """Whether somebody listens at a worker's address."""
    where = ControlAddress.parse(address)
    if where.path is None:
        return await _listens(where.host, where.port)
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_unix_connection(where.path)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _socket_buffer(settings: Settings) -> Finding:
    del settings
    size = _receive_buffer_limit()
    if size is None:
        return Finding("socket_buffer", Verdict.WARNING, "unknown", "check net.core.rmem_max")
    if size < WANTED_SOCKET_BUFFER and os.geteuid() != 0:
        return Finding(
            "socket_buffer",
            Verdict.WARNING,
            f"net.core.rmem_max is {size} bytes",
            f"above some 300 legs a worker needs more: sysctl -w net.core.rmem_max={WANTED_SOCKET_BUFFER}",
        )
    return Finding("socket_buffer", Verdict.OK, f"net.core.rmem_max is {size} bytes")


def _receive_buffer_limit() -> int | None:
    try:
        return int(Path("/proc/sys/net/core/rmem_max").read_text())
    except OSError:
        return None


async def _console(settings: Settings) -> Finding:
    del settings
    index = Path(__file__).parents[1] / "web" / "static" / "index.html"
    if not index.is_file():
        return Finding("console", Verdict.WARNING, "not built", "make console")
    return Finding("console", Verdict.OK, "built")


async def _listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
