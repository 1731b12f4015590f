"""Legs as rows, so that a call outlives the process: Twilio goes on with it while control is away.

A row is written before Twilio is asked to call, or a caller is told to wait, and deleted when Twilio is done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from commhub.ports.edge_store import TwilioLeg
from commhub.ports.media import MediaOrder
from commhub.ports.store import Store
from commhub.ports.telephony import shape_of
from gateways.twilio.errors import UnreadablePageError


class Chapter(StrEnum):
    """Where a leg stands: PLACED is being called, OFFERED calls us and hears ringing, ANSWERED may have a stream,
    TALKING has or had one, LEAVING has ended for the core and Twilio must be told."""

    PLACED = "placed"
    OFFERED = "offered"
    ANSWERED = "answered"
    TALKING = "talking"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything of a leg that a new process needs.

    `call_sid` is None until Twilio has told it. `generation` counts the streams that were allowed, `used` says
    whether the last of them was begun: each is good once. `sequence` is that of the newest status report.
    """

    leg_id: str
    chapter: Chapter
    number: str
    call_sid: str | None = None
    generation: int = 0
    used: bool = False
    sequence: int = -1

    def to_row(self) -> TwilioLeg:
        state: dict[str, object] = {
            "chapter": self.chapter.value,
            "number": self.number,
            "call_sid": self.call_sid,
            "generation": self.generation,
            "used": self.used,
            "sequence": self.sequence,
        }
        return TwilioLeg(leg_id=self.leg_id, state=state)

    @classmethod
    def from_row(cls, row: TwilioLeg) -> "Page":
        """Raises UnreadablePageError for a row that this version cannot take up."""
        try:
            return _read(row.leg_id, row.state)
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadablePageError(f"stored leg: {error!r}") from error


def _read(leg_id: str, state: Mapping[str, object]) -> Page:
    sid, used = state["call_sid"], state["used"]
    return Page(
        leg_id=leg_id,
        chapter=Chapter(str(state["chapter"])),
        number=str(state["number"]),
        call_sid=None if sid is None else str(sid),
        generation=int(str(state["generation"])),
        used=bool(used),
        sequence=int(str(state["sequence"])),
    )


class Ledger:
    """The pages in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, page: Page) -> None:
        async with self._store.begin() as uow:
            await uow.twilio.put(page.to_row())

    async def delete(self, leg_id: str) -> None:
        async with self._store.begin() as uow:
            await uow.twilio.delete(leg_id)

    async def rows(self) -> list[TwilioLeg]:
        async with self._store.read() as uow:
            return list(await uow.twilio.list())

    async def order_of(self, leg_id: str) -> MediaOrder | None:
        """The leg's place in the call it is in now, shaped as the desk has it now (it may have been moved, or only
        listen since); None when the leg has ended or never was."""
        async with self._store.read() as uow:
            leg = await uow.calls.find_leg(leg_id)
        if leg is None or not leg.is_live:
            return None
        return MediaOrder(call_id=leg.call_id, leg_id=leg_id, shape=shape_of(leg))
