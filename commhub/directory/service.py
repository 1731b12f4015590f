"""The directory (通讯录): units, responders, and the address book that merges them with phones and devices."""

from collections.abc import Sequence

from commhub.directory.book import Book, Entry
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError
from commhub.domain.people import Responder, Scheme, Unit
from commhub.kit.clock import Clock
from commhub.ports.store import Store, UnitOfWork

# Addresses that say who it is when they answer: these may not be two people's.
_PERSONAL = frozenset({Scheme.WECOM})


class DirectoryService:
    """Use cases of the directory."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def units(self) -> Sequence[Unit]:
        async with self._store.read() as uow:
            return await uow.directory.units()

    async def responders(self) -> Sequence[Responder]:
        async with self._store.read() as uow:
            return await uow.directory.responders()

    async def endpoints(self) -> Sequence[Entry]:
        """The address book, sorted by address."""
        async with self._store.read() as uow:
            book = Book(
                responders=await uow.directory.responders(),
                devices=await uow.fleet.list(),
                accounts=await uow.sip.accounts(),
                bindings=await uow.sip.bindings(),
                users=await uow.accounts.users(),
            )
        return book.entries(self._clock.now())

    async def put_unit(self, uow: UnitOfWork, unit: Unit) -> Unit:
        """Insert or replace by id, in the caller's transaction."""
        await uow.directory.put_unit(unit)
        return unit

    async def put_responder(self, uow: UnitOfWork, responder: Responder) -> Responder:
        """Insert or replace by id, in the caller's transaction. A position is the equipment's to say: it stays.

        Raises InvalidError for an unknown unit or no capacity, ConflictError for somebody else's address.
        """
        if responder.capacity < 1:
            raise InvalidError("a responder's capacity is at least 1")
        try:
            await uow.directory.get_unit(responder.unit_id)
        except NotFoundError as error:
            raise InvalidError("there is no such unit", unit_id=responder.unit_id) from error
        await _check_addresses(uow, responder)
        await uow.directory.put_responder(responder)
        return responder


async def _check_addresses(uow: UnitOfWork, responder: Responder) -> None:
    """A tap is recognised by its address, and WeCom compares user ids without case."""
    mine = {str(e).casefold() for e in responder.endpoints if e.scheme in _PERSONAL}
    if not mine:
        return
    for other in await uow.directory.responders():
        if other.id == responder.id:
            continue
        for endpoint in other.endpoints:
            if endpoint.scheme in _PERSONAL and str(endpoint).casefold() in mine:
                raise ConflictError(
                    "this address is somebody else's", endpoint=str(endpoint), responder_id=other.id
                )
