"""The contacts of an account as those who ring them see them: in which order, and where each is reached."""

from collections.abc import Sequence
from itertools import groupby

from commhub.ports.edge_store import SipBinding
from gateways.sip.dialogs import hop_of, nearest_hop
from gateways.sip.grammar import NameAddr
from gateways.sip.transport import Hop


def choices(bindings: Sequence[SipBinding]) -> list[list[SipBinding]]:
    """The contacts in groups of one preference, the most preferred first (RFC 3261 §16.6 step 6)."""
    in_order = sorted(bindings, key=lambda binding: -binding.q)
    return [list(group) for _, group in groupby(in_order, key=lambda binding: binding.q)]


def is_near(binding: SipBinding) -> bool:
    """Whether the phone's own idea of its address is where its messages come from: then its audio will, too."""
    try:
        return hop_of(binding.contact, binding.transport).host == hop_of_binding(binding).host
    except ValueError:
        return False


def hop_of_binding(binding: SipBinding) -> Hop:
    """Where the phone is reached: by the proxies it registered through (RFC 3327 §5.4), else where its REGISTER came
    from (RFC 3581; RFC 5626 for streams)."""
    if binding.path:
        return hop_of(NameAddr.read(binding.path[0]).uri, binding.transport)
    learned = Hop.parse(binding.received, binding.transport)
    if not learned.reliable:
        return learned
    try:
        return nearest_hop(learned, hop_of(binding.contact, binding.transport))
    except ValueError:
        return learned.as_flow()
