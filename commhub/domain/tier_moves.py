"""What may become of shares, check-ins and supervisions. Pure; both hubs of a peering reckon with these, each for itself, and come to the
same, whatever the order in which a link that was cut brings them the other's words.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final, NoReturn

from commhub.domain.errors import IllegalMoveError
from commhub.domain.incident import ENDED_STAGES
from commhub.domain.tier import (
    CheckIn,
    CheckInState,
    Relation,
    Share,
    ShareKind,
    ShareState,
    Supervision,
    SupervisionState,
    move_share,
)

_ENDED: Final = frozenset(stage.value for stage in ENDED_STAGES)


def has_ended(stage: str | None) -> bool:
    """Whether an incident in that stage, here or at the other hub, is over."""
    return stage in _ENDED


def give(share: Share, kind: ShareKind, at: datetime, by: str, note: str | None) -> Share:
    """The share once more given by us. What the other hub has now it keeps meanwhile, and only the kind and the giver change.
    Raises IllegalMoveError when it was given so already."""
    has_it = share.state in {ShareState.HELD, ShareState.OFFERED}
    if has_it and share.given and share.kind is kind:
        raise IllegalMoveError(
            f"it is with {share.peer} already ({share.kind})", stage=share.state, peer=share.peer
        )
    state = share.state if has_it else ShareState.OFFERED
    return replace(
        share,
        kind=kind,
        given=True,
        state=state,
        updated_at=at,
        by=by,
        note=note or share.note,
        turn=share.turn + 1,
    )


def receive(
    share: Share, kind: ShareKind, turn: int, from_: Relation, at: datetime, by: str
) -> Share:
    """The share once the peer's `turn` of giving it has come. When both gave it at once, which two hubs notice in different orders, the
    turns are equal and the upper hub's word counts; one that ours has overtaken changes nothing."""
    crossed = turn == share.turn and share.given
    if turn > share.turn or (crossed and from_ is Relation.UPPER):
        return replace(
            share,
            kind=kind,
            given=False,
            state=ShareState.HELD,
            updated_at=at,
            by=by,
            turn=turn,
        )
    if turn == share.turn and share.state is not ShareState.HELD:
        return replace(share, state=ShareState.HELD, updated_at=at)
    return share


def settle(share: Share, our_stage: str, at: datetime) -> Share:
    """ENDED once the incident is over at both hubs, and held again as soon as one of them has reopened it."""
    over = has_ended(our_stage) and has_ended(share.their_stage)
    if over and share.state in {ShareState.HELD, ShareState.RETURNED}:
        return move_share(share, ShareState.ENDED, at)
    if not over and share.state is ShareState.ENDED:
        return move_share(share, ShareState.HELD, at)
    return share


# --- 吹哨报到 --------------------------------------------------------------------------------------------


def came(check_in: CheckIn, at: datetime, by: str, note: str | None = None) -> CheckIn:
    """They are there. In time or late is a matter of when they came, not of when a hub heard of it: a link that was down must not
    make anybody late. Who was told meanwhile that they need not come has come all the same. Raises IllegalMoveError."""
    if check_in.came_at is not None:
        raise IllegalMoveError(f"{check_in.unit} is {check_in.state}", stage=check_in.state)
    state = CheckInState.CHECKED_IN if at <= check_in.due_at else CheckInState.LATE
    return replace(check_in, state=state, came_at=at, by=by, note=note or check_in.note)


def stayed_away(check_in: CheckIn, now: datetime) -> CheckIn | None:
    """NO_SHOW when the time is over; None when it is not, or nobody is waited for any more."""
    if not check_in.waits or check_in.due_at > now:
        return None
    return replace(check_in, state=CheckInState.NO_SHOW)


def withdrawn(check_in: CheckIn, note: str | None) -> CheckIn:
    """They need not come. Raises IllegalMoveError when they did."""
    if check_in.state not in {CheckInState.CALLED, CheckInState.NO_SHOW}:
        raise IllegalMoveError(f"{check_in.unit} is {check_in.state}", stage=check_in.state)
    return replace(check_in, state=CheckInState.WITHDRAWN, note=note or check_in.note)


# --- 督办 ------------------------------------------------------------------------------------------------


def answered(order: Supervision, at: datetime, by: str, answer: str) -> Supervision:
    """Answered, in time or not; an answer that crosses with the lifting of the order stands. Raises IllegalMoveError."""
    if order.answered_at is not None:
        _refuse(order)
    return replace(
        order, state=SupervisionState.ANSWERED, answered_at=at, answered_by=by, answer=answer
    )


def lifted(order: Supervision) -> Supervision:
    """Who ordered it wants it no more. Raises IllegalMoveError."""
    if not order.waits:
        _refuse(order)
    return replace(order, state=SupervisionState.LIFTED)


def overdue(order: Supervision, now: datetime) -> Supervision | None:
    """OVERDUE when the time is over; None when it is not, or it is settled."""
    if order.state is not SupervisionState.OPEN or order.due_at > now:
        return None
    return replace(order, state=SupervisionState.OVERDUE)


def _refuse(order: Supervision) -> NoReturn:
    raise IllegalMoveError(f"this supervision is {order.state}", stage=order.state)
