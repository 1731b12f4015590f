"""The SIP edge as wiring sees it: one async context manager that is also the leg driver of `sip:` endpoints.

Datagrams are parsed and matched here; whatever needs the store runs in a task of its own (a leg's actor, or a
bounded number of tasks for requests that open something), so that the loop turns on.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from types import TracebackType

import structlog

from commhub.domain.call import Cause
from commhub.domain.people import Endpoint
from commhub.kit.clock import Clock
from commhub.kit.supervise import run_forever
from commhub.ports.inward import CallsIn, PresenceIn
from commhub.ports.media import MediaEngine, RtpAddress
from commhub.ports.store import Store
from commhub.ports.telephony import LegOrder
from gateways.sip import metrics
from gateways.sip.config import SipConfig
from gateways.sip.core import NOTHING_MORE, Core, Inward, Routes
from gateways.sip.digest import Authenticator
from gateways.sip.doorman import Doorman
from gateways.sip.entrance import Entrance
from gateways.sip.gate import Gate
from gateways.sip.guests import Guests, Visiting
from gateways.sip.inbound import Inbound, Takers
from gateways.sip.lamps import Lamps, LitTransfers
from gateways.sip.ledger import Chapter, Page, UnreadablePageError
from gateways.sip.legs import (
    Answer,
    HangUp,
    KeyframeWished,
    Leg,
    Probe,
    Readdressed,
    Repictured,
    Stage,
)
from gateways.sip.origins import Proxies
from gateways.sip.pictures import Pictures
from gateways.sip.registrar import Registrar
from gateways.sip.resume import Outward, stage_of
from gateways.sip.shedding import Shedding
from gateways.sip.text_channel import SipTextChannel
from gateways.sip.texts import TextIntake
from gateways.sip.transactions import TransactionLayer
from gateways.sip.transport import Hop
from gateways.sip.trunks.arrival import Arrivals
from gateways.sip.trunks.dial import Dial, Otherwise
from gateways.sip.trunks.dialling import Choosing
from gateways.sip.trunks.lines import Lines
from gateways.sip.trunks.numbers import Route
from gateways.sip.trunks.toll import Alarm, unheard
from gateways.sip.uac import Placing
from gateways.sip.uas import Reception
from gateways.sip.urgency import Urgency
from gateways.sip.watchers import Watchers
from gateways.sip.wheel import TimerWheel
from gateways.sip.wires import Wires

log = structlog.get_logger(__name__)

_REMEMBERED_LEGS = 10_000
_GOODBYE_WITHIN_S = 3.0


class SipGateway:
    """Registrar and user agent on its ports. Implements `LegDriver` and `Readdressing` of
    `commhub.ports.telephony`.

    Entering takes up the dialogs of a former process before it returns. Leaving keeps calls as they are (their
    audio is in the media worker, their dialogs in the store) unless `hang_up_on_stop` is set.
    """

    def __init__(
        self,
        config: SipConfig,
        store: Store,
        media: MediaEngine,
        calls: CallsIn,
        presence: PresenceIn,
        clock: Clock,
        alarm: Alarm = unheard,
        more: Inward = NOTHING_MORE,
    ) -> None:
        self._config = config
        self._lamps = Lamps(calls)
        self._core = Core(config, store, media, self._lamps, clock)
        self._proxies = Proxies(config.proxies)
        urgency = Urgency(clock, more.is_urgent)
        self._gate = Gate(clock, config.rates, self._is_known, urgency)
        self._authenticator = authenticator = Authenticator(
            config, store, clock, self._gate.prove, urgency.dials
        )
        self._guests = Guests(clock)
        doorman = Doorman(authenticator, self._is_peer, self._guests.are_called)
        shedding = Shedding(
            clock,
            doorman,
            is_behind=lambda: more.is_behind() or self._core.opening >= config.max_opening,
            # Who was told to call is no stranger: turned away, the far end would have rung for nothing.
            is_urgent=lambda request: urgency.dials(request) or self._guests.are_called(request),
            # Whoever was challenged has first claim, but not to a place that makes everybody wait too long.
            has_begun=lambda request, source: (
                self._core.opening < 2 * config.max_opening
                and authenticator.was_just_challenged(request, source)
            ),
        )
        self._registrar = Registrar(self._core, store, presence, clock, authenticator)
        reception = Reception(self._core, authenticator)
        self._watchers = Watchers(
            self._core, store, doorman, self._registrar, self._lamps, self._spawn
        )
        if more.transfers is not None:
            self._core.transfers = LitTransfers(more.transfers, self._lamps)
        self._core.digits = more.digits
        self._core.alarm, self._core.is_emergency = alarm, more.is_emergency
        self._core.is_urgent = urgency.dials
        if more.reports is not None:
            self._core.texts = TextIntake(self._core, reception, more.reports, clock)
        self.lines = Lines(self._core, config.trunks, clock, alarm)
        """The trunks, by name."""
        self.heir: Otherwise | None = None
        """Takes on the calls of a former process that no line could carry, where they were to be taken on."""
        self._alarm = alarm
        self._entrance = entrance = Entrance(
            self._core, self._gate, doorman, shedding, urgency, clock
        )
        self._transport = Wires(config, entrance.receive, entrance.unreadable, entrance.lost)
        self._routes: Routes[Leg] = Routes()
        self._legs: dict[str, Leg] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._quiet = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        takers = Takers(
            doorman=doorman,
            urgency=urgency,
            registrar=self._registrar,
            watchers=self._watchers,
            reception=reception,
            arrivals=Arrivals(self._core, self.lines, alarm),
            guests=self._guests,
        )
        self._inbound = Inbound(self._core, self._routes, takers, self, self._spawn)

    @property
    def port(self) -> int:
        """The port of UDP and TCP that is bound, also when 0 was asked for."""
        return self._transport.port

    @property
    def tls_port(self) -> int | None:
        """The port of TLS; None where there is no certificate."""
        return self._transport.tls_port

    @property
    def legs(self) -> int:
        """How many legs this edge carries now, ringing and leaving ones too."""
        return len(self._legs)

    @property
    def waited_s(self) -> float:
        """How long the oldest message waits to be read, in seconds."""
        return self._transport.waited_s

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another leg."""
        return len(self._legs) >= self._config.max_legs

    def errors_of(self, host: str) -> int:
        """How many malformed messages came from an address."""
        return self._entrance.errors_of(host)

    def carry(self, channel: SipTextChannel) -> None:
        """Have the channel's texts go to the phones of this edge."""
        channel.connect(self._core, self._registrar)

    # --- life ----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "SipGateway":
        await self._transport.__aenter__()
        self._wheel = TimerWheel(asyncio.get_running_loop())
        layer = TransactionLayer(
            self._wheel,
            self._config.timers,
            self._transport.send,
            self._inbound,
        )
        self._core.listen(layer, self._transport)
        await self._tasks.__aenter__()
        try:
            await self._resume()
        except BaseException:
            await self._close()
            raise
        self._spawn(run_forever("sip-registrar", self._registrar.run), "sip-registrar")
        self._spawn(run_forever("sip-gate", self._gate.run), "sip-gate")
        self._spawn(run_forever("sip-ledger", self._core.ledger.run), "sip-ledger")
        self._spawn(run_forever("sip-watchers", self._watchers.run), "sip-watchers")
        if self.lines:
            self._spawn(self.lines.run(), "sip-lines")
        log.info("sip_listening", port=self.port, tls_port=self.tls_port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._config.hang_up_on_stop:
            await self._hang_up_all()
        await self._close()

    async def _close(self) -> None:
        self._entrance.is_open = False
        for task in list(self._running):
            task.cancel()
        self._core.layer.close()
        self._wheel.close()
        await self._transport.__aexit__(None, None, None)
        await self._tasks.__aexit__(None, None, None)
        await self._core.tell("rows", self._core.ledger.flush)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = self._tasks.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _hang_up_all(self) -> None:
        for leg in self._legs.values():
            leg.post(HangUp(Cause.CALL_ENDED))
        try:
            async with asyncio.timeout(_GOODBYE_WITHIN_S):
                while self._legs:
                    self._quiet.clear()
                    await self._quiet.wait()
        except TimeoutError:
            log.warning("sip_legs_left_behind", legs=len(self._legs))

    async def _resume(self) -> None:
        """Know every stored dialog before the first datagram is read: an unknown one would be told 481. And every
        registered phone: it is no stranger."""
        for source, account in await self._registrar.sources():
            self._gate.prove(source)
            self._authenticator.know(source, account)
        rows = await self._core.ledger.rows()
        await self._watchers.resume(row.leg_id for row in rows)
        outward = Outward(self.lines, self._alarm, self.heir)
        for row in rows:
            try:
                page = Page.from_row(row)
            except UnreadablePageError as error:
                log.error("sip_dialog_not_resumed", leg_id=row.leg_id, reason=str(error))  # noqa: TRY400 - the reason says it
                await self._core.tell_ended(row.leg_id, Cause.FAILED, "its dialog was lost")
                await self._core.ledger.delete(row.leg_id)
                continue
            if page.chapter is Chapter.PLACED and not page.invites:
                # Nobody was rung yet, so the core still has it as an order, and orders it again.
                await self._core.ledger.delete(row.leg_id)
                continue
            leg = Leg(self._core, self._routes, page.leg_id, page.call_id)
            if page.dialog is not None:
                leg.know(page.dialog)
            if page.seat is not None:
                leg.sit(page.seat, self.lines.find(page.seat.line))
            self.launch(leg, stage_of(leg, page, outward))
        if self._legs:
            log.info("sip_dialogs_resumed", legs=len(self._legs))
        self._entrance.is_open = True

    def launch(self, leg: Leg, stage: Stage) -> None:
        """Have a leg live, from this stage on."""
        self._legs[leg.id] = leg
        leg.start_with(stage)
        self._spawn(self._run(leg), f"sip-leg-{leg.id}")

    async def _run(self, leg: Leg) -> None:
        try:
            await leg.run()
        finally:
            del self._legs[leg.id]
            self._ended[leg.id] = None
            while len(self._ended) > _REMEMBERED_LEGS:
                self._ended.popitem(last=False)
            self._quiet.set()

    def carries(self, leg_id: str) -> bool:
        """Whether a leg is this edge's now, also from a former process."""
        return leg_id in self._legs

    # --- commhub.ports.telephony.LegDriver -----------------------------------------------------------------

    async def place(self, order: LegOrder) -> None:
        """Begin to ring every phone of the account. Until the first INVITE is on record the leg survives a restart by
        the core's row: whoever was asked for and never rang is placed again."""

        if (leg := await self._admit(order)) is not None:
            self._lamps.placed(order)
            self.launch(leg, Placing(leg, order, self._registrar))

    async def dial(self, order: LegOrder, route: Route, otherwise: Otherwise | None = None) -> None:
        """Begin to ring a number outside, over the lines of its route; `otherwise` takes the order on when none of
        them could. Like `place`, but an emergency is never told that the gateway is full."""
        dial = Dial(
            order=order, route=route, lines=self.lines, alarm=self._alarm, otherwise=otherwise
        )
        leg = await self._admit(order, whatever=route.emergency)
        if leg is None:
            return
        try:
            await leg.write(
                Page(leg_id=order.leg_id, call_id=order.call_id, chapter=Chapter.PLACED)
            )
        except BaseException:
            del self._legs[leg.id]
            raise
        self.launch(leg, Choosing(leg, dial))

    # --- commhub.ports.telephony.HubTrunk ------------------------------------------------------------------

    async def call(self, order: LegOrder, uri: str) -> None:
        """Begin to ring a user of another hub's edge. Like `place`."""
        if (leg := await self._admit(order)) is not None:
            self.launch(leg, Visiting(leg, order, uri))

    def expect(self, user: str, caller: Endpoint, for_s: float) -> None:
        """Let the one call in that another hub was told to make."""
        self._guests.expect(user, caller, for_s)

    def forget(self, user: str) -> None:
        self._guests.forget(user)

    async def _admit(self, order: LegOrder, *, whatever: bool = False) -> Leg | None:
        """The leg, known from now on; None for one that is known already, or finds no room."""
        if order.leg_id in self._legs or order.leg_id in self._ended:
            return None
        if self.is_full and not whatever:
            metrics.OVERLOADED.inc()
            await self._core.tell_ended(order.leg_id, Cause.FAILED, "the SIP gateway is full")
            return None
        leg = self._legs[order.leg_id] = Leg(self._core, self._routes, order.leg_id, order.call_id)
        return leg

    async def answer(self, leg_id: str) -> None:
        if leg := self._legs.get(leg_id):
            leg.post(Answer())

    async def hang_up(self, leg_id: str, cause: Cause) -> None:
        if leg := self._legs.get(leg_id):
            # Whoever ends a leg at the core has committed that first (`LegDriver.hang_up`).
            self._lamps.put_out(leg_id)
            leg.post(HangUp(cause, told=True))

    async def probe(self, leg_id: str) -> None:
        if leg := self._legs.get(leg_id):
            leg.post(Probe())

    async def readdress(self, leg_id: str, address: RtpAddress) -> None:
        if leg := self._legs.get(leg_id):
            leg.post(Readdressed(address))

    # --- pictures ------------------------------------------------------------------------------------------

    @property
    def pictures(self) -> Pictures:
        """Those of the legs; to be connected to the rooms and the picture engine."""
        return self._core.pictures

    async def repicture(self, leg_id: str) -> None:
        """What picture the leg is to have may have changed. An unknown leg is fine."""
        if leg := self._legs.get(leg_id):
            leg.post(Repictured())

    async def ask_keyframe(self, leg_id: str) -> None:
        """Have the far end send a whole picture, by signalling. An unknown leg is fine."""
        if leg := self._legs.get(leg_id):
            leg.post(KeyframeWished())

    async def engine_came(self) -> None:
        """The picture engine is there (again), perhaps without what it had."""
        for leg_id in self.pictures.legs:
            if leg_id in self._legs:
                await self.repicture(leg_id)
            else:
                await self.pictures.release(leg_id)

    def _is_known(self, source: Hop) -> bool:
        """Whether messages from there are read however many they are."""
        return self._proxies.has(source.host) or self._is_peer(source)

    def _is_peer(self, source: Hop) -> bool:
        """Whether that far end is known by its address alone; phones are not."""
        return self.lines.of_source(source) is not None
