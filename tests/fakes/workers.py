"""Media workers that carry no audio: they give ports, keep a journal, die and come back when the test says so."""

from dataclasses import asdict

from bridges import protocol
from bridges.errors import WorkerLostError
from bridges.journal import Journal
from bridges.restoring import restore
from commhub.domain.errors import NotFoundError, UnavailableError
from commhub.ports.media import EngineStatus, LegMeter, MediaOrder, Placement


class FakeWorker:
    """`orders` is everything that arrived, oldest first; `legs` the call and port of each leg it has."""

    def __init__(self, name, first_port, *, max_legs=100):
        self.name = name
        self.first_port = self.next_port = first_port
        self.max_legs = max_legs
        self.busy = 0.1
        self.orders = []
        self.legs = {}
        self.journal = Journal()
        self.taken_ports = set()
        self.boots = 0
        self.is_connected = False
        self.hung = False
        self.refuses = {}
        self.welcome = None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    # What a test does -----------------------------------------------------------------------------------------

    async def start(self):
        """A process begins, takes up its journal and is reached."""
        self.boots += 1
        self.legs = {}
        for leg_id in restore(list(self.journal.orders()), self._carry_out):
            self.journal.keep(protocol.ReleaseArgs(leg_id))
        await self.meet()

    async def meet(self):
        """Control reaches the process that is there."""
        await self.welcome(self.status(), self._answer)
        self.is_connected = True

    def kill(self, *, and_journal=False):
        self.is_connected = False
        self.legs = {}
        if and_journal:
            self.journal = Journal()

    def lose_sight(self):
        """The connection is lost, the process lives."""
        self.is_connected = False

    def of_kind(self, kind):
        return [order for order in self.orders if isinstance(order, kind)]

    # The worker ---------------------------------------------------------------------------------------------------

    async def ask(self, args):
        if not self.is_connected or self.hung:
            raise WorkerLostError("the worker is not there")
        return await self._answer(args)

    async def _answer(self, args):
        match args:
            case protocol.StatusArgs():
                return asdict(self.status())
            case protocol.LoadArgs():
                return asdict(
                    protocol.WorkerLoad(
                        boot_id=str(self.boots),
                        legs=len(self.legs),
                        max_legs=self.max_legs,
                        busy=self.busy,
                        counts={"ticks": 50},
                    )
                )
            case protocol.JournalArgs():
                return [protocol.request(0, kept) for kept in self.journal.orders()]
        self.orders.append(args)
        result = self._carry_out(args)
        self.journal.keep(args, result)
        return result

    def _carry_out(self, args):
        if error := self.refuses.get(type(args)):
            raise error
        match args:
            case MediaOrder():
                return self._reserve(args)
            case protocol.JoinGroupArgs(call_id, leg_id):
                self.legs[leg_id] = (call_id, 0)
            case protocol.AnswerArgs(order):
                self.legs[order.leg_id] = (order.call_id, 0)
                return "an answer"
            case protocol.ReleaseArgs(leg_id):
                self.legs.pop(leg_id, None)
            case protocol.MoveArgs(leg_id, call_id):
                self.legs[leg_id] = (call_id, self.legs[leg_id][1])
            case protocol.ConnectArgs(leg_id=leg_id) | protocol.ShapeArgs(leg_id=leg_id):
                if leg_id not in self.legs:
                    raise NotFoundError("no such leg")
        return None

    def _reserve(self, order):
        if order.leg_id not in self.legs:
            if len(self.legs) >= self.max_legs:
                raise UnavailableError("no room")
            used = {port for _, port in self.legs.values()} | self.taken_ports
            port = order.port
            if port in used or not self.first_port <= port < self.first_port + 1000:
                while self.next_port in used:
                    self.next_port += 2
                port = self.next_port
            self.legs[order.leg_id] = (order.call_id, port)
        return {"host": "127.0.0.1", "port": self.legs[order.leg_id][1]}

    def status(self):
        meters = [
            LegMeter(
                leg_id=leg, call_id=call, received=7, sent=7, lost=1, level_dbov=-30.0, silent_s=0.0
            )
            for leg, (call, _) in self.legs.items()
        ]
        return EngineStatus(worker=self.name, boot_id=str(self.boots), legs=meters)


class FakePlacements:
    """Calls that live: `legs` by call, `workers` what was recorded, `radio` the calls with a group."""

    def __init__(self):
        self.legs = {}
        self.workers = {}
        self.radio = set()

    async def find(self, call_id):
        if call_id not in self.legs:
            return None
        return Placement(
            worker=self.workers.get(call_id),
            with_radio=call_id in self.radio,
        )

    async def live_legs(self, leg_ids):
        return frozenset(leg_ids) & {leg for legs in self.legs.values() for leg in legs}

    async def record(self, call_id, worker):
        self.workers[call_id] = worker
