"""Units, responders and who answers at an address."""

from collections.abc import Sequence

from sqlalchemy import delete

from commhub.db.codec import Rows
from commhub.db.repositories.base import Repository
from commhub.db.tables import people
from commhub.domain.people import Endpoint, Responder, Unit

_LINKS = people.responder_endpoints
_UNITS = Rows(Unit, people.units)
_RESPONDERS = Rows(Responder, people.responders)


class SqlDirectory(Repository):
    """Implements commhub.ports.store.Directory."""

    async def put_unit(self, unit: Unit) -> None:
        await self._tx.put(people.units, _UNITS.to_row(unit))

    async def get_unit(self, unit_id: str) -> Unit:
        return await self._get(_UNITS, unit_id, "unit")

    async def units(self) -> Sequence[Unit]:
        """Sorted by id."""
        return await self._all(_UNITS, self._select(_UNITS).order_by(people.units.c.id))

    async def put_responder(self, responder: Responder) -> None:
        """Raises InvalidError when the unit is not there."""
        await self._tx.put(people.responders, _RESPONDERS.to_row(responder))
        await self._tx.write(
            _LINKS,
            delete(_LINKS).where(self._tx.mine(_LINKS), _LINKS.c.responder_id == responder.id),
        )
        for endpoint in dict.fromkeys(responder.endpoints):
            self._tx.add(_LINKS, {"responder_id": responder.id, "endpoint": endpoint})

    async def get_responder(self, responder_id: str) -> Responder:
        return await self._get_held(_RESPONDERS, responder_id, "responder")

    async def responders(self) -> Sequence[Responder]:
        """Sorted by id."""
        return await self._all(
            _RESPONDERS, self._select(_RESPONDERS).order_by(people.responders.c.id)
        )

    async def find_by_endpoint(self, endpoint: Endpoint) -> Responder | None:
        """The first by id, should several share the address."""
        return await self._find(
            _RESPONDERS,
            self._select(_RESPONDERS)
            .where(
                self._tx.mine(_LINKS),
                _LINKS.c.endpoint == endpoint,
                _LINKS.c.responder_id == people.responders.c.id,
            )
            .order_by(people.responders.c.id)
            .limit(1),
        )
