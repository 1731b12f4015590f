"""What stands behind the inward call ports in tests of the edges: it accepts or refuses, and remembers."""

from commhub.domain.call import LegState
from commhub.ports.inward import IncomingAccepted, IncomingRefused, ReportReceipt


class RecordingCalls:
    """A `CallsIn`. `events` holds (what, leg id, *rest) in the order told; `refuse_with` refuses every offer. What an
    edge wants written with a step is written to `store`."""

    def __init__(self, store=None):
        self.store = store
        self.events = []
        self.offers = []
        self.refuse_with = None
        self.failures = 0

    def _note(self, *event):
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is away")
        self.events.append(event)

    async def _with(self, also):
        if also is not None and self.store is not None:
            async with self.store.begin() as uow:
                await also(uow)

    async def call_offered(self, incoming, *, also=None):
        self._note("offered", incoming.leg_id)
        self.offers.append(incoming)
        if self.refuse_with is not None:
            return IncomingRefused(cause=self.refuse_with)
        await self._with(also)
        return IncomingAccepted(call_id=f"call-of-{incoming.leg_id}")

    async def leg_ringing(self, leg_id):
        self._note("ringing", leg_id)

    async def leg_connected(self, leg_id, codec, *, also=None):
        await self._with(also)
        self._note("connected", leg_id, codec)

    async def leg_held(self, leg_id):
        self._note("held", leg_id)

    async def leg_ended(self, leg_id, cause, detail, *, also=None):
        await self._with(also)
        self._note("ended", leg_id, cause, detail)

    def told(self, what, leg_id=None):
        """The events of one kind, of one leg if asked."""
        return [e for e in self.events if e[0] == what and leg_id in (None, e[1])]

    def states(self, leg_id):
        """What was told of a leg, in order."""
        return [e[0] for e in self.events if e[1] == leg_id]

    def end_of(self, leg_id):
        """(cause, detail) once the leg has ended, else nothing."""
        ended = self.told("ended", leg_id)
        return ended[0][2:] if ended else None


class RecordingTransfers:
    """A `TransfersIn`. `asked` holds what phones wanted; `refuse_with` refuses all of it; `states` is what
    `state_of` says of a leg that was rung."""

    def __init__(self):
        self.asked = []
        self.refuse_with = None
        self.states = {}

    async def refer(self, leg_id, new_leg_id, number):
        self.asked.append(("refer", leg_id, number))
        self.states.setdefault(new_leg_id, (LegState.REQUESTED, None))
        return self.refuse_with

    async def join(self, leg_id, other_id):
        self.asked.append(("join", leg_id, other_id))
        return self.refuse_with

    async def replace(self, leg_id, incoming):
        self.asked.append(("replace", leg_id, str(incoming.caller)))
        if self.refuse_with is not None:
            return IncomingRefused(cause=self.refuse_with)
        return IncomingAccepted(call_id="the-same-call")

    async def state_of(self, leg_id):
        return self.states.get(leg_id)


class RecordingDigits:
    """A `DigitsIn`: (leg id, digit) in the order pressed."""

    def __init__(self):
        self.pressed = []

    async def dtmf_received(self, leg_id, digit):
        self.pressed.append((leg_id, digit))


class RecordingReports:
    """A `ReportsIn`; `failure` is raised instead of a commit."""

    def __init__(self):
        self.submitted = []
        self.failure = None

    async def submit(self, report):
        if self.failure is not None:
            raise self.failure
        self.submitted.append(report)
        return ReportReceipt(report_id=f"r{len(self.submitted)}")


class RecordingPresence:
    """The part of `PresenceIn` that a SIP edge uses."""

    def __init__(self):
        self.seen = []

    async def phone_seen(self, account, online, agent):
        self.seen.append((account, online, agent))

    def is_online(self, account):
        """The last thing told of the account."""
        last = [online for name, online, _ in self.seen if name == account]
        return bool(last) and last[-1]
