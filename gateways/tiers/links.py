"""The links to all neighbours: `commhub.ports.tiers.TierLinks`. Those to upper hubs are dialled here and dialled again; lower ones come by the door.

One link a peer: whoever connects anew is believed, and the older connection, of which nobody may have noticed yet that it is dead, ends.
"""

import asyncio
import random
import ssl
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from commhub.domain.errors import DomainError, UnavailableError
from commhub.domain.tier import Peering, Relation
from commhub.kit.supervise import Doorbell, run_forever
from commhub.ports.tiers import Body, LinkState, TierIn, TierOutbox
from gateways.tiers.config import TierConfig
from gateways.tiers.errors import Code, GoneError, LinkDownError
from gateways.tiers.frames import MAX_FRAME
from gateways.tiers.link import Link
from gateways.tiers.meeting import Meeting
from gateways.tiers.metrics import UP

log = structlog.get_logger(__name__)

_NOT_YET = "not connected yet"

PATH = "/tiers/link"


class Links:
    """Entered once; its end closes all links."""

    def __init__(
        self, config: TierConfig, meeting: Meeting, inward: TierIn, outbox: TierOutbox
    ) -> None:
        self._config = config
        self._meeting = meeting
        self._inward = inward
        self._outbox = outbox
        self._links: dict[str, Link] = {}
        self._why_down: dict[str, tuple[str, str]] = {}
        self._waiting: dict[str, int] = {}
        self._dialled: dict[str, tuple[str | None, asyncio.Task[None]]] = {}
        self._active: frozenset[str] | None = None
        self._bell = Doorbell()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Links":
        for name, work in (("tier-neighbours", self._follow), ("tier-waiting", self._count)):
            self._tasks.append(asyncio.create_task(run_forever(name, work), name=name))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for link in list(self._links.values()):
            link.end(Code.STOPPING, f"{self._config.us} is being stopped")
        tasks = [*self._tasks, *(task for _, task in self._dialled.values())]
        # A goodbye takes a moment; whoever does not hear it notices the silence.
        await asyncio.wait([asyncio.create_task(asyncio.sleep(0.1)), *tasks], timeout=0.2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- commhub.ports.tiers.TierLinks -------------------------------------------------------------------

    def wake(self, peer: str | None = None) -> None:
        for link in self._links.values():
            if peer in (None, link.peer):
                link.wake()

    def state_of(self, peer: str) -> LinkState:
        link = self._links.get(peer)
        waiting = self._waiting.get(peer, 0)
        if link is None:
            code, reason = self._why_down.get(peer, (None, _NOT_YET))
            return LinkState(peer=peer, up=False, reason=reason, code=code, waiting=waiting)
        return LinkState(peer=peer, up=True, waiting=waiting, rtt_s=link.rtt_s, skew_s=link.skew_s)

    def knows(self, peer: str) -> bool:
        return self._active is None or peer in self._active or peer in self._links

    async def ask(self, peer: str, kind: str, body: Body, timeout_s: float = 10.0) -> Body:
        return await self._link_to(peer).ask(kind, body, timeout_s)

    def tell(self, peer: str, kind: str, body: Body) -> bool:
        link = self._links.get(peer)
        if link is None:
            return False
        link.tell(kind, body)
        return True

    def drop(self, peer: str, reason: str) -> None:
        if link := self._links.get(peer):
            link.end(Code.REVOKED, reason)
        self._bell.ring()

    def dial(self, peer: str) -> None:
        del peer  # whoever is new is found by looking
        self._bell.ring()

    def _link_to(self, peer: str) -> Link:
        link = self._links.get(peer)
        if link is None:
            _, why = self._why_down.get(peer, (None, _NOT_YET))
            raise UnavailableError(f"the link to {peer} is down: {why}", peer=peer)
        return link

    @property
    def newest_key(self) -> str | None:
        """The key of ours that is getting round, when there is one."""
        return self._meeting.newest_key

    def knowing(self, key: str) -> list[str]:
        """The peers that were told that key of ours."""
        return [peer for peer, link in self._links.items() if link.our_key == key]

    # --- a link's life -----------------------------------------------------------------------------------

    async def carry(self, link: Link) -> LinkDownError:
        """Have the link of a peer, in the place of the one there is, and carry it until it ends."""
        peer = link.peer
        if older := self._links.get(peer):
            older.end(Code.REPLACED, f"{peer} has connected anew")
        self._links[peer] = link
        UP.labels(peer).set(1)
        log.info("tier_link_up", peer=peer)
        why = LinkDownError(Code.STOPPING, f"{self._config.us} is being stopped")
        running = asyncio.create_task(link.run(), name=f"tier-link-{peer}")
        try:
            if older is None:
                await self._tell_moved(peer, True, None)
            why = await asyncio.shield(running)
        finally:
            running.cancel()
            # A fault that it ended by is on its way up already, and the link is down all the same.
            with suppress(asyncio.CancelledError, Exception):
                await running
            if self._links.get(peer) is link:
                del self._links[peer]
                UP.labels(peer).set(0)
                self._why_down[peer] = (why.code, why.reason)
                log.warning("tier_link_down", peer=peer, code=why.code, reason=why.reason)
                await self._tell_moved(peer, False, why.reason)
        return why

    async def refused(self, peer: str, why: LinkDownError) -> None:
        """A link did not come about. That a clock is off is told once: only people can set it."""
        before, _ = self._why_down.get(peer, (None, _NOT_YET))
        self._why_down[peer] = (why.code, why.reason)
        if why.code == Code.CLOCK_OFF != before and peer not in self._links:
            await self._tell_moved(peer, False, why.reason)

    async def _tell_moved(self, peer: str, up: bool, reason: str | None) -> None:
        try:
            await self._inward.link_moved(peer, up, reason)
        except DomainError as error:
            log.warning("tier_link_not_told", peer=peer, up=up, reason=str(error))

    # --- those we dial -----------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Dial every upper neighbour there is, and none that is gone or revoked."""
        while True:
            active = {p.peer: p for p in await self._outbox.peerings() if p.is_active}
            self._active = frozenset(active)
            self._end_old_links(active)
            self._dial_all(
                {n: p for n, p in active.items() if p.relation is Relation.UPPER and p.url}
            )
            await self._bell.wait(self._config.look_every_s)

    def _end_old_links(self, active: Mapping[str, Peering]) -> None:
        """Those of whom we know no more, and those that have not heard of our new key: they come back and hear of it."""
        key = self._meeting.newest_key
        for link in list(self._links.values()):
            if link.peer not in active:
                self.drop(link.peer, f"{self._config.us} has revoked the peering with {link.peer}")
            elif key is not None and link.our_key != key:
                link.end(Code.RENEWING, f"{self._config.us} has a new key to tell")

    def _dial_all(self, upper: Mapping[str, Peering]) -> None:
        for name, (url, task) in list(self._dialled.items()):
            if name not in upper or upper[name].url != url or task.done():
                task.cancel()
                del self._dialled[name]
        for name, peering in upper.items():
            if name not in self._dialled:
                keep = asyncio.create_task(self._keep(name), name=f"tier-dial-{name}")
                self._dialled[name] = (peering.url, keep)

    async def _keep(self, peer: str) -> None:
        """Connect, and again whenever the link ends."""
        delay_s = self._config.again_s
        while True:
            try:
                peering = await self._outbox.peering(peer)
                if peering is None or not peering.is_active or not peering.url:
                    return
                why = await self._connect(peering)
                delay_s = self._config.again_s
            except LinkDownError as error:
                why = error
            except UnavailableError as error:
                why = LinkDownError(Code.FAULT, str(error))
            if self._why_down.get(peer) != (why.code, why.reason):
                log.warning("tier_not_connected", peer=peer, code=why.code, reason=why.reason)
            await self.refused(peer, why)
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            delay_s = min(delay_s * 2, self._config.again_at_most_s)

    async def _connect(self, peering: Peering) -> LinkDownError:
        """Why the link that came of it ended. Raises LinkDownError when none did."""
        token = self._meeting.token_for(peering.peer)
        url = link_url(peering.url or "")
        try:
            async with connect(
                url,
                additional_headers={"Authorization": f"Bearer {token}"},
                ssl=self._trust() if url.startswith("wss:") else None,
                open_timeout=self._config.hello_within_s,
                close_timeout=2,
                max_size=4 * MAX_FRAME,
                ping_interval=None,
                proxy=None,
            ) as socket:
                link = await self._meeting.as_lower(_Dialled(socket), peering, token)
                return await self.carry(link)
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
            raise LinkDownError(Code.GONE, _said(error, peering.url or "")) from error
        except GoneError as error:
            raise LinkDownError(Code.GONE, f"{peering.peer} closed the connection") from error

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._config.ca_file)

    async def _count(self) -> None:
        """How much waits for each peer, for whoever looks."""
        while True:
            for peering in await self._outbox.peerings():
                if peering.is_active:
                    self._waiting[peering.peer] = await self._outbox.how_many_wait(peering.peer)
            await asyncio.sleep(self._config.look_every_s)


def link_url(base: str) -> str:
    """Where the link of a hub at this address is."""
    parts = urlsplit(base)
    scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + PATH, "", ""))


def _said(error: BaseException, url: str) -> str:
    if isinstance(error, InvalidStatus):
        return f"{url} answers {error.response.status_code}: is it a hub, and is its proxy open for {PATH}?"
    if isinstance(error, ssl.SSLError):
        return f"{url} has a certificate we do not trust: {error.reason}"
    if isinstance(error, TimeoutError):
        return f"{url} does not answer"
    return f"{url} cannot be reached: {error}"[:300]


class _Dialled:
    """`gateways.tiers.hello.Pipe` over a connection of ours."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        with _gone():
            await self._socket.send(text)

    async def receive(self) -> str:
        with _gone():
            said = await self._socket.recv()
        return said if isinstance(said, str) else said.decode(errors="replace")

    async def close(self, code: int, reason: str) -> None:
        with _gone():
            await self._socket.close(code, reason[:100])


class _gone:  # noqa: N801 - reads as a statement
    """What a closed connection raises becomes GoneError."""

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, ConnectionClosed | OSError):
            raise GoneError from error
