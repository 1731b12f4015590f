"""`commhub up`: the small parent that starts the broker, the media workers and control, and restarts what dies.

It keeps no state and serves nobody, so that it has no reason to fail.
"""

import asyncio
import os
import signal

import structlog

from commhub.settings import Settings
from commhub.wiring.children import ChildSpec, keep_running, own_command
from commhub.wiring.shared import broker_config, video_worker_names, worker_names
from devices.broker import prepare_broker

log = structlog.get_logger(__name__)


def specs(settings: Settings) -> list[ChildSpec]:
    """The children of this hub, the one others need first. Raises devices.errors.BrokerError."""
    environment = dict(os.environ)
    children = [
        ChildSpec(
            f"worker-{name}",
            own_command("worker", name),
            environment,
            settings.run_dir / f"worker-{name}.pid",
        )
        for name in (*worker_names(settings), *video_worker_names(settings))
    ]
    children.append(
        ChildSpec("control", own_command("control"), environment, settings.run_dir / "control.pid")
    )
    if settings.mqtt.enabled and settings.mqtt.embedded:
        children.insert(
            0,
            ChildSpec(
                "broker",
                prepare_broker(broker_config(settings)),
                environment,
                settings.run_dir / "broker.pid",
            ),
        )
    return children


async def run_up(settings: Settings) -> None:
    """Run all children until SIGTERM or SIGINT, then stop them in the reverse order of need."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, told_to_stop.set)
    children = [
        asyncio.create_task(keep_running(spec, told_to_stop), name=spec.name)
        for spec in specs(settings)
    ]
    stopping = asyncio.create_task(told_to_stop.wait())
    try:
        done, _ = await asyncio.wait([*children, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()
    finally:
        stopping.cancel()
        for child in reversed(children):
            child.cancel()
            await asyncio.gather(child, return_exceptions=True)
