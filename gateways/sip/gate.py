"""How much one source may say, decided before a byte of it is read.

A message that is not admitted is dropped: an answer would cost more than the message and could be aimed at somebody
else by a forged address. Whoever is meant well sends it again (RFC 3261 §17.1). Sources are token buckets:

- a far end (address and port) that proved itself by a digest lately, or is registered, has a wide one of its own, so
  that a phone does not suffer from its neighbour behind the same NAT;
- all others share the one of their address (of their /64), however many ports they send from,
- and among themselves one for all strangers together, because a source address is quickly forged;
- peers that are known by address (proxies, trunks) have none.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import structlog

from commhub.kit.clock import Clock
from gateways.sip import metrics
from gateways.sip.bucket import Bucket
from gateways.sip.config import RateConfig
from gateways.sip.origins import source_of
from gateways.sip.transport import Hop
from gateways.sip.urgency import Urgency

log = structlog.get_logger(__name__)

_MAX_SOURCES = 20_000
_MAX_PROVED = 50_000
_CALM_AFTER_S = 10.0


class Gate:
    """Admits or drops messages, by source."""

    def __init__(
        self,
        clock: Clock,
        rates: RateConfig,
        is_known: Callable[[Hop], bool],
        urgency: Urgency | None = None,
    ) -> None:
        self._clock = clock
        self._urgency = urgency
        self._rates = rates
        self._is_known = is_known
        self._strangers: OrderedDict[str, Bucket] = OrderedDict()
        self._proved: OrderedDict[Hop, tuple[float, Bucket]] = OrderedDict()
        self._everybody = Bucket(rates.strangers, clock.monotonic())
        self._loud: dict[str, Bucket] = {}

    def prove(self, source: Hop) -> None:
        """This far end answered a challenge, or is a registered contact."""
        now = self._clock.monotonic()
        found = self._proved.pop(source, None)
        bucket = found[1] if found else Bucket(self._rates.proved, now)
        self._proved[source] = (now + self._rates.proved_for_s, bucket)
        while len(self._proved) > _MAX_PROVED:
            self._proved.popitem(last=False)

    def admits(self, source: Hop, data: bytes = b"") -> bool:
        """Whether a message from there is read; `data` says whether it is one of an urgent call. Never raises."""
        now = self._clock.monotonic()
        proved = self._proved.get(source)
        if proved is not None and proved[0] > now:
            bucket = proved[1]
            if bucket.take(self._rates.proved, now):
                return True
            if self._urgency is not None and self._urgency.passes(data, source):
                return True
            metrics.THROTTLED.labels("proved").inc()
        elif self._is_known(source):
            return True
        else:
            bucket = self._bucket_of(source.host, now)
            if not bucket.take(self._rates.stranger, now):
                metrics.THROTTLED.labels("source").inc()
            elif self._everybody.take(self._rates.strangers, now):
                return True
            else:
                # One of many: no reason to call this one loud.
                metrics.THROTTLED.labels("everybody").inc()
                return False
        self._note(source.host, bucket, now)
        return False

    def _bucket_of(self, host: str, now: float) -> Bucket:
        place = source_of(host)
        bucket = self._strangers.get(place)
        if bucket is None:
            bucket = self._strangers[place] = Bucket(self._rates.stranger, now)
            while len(self._strangers) > _MAX_SOURCES:
                self._strangers.popitem(last=False)
        else:
            self._strangers.move_to_end(place)
        return bucket

    def _note(self, host: str, bucket: Bucket, now: float) -> None:
        bucket.dropped += 1
        bucket.dropped_at = now
        place = source_of(host)
        if place not in self._loud and len(self._loud) < _MAX_SOURCES:
            self._loud[place] = bucket
            metrics.THROTTLED_SOURCES.set(len(self._loud))
            log.warning("sip_source_throttled", source=place)

    async def run(self) -> None:
        """Look after the sources until cancelled."""
        while True:
            await asyncio.sleep(_CALM_AFTER_S / 2)
            self.settle()

    def settle(self) -> None:
        """Say which sources have become calm again; called now and then."""
        now = self._clock.monotonic()
        for place, bucket in list(self._loud.items()):
            if now - bucket.dropped_at >= _CALM_AFTER_S:
                del self._loud[place]
                log.info("sip_source_calm", source=place, dropped=bucket.dropped)
                bucket.dropped = 0
        metrics.THROTTLED_SOURCES.set(len(self._loud))
