"""Giving a worker the orders of its journal again: what can be had is as it was, what cannot is not there at all.

A leg whose port somebody else took meanwhile would be heard by nobody, so it is let go; control sees that it is
missing and knows what to do about it.
"""

from collections.abc import Callable, Iterable, Mapping

import structlog

from bridges import protocol
from bridges.journal import KeptArgs
from bridges.protocol import EngineArgs
from commhub.domain.errors import DomainError
from commhub.ports.media import MediaOrder

log = structlog.get_logger(__name__)


def restore(
    orders: Iterable[KeptArgs], carry_out: Callable[[EngineArgs], object]
) -> frozenset[str]:
    """Carry out the orders, in their order; returns the legs that could not be had again."""
    lost: set[str] = set()
    for args in orders:
        if isinstance(args, protocol.AnswerArgs):
            lost.add(args.order.leg_id)
            continue
        leg_id = getattr(args, "leg_id", None)
        if leg_id in lost:
            continue
        reason = _carry_out(args, carry_out)
        if reason is None:
            continue
        log.warning("order_not_restored", what=type(args).__name__, leg_id=leg_id, reason=reason)
        if isinstance(leg_id, str):
            lost.add(leg_id)
            carry_out(protocol.ReleaseArgs(leg_id))
    return frozenset(lost)


def _carry_out(args: EngineArgs, carry_out: Callable[[EngineArgs], object]) -> str | None:
    """Why the order could not be carried out as it was before; None when it was."""
    try:
        result = carry_out(args)
    except DomainError as error:
        return str(error)
    given = result.get("port") if isinstance(result, Mapping) else None
    if isinstance(args, MediaOrder) and args.port not in {0, given}:
        return f"port {args.port} is taken"
    return None
