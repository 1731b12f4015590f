"""All repositories over one transaction, and the facts that will be published once it is committed."""

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
from commhub.db.repositories.timeline import SqlTimeline
from commhub.db.repositories.timers import SqlTimers
from commhub.db.repositories.twilio import SqlTwilioLegs
from commhub.db.transaction import Transaction
from commhub.domain.facts import Fact
from commhub.kit.clock import Clock


class SqlUnitOfWork:
    """Implements commhub.ports.store.UnitOfWork."""

    def __init__(self, transaction: Transaction, clock: Clock) -> None:
        self._transaction = transaction
        self.facts: list[Fact] = []
        self.reports = SqlReports(transaction)
        self.incidents = SqlIncidents(transaction)
        self.tasks = SqlTasks(transaction)
        self.timeline = SqlTimeline(transaction)
        self.timers = SqlTimers(transaction)
        self.messages = SqlMessages(transaction)
        self.directory = SqlDirectory(transaction)
        self.calls = SqlCalls(transaction)
        self.duty = SqlDuty(transaction)
        self.recordings = SqlRecordings(transaction)
        self.rooms = SqlRooms(transaction)
        self.room_records = SqlRoomRecords(transaction)
        self.sip = SqlSip(transaction)
        self.twilio = SqlTwilioLegs(transaction)
        self.fleet = SqlFleet(transaction)
        self.accounts = SqlAccounts(transaction, clock)
        self.audit = SqlAudit(transaction)
        self.idempotency = SqlIdempotency(transaction)

    def record(self, fact: Fact) -> None:
        """A timeline row when the fact has an incident; on the bus after the commit either way."""
        if fact.incident_id is not None:
            self.timeline.append(fact)
        else:
            self._transaction.must_write()
        self.facts.append(fact)
