"""All repositories over one transaction, and the facts that will be published once it is committed."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from commhub.db.repositories.accounts import SqlAccounts
from commhub.db.repositories.audit import SqlAudit
from commhub.db.repositories.calls import SqlCalls
from commhub.db.repositories.directory import SqlDirectory
from commhub.db.repositories.duty import SqlDuty
from commhub.db.repositories.fleet import SqlFleet
from commhub.db.repositories.idempotency import SqlIdempotency
from commhub.db.repositories.incidents import SqlIncidents
from commhub.db.repositories.messages import SqlMessages
from commhub.db.repositories.recordings import SqlRecordings
from commhub.db.repositories.reports import SqlReports
from commhub.db.repositories.room_records import SqlRoomRecords
from commhub.db.repositories.rooms import SqlRooms
from commhub.db.repositories.sip import SqlSip
from commhub.db.repositories.tasks import SqlTasks
from commhub.db.repositories.tier_shares import SqlCascades, SqlSharedDirectory, SqlShares
from commhub.db.repositories.tiers import SqlPeerings
from commhub.db.repositories.timeline import SqlTimeline
from commhub.db.repositories.timers import SqlTimers
from commhub.db.repositories.twilio import SqlTwilioLegs
from commhub.db.transaction import Transaction
from commhub.domain.facts import Fact
from commhub.kit.clock import Clock

R = TypeVar("R")


class _Once(Generic[R]):
    """Made when it is first asked for: `functools.cached_property` without its lock, which costs more than all else."""

    def __init__(self, make: Callable[[Any], R]) -> None:
        self._make = make
        self._name = make.__name__

    def __get__(self, unit: Any, owner: type) -> R:
        made = unit.__dict__[self._name] = self._make(unit)
        return made


class SqlUnitOfWork:
    """Implements commhub.ports.store.UnitOfWork. A repository is made when it is first needed."""

    def __init__(self, transaction: Transaction, clock: Clock) -> None:
        self._transaction = transaction
        self._clock = clock
        self.facts: list[Fact] = []

    @_Once
    def reports(self) -> SqlReports:
        return SqlReports(self._transaction)

    @_Once
    def incidents(self) -> SqlIncidents:
        return SqlIncidents(self._transaction)

    @_Once
    def tasks(self) -> SqlTasks:
        return SqlTasks(self._transaction)

    @_Once
    def timeline(self) -> SqlTimeline:
        return SqlTimeline(self._transaction)

    @_Once
    def timers(self) -> SqlTimers:
        return SqlTimers(self._transaction)

    @_Once
    def messages(self) -> SqlMessages:
        return SqlMessages(self._transaction)

    @_Once
    def directory(self) -> SqlDirectory:
        return SqlDirectory(self._transaction)

    @_Once
    def calls(self) -> SqlCalls:
        return SqlCalls(self._transaction)

    @_Once
    def duty(self) -> SqlDuty:
        return SqlDuty(self._transaction)

    @_Once
    def recordings(self) -> SqlRecordings:
        return SqlRecordings(self._transaction)

    @_Once
    def rooms(self) -> SqlRooms:
        return SqlRooms(self._transaction)

    @_Once
    def room_records(self) -> SqlRoomRecords:
        return SqlRoomRecords(self._transaction)

    @_Once
    def sip(self) -> SqlSip:
        return SqlSip(self._transaction)

    @_Once
    def twilio(self) -> SqlTwilioLegs:
        return SqlTwilioLegs(self._transaction)

    @_Once
    def fleet(self) -> SqlFleet:
        return SqlFleet(self._transaction)

    @_Once
    def accounts(self) -> SqlAccounts:
        return SqlAccounts(self._transaction, self._clock)

    @_Once
    def audit(self) -> SqlAudit:
        return SqlAudit(self._transaction)

    @_Once
    def idempotency(self) -> SqlIdempotency:
        return SqlIdempotency(self._transaction)

    @_Once
    def peerings(self) -> SqlPeerings:
        return SqlPeerings(self._transaction)

    @_Once
    def shares(self) -> SqlShares:
        return SqlShares(self._transaction)

    @_Once
    def shared_directory(self) -> SqlSharedDirectory:
        return SqlSharedDirectory(self._transaction)

    @_Once
    def cascades(self) -> SqlCascades:
        return SqlCascades(self._transaction)

    def record(self, fact: Fact) -> None:
        """A timeline row when the fact has an incident; on the bus after the commit either way."""
        if fact.incident_id is not None:
            self.timeline.append(fact)
        else:
            self._transaction.must_write()
        self.facts.append(fact)
