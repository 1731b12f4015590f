"""Radio groups as legs of calls. Nothing rings: a group whose radio is there joins at once, or cannot be reached."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType

import structlog

from commhub.domain.call import Cause
from commhub.domain.device import Device
from commhub.domain.errors import DomainError, InvalidError, UnavailableError
from commhub.domain.people import Endpoint
from commhub.ports.inward import CallsIn
from commhub.ports.media import MediaEngine
from commhub.ports.store import Store
from commhub.ports.telephony import LegOrder

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Unreachable:
    cause: Cause
    detail: str


class RadioLegs(AbstractAsyncContextManager["RadioLegs"]):
    """Implements `commhub.ports.telephony.LegDriver` for `radio:DEVICE` (its selected group) and `radio:GROUP`."""

    def __init__(
        self, store: Store, media: MediaEngine, calls: CallsIn, codec: str = "OPUS"
    ) -> None:
        """`codec` is what calls speak to the groups in, for those who look at the call."""
        self._codec = codec
        self._store = store
        self._media = media
        self._calls = calls
        self._tasks = asyncio.TaskGroup()
        self._joining: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> "RadioLegs":
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._joining.values():
            task.cancel()
        await self._tasks.__aexit__(exc_type, exc, traceback)

    async def place(self, order: LegOrder) -> None:
        """Join the group in the background; `CallsIn` hears how it went."""
        if order.leg_id in self._joining:
            return
        task = self._tasks.create_task(self._join(order), name=f"radio-leg-{order.leg_id}")
        self._joining[order.leg_id] = task
        task.add_done_callback(lambda _: self._joining.pop(order.leg_id, None))

    async def answer(self, leg_id: str) -> None:
        """Radio groups place no calls. Raises InvalidError."""
        raise InvalidError(f"leg {leg_id} is a radio group, which never calls the hub")

    async def hang_up(self, leg_id: str, cause: Cause) -> None:
        """Take the group out of the call. A leg that is joining never gets there. Raises UnavailableError."""
        task = self._joining.get(leg_id)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._media.release(leg_id)
        await self._calls.leg_ended(leg_id, cause, None)

    async def _join(self, order: LegOrder) -> None:
        try:
            try:
                found = await self._try_to_join(order)
            except Exception:  # supervisor: one leg's failure takes no other leg down
                log.exception("radio_leg_failed", leg=order.leg_id)
                found = _Unreachable(Cause.FAILED, "a fault of the hub")
            if found is None:
                await self._calls.leg_connected(order.leg_id, self._codec)
            else:
                await self._calls.leg_ended(order.leg_id, found.cause, found.detail)
        except Exception:  # supervisor, likewise; the call finds the leg again at its next look
            log.exception("radio_leg_not_reported", leg=order.leg_id)

    async def _try_to_join(self, order: LegOrder) -> _Unreachable | None:
        """None: the group is a leg of the call now."""
        try:
            found = await self._find_group(order.endpoint)
            if isinstance(found, str):
                await self._media.join_group(order.call_id, order.leg_id, found)
                return None
        except UnavailableError as error:
            return _Unreachable(Cause.UNREACHABLE, str(error))
        except DomainError as error:
            return _Unreachable(Cause.FAILED, str(error))
        return found

    async def _find_group(self, endpoint: Endpoint) -> str | _Unreachable:
        if endpoint.hub is not None:
            return _Unreachable(Cause.UNREACHABLE, f"no link to the hub {endpoint.hub}")
        async with self._store.read() as uow:
            device = await uow.fleet.find(endpoint.name)
            if device is not None:
                return _selected_group(device)
            # A group is on the air whether anybody listens or not.
            if any(endpoint.name in d.groups for d in await uow.fleet.list() if not d.revoked):
                return endpoint.name
        return _Unreachable(Cause.NOT_FOUND, "no radio and no talk group has this name")


def _selected_group(device: Device) -> str | _Unreachable:
    """The group by which a device is reached: the one it has selected."""
    if device.revoked:
        return _Unreachable(Cause.NOT_ALLOWED, "the radio's credential is revoked")
    if not device.groups:
        return _Unreachable(Cause.UNREACHABLE, "the radio is in no talk group")
    if not device.online:
        return _Unreachable(Cause.UNREACHABLE, "the radio is switched off or out of reach")
    return device.groups[0]
