"""Control's media engine: the pool of this hub's workers, with what it needs of the core."""

from bridges.client import ClientConfig
from bridges.members import Member
from bridges.pool import MediaPool, WorkerAddress
from commhub.calls.alerts import AlertService
from commhub.calls.media_events import MediaEvents
from commhub.calls.placements import CallPlacements
from commhub.calls.service import CallService
from commhub.fleet.standings import RadioStandings
from commhub.kit.clock import Clock
from commhub.ports.store import Store
from commhub.settings import Settings, SettingsError
from commhub.wiring.health import Health
from commhub.wiring.shared import RADIO_WORKER, worker_names, worker_socket


def media_pool(
    settings: Settings,
    calls: CallService,
    store: Store,
    health: Health,
    clock: Clock,
    standings: RadioStandings,
    alerts: AlertService,
) -> MediaPool:
    """The pool, to be entered. Health has one line for all workers, and one for each of several: as long as one is
    there, calls can be had. Raises SettingsError."""
    events = MediaEvents(calls, store, clock, engine_came=standings.engine_came, alerts=alerts)
    pool = MediaPool(worker_addresses(settings), events, CallPlacements(store), clock)
    health.watch("media", lambda: pool.is_connected)
    health.watch("recordings", lambda: events.recordings_work, needed=False)
    if len(pool.members) > 1:
        for member in pool.members:
            _watch(health, member)
    return pool


def _watch(health: Health, member: Member) -> None:
    health.watch(f"media-{member.name}", lambda: member.is_up, needed=False)


def worker_addresses(settings: Settings) -> list[WorkerAddress]:
    """This machine's media workers, and those elsewhere. Raises SettingsError for a name that is there twice."""
    local = [
        WorkerAddress(
            name=name,
            client=ClientConfig(address=f"unix:{worker_socket(settings, name)}"),
            has_radio=name == RADIO_WORKER,
        )
        for name in worker_names(settings)
    ]
    remote = [
        WorkerAddress(
            name=one.name,
            client=ClientConfig(address=one.address, secret=one.secret.get_secret_value()),
        )
        for one in settings.media.remote_workers
    ]
    names = [one.name for one in (*local, *remote)]
    if len(set(names)) != len(names):
        raise SettingsError(
            f"setting media.remote_workers: of {', '.join(names)} no two may be the same"
        )
    return [*local, *remote]
