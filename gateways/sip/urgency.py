"""Calls on which a life may depend: what a phone that is known here dials in an emergency, or to reach the duty desk.

No limit that protects the hub from its phones may stand in the way of such a call: neither the one of messages (read
here, before a message is), nor those of legs and transactions, nor a door that was closed for wrong passwords.
"""

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from commhub.kit.clock import Clock
from gateways.sip.bucket import Bucket
from gateways.sip.config import Rate
from gateways.sip.grammar import read_uri
from gateways.sip.message import Request
from gateways.sip.transport import Hop

K = TypeVar("K")
V = TypeVar("V")

IsUrgent = Callable[[str], bool]
"""Whether a number, as it was dialled, is one of these."""

# Ten messages are a call; a phone that says more of emergencies than this is no phone.
_RATE = Rate(per_s=20, burst=200)
_MOST = 2_000
_REQUEST_LINE = re.compile(rb"INVITE ([^ \r\n]{1,256}) SIP/2\.0\r?\n", re.IGNORECASE)
_CALL_ID = re.compile(rb"\r?\n(?:Call-ID|i)[ \t]*:[ \t]*([^\r\n]{1,256})", re.IGNORECASE)


class Urgency:
    """Knows urgent calls from their first message on."""

    def __init__(self, clock: Clock, is_urgent: IsUrgent) -> None:
        self._clock = clock
        self._is_urgent = is_urgent
        self._calls: OrderedDict[tuple[Hop, bytes], None] = OrderedDict()
        self._buckets: OrderedDict[Hop, Bucket] = OrderedDict()

    def dials(self, request: Request) -> bool:
        """Whether a request is such a call."""
        return request.method == "INVITE" and self._means(request.uri)

    def passes(self, data: bytes, source: Hop) -> bool:
        """Whether a message of a phone that has said too much is read all the same: it begins such a call, or belongs to
        one. Never raises."""
        call = _CALL_ID.search(data)
        if call is None:
            return False
        key = (source, call.group(1).strip())
        if key not in self._calls and not self._begins(data):
            return False
        self._calls[key] = None
        _trim(self._calls, key)
        now = self._clock.monotonic()
        bucket = self._buckets.setdefault(source, Bucket(_RATE, now))
        _trim(self._buckets, source)
        return bucket.take(_RATE, now)

    def _begins(self, data: bytes) -> bool:
        line = _REQUEST_LINE.match(data)
        return line is not None and self._means(line.group(1).decode("utf-8", "surrogateescape"))

    def _means(self, uri: str) -> bool:
        try:
            return self._is_urgent(read_uri(uri.partition("?")[0]).user or "")
        except ValueError:
            return False


def _trim(known: OrderedDict[K, V], key: K) -> None:
    """Keep the newest: memory is bounded, whoever dials."""
    known.move_to_end(key)
    while len(known) > _MOST:
        known.popitem(last=False)
