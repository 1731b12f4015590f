"""Where a NAT shows a phone on UDP just now. A mapping lives as long as its router wants; the phone's next REGISTER comes
by the new one, and requests in its calls have to follow (RFC 3581 tells where one request came from, not more).

A phone is known by its account, the NAT's address and the private address of its Contact: two phones behind one NAT
differ in that even where they use the same ports. Kept in memory alone: after a restart of the hub it is learnt again
with each phone's next REGISTER.
"""

from collections import OrderedDict

from gateways.sip.dialogs import hop_of
from gateways.sip.transport import Hop

_REMEMBERED = 20_000

_Key = tuple[str, str, str, int]


class Mappings:
    """The newest mapping of each phone behind a NAT."""

    def __init__(self) -> None:
        self._hops: OrderedDict[_Key, Hop] = OrderedDict()

    def learn(self, account: str, contact: str, source: Hop) -> None:
        """A REGISTER of `contact` came over UDP from `source` and was accepted."""
        key = _key(account, contact, source)
        if key is None:
            return
        self._hops[key] = source
        self._hops.move_to_end(key)
        while len(self._hops) > _REMEMBERED:
            self._hops.popitem(last=False)

    def current(self, hop: Hop, account: str, target: str) -> Hop:
        """`hop`, which a phone once spoke from, or where it is shown since. `target` is its Contact in the call."""
        if not self._hops:
            return hop
        key = _key(account, target, hop)
        return hop if key is None else self._hops.get(key, hop)


def _key(account: str, contact: str, source: Hop) -> _Key | None:
    """None for a phone that no NAT hides, and for a Contact that is none."""
    try:
        private = hop_of(contact, source.transport)
    except ValueError:
        return None
    if source.reliable or private.host == source.host:
        return None
    return (account, source.host, private.host, private.port)
