"""How two hubs meet: who speaks first, what each proves, and the link that comes of it.

The lower hub connects with a token of its own; the upper one checks it and says hello with a token that answers that very one, so that neither
can be played back to anybody; then the lower one says hello. Whoever refuses says why before it closes.
"""

from collections import OrderedDict
from collections.abc import Mapping

from commhub.domain.tier import Peering
from commhub.kit.clock import Clock
from commhub.ports.tiers import TierIn, TierOutbox
from gateways.tiers.config import TierConfig
from gateways.tiers.errors import Code, LinkDownError
from gateways.tiers.frames import encode, text_of
from gateways.tiers.hello import Pipe, Theirs, hear_hello, hello
from gateways.tiers.keys import Claims, HubKeys, issuer_of, read_token, token_id
from gateways.tiers.link import Link

_REMEMBERED = 4096


class Meeting:
    """Makes links of connections."""

    def __init__(
        self, config: TierConfig, keys: HubKeys, inward: TierIn, outbox: TierOutbox, clock: Clock
    ) -> None:
        self._config = config
        self._keys = keys
        self._inward = inward
        self._outbox = outbox
        self._clock = clock
        self._seen: OrderedDict[str, None] = OrderedDict()

    @property
    def newest_key(self) -> str | None:
        """The key that is getting round, when there is one; another process may have made it."""
        self._keys.reload()
        return self._keys.public[0] if self._keys.is_renewing else None

    def token_for(self, peer: str, answers: str | None = None) -> str:
        return self._keys.token(self._config.us, peer, self._clock.now(), answers)

    async def known_by(self, token: str) -> tuple[Peering, Claims]:
        """Whose connection this is. Raises LinkDownError."""
        peering = await self._outbox.peering(issuer_of(token))
        if peering is None:
            raise LinkDownError(
                Code.UNKNOWN_PEER, f"{self._config.us} is not paired with a hub of that name"
            )
        claims = self._check(peering, token)
        if claims.token_id in self._seen:
            raise LinkDownError(Code.REPLAYED, "this token was used before: make a new one")
        self._seen[claims.token_id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        await self._outbox.keys_told(peering.peer, claims.keys)
        return peering, claims

    async def as_upper(self, pipe: Pipe, peering: Peering, claims: Claims) -> Link:
        """A lower hub has connected and proved itself. Raises LinkDownError, GoneError."""
        key = await self._say_hello(pipe, peering.peer, answers=claims.token_id)
        theirs = await hear_hello(pipe, peering.peer, self._config)
        return await self._link(pipe, peering, theirs, claims.skew_s, key)

    async def as_lower(self, pipe: Pipe, peering: Peering, token: str) -> Link:
        """We have connected with `token`. Raises LinkDownError, GoneError."""
        theirs = await hear_hello(pipe, peering.peer, self._config)
        claims = self._check(peering, text_of(theirs, "token"))
        if claims.answers != token_id(token):
            raise LinkDownError(Code.REPLAYED, f"{peering.peer} answers another connection")
        await self._outbox.keys_told(peering.peer, claims.keys)
        key = await self._say_hello(pipe, peering.peer, answers=claims.token_id)
        return await self._link(pipe, peering, theirs, claims.skew_s, key)

    def _check(self, peering: Peering, token: str) -> Claims:
        if not peering.is_active:
            raise LinkDownError(
                Code.REVOKED, f"{self._config.us} has revoked the peering with {peering.peer}"
            )
        claims = read_token(token, us=self._config.us, keys=peering.keys, now=self._clock.now())
        if claims.issuer != peering.peer:
            raise LinkDownError(
                Code.UNKNOWN_PEER, f"the token is of another hub than {peering.peer}"
            )
        return claims

    async def _say_hello(self, pipe: Pipe, peer: str, answers: str) -> str:
        """Our newest key, which the peer knows from then on."""
        epoch, reached = await self._outbox.epoch(), await self._inward.reached(peer)
        newest = self._keys.public[0]
        token = self.token_for(peer, answers)
        await pipe.send(encode(hello(self._config, epoch, reached, token)))
        return newest

    async def _link(
        self,
        pipe: Pipe,
        peering: Peering,
        theirs: Mapping[str, object],
        skew_s: float,
        our_key: str,
    ) -> Link:
        epoch = text_of(theirs, "epoch")
        name, sip = str(theirs.get("name") or peering.peer)[:64], theirs.get("sip")
        await self._outbox.met(peering.peer, name, None if sip is None else str(sip)[:128])
        # A peer whose database is another one begins anew.
        of, taken = await self._inward.reached(peering.peer)
        return Link(
            self._config,
            peering.peer,
            pipe,
            self._inward,
            self._outbox,
            self._clock,
            Theirs(epoch=epoch, reached=taken if of == epoch else 0, skew_s=skew_s),
            our_key,
        )
