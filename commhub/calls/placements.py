"""Where calls live, on record: what a pool of media workers must know beyond its own process's life.

Implements `ports.media.Placements`. The worker stands in the call's row, so that a new control process gives a leg
that comes late to the worker that has its call, even before it has reached that worker.
"""

from collections.abc import Collection
from dataclasses import replace

from commhub.domain.errors import NotFoundError
from commhub.domain.people import Scheme
from commhub.ports.media import Placement
from commhub.ports.store import Store


class CallPlacements:
    """Reads and writes `Call.worker`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, call_id: str) -> Placement | None:
        async with self._store.read() as uow:
            try:
                call = await uow.calls.get(call_id)
            except NotFoundError:
                return None
            legs = await uow.calls.legs_of(call_id)
        if not call.is_live:
            return None
        radio = any(
            leg.is_live and leg.endpoint.scheme is Scheme.RADIO and leg.endpoint.hub is None
            for leg in legs
        )
        return Placement(worker=call.worker, with_radio=radio)

    async def live_legs(self, leg_ids: Collection[str]) -> frozenset[str]:
        async with self._store.read() as uow:
            found = [await uow.calls.find_leg(leg_id) for leg_id in leg_ids]
        return frozenset(leg.id for leg in found if leg is not None and leg.is_live)

    async def record(self, call_id: str, worker: str) -> None:
        async with self._store.begin() as uow:
            try:
                call = await uow.calls.get(call_id)
            except NotFoundError:
                return
            await uow.calls.update(replace(call, worker=worker))
