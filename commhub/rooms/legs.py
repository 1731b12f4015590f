"""Whose leg of a room's call is whose: a browser's, a phone's, or that of another hub's whole half of the room."""

from commhub.domain.call import Direction, Leg
from commhub.domain.people import Scheme
from commhub.domain.room import Participant, ParticipantKind

HUB = "hub:"
"""How the account of a neighbouring hub begins."""


def is_hub(one: Participant) -> bool:
    """Whether it stands for a neighbouring hub with its half of the room."""
    return one.kind is ParticipantKind.TIER and (one.account or "").startswith(HUB)


def is_at(one: Participant, leg: Leg) -> bool:
    """Whether the leg's address is theirs."""
    endpoint = leg.endpoint
    if endpoint.hub is not None and _is_other_half(leg):
        return one.account == f"{HUB}{endpoint.hub}"
    if endpoint.scheme is Scheme.ROOM and endpoint.hub is None:
        return one.id == endpoint.name
    return one.endpoint == endpoint


def _is_other_half(leg: Leg) -> bool:
    """Whether it carries all voices of another hub's half of the room: we dialled their room, or their room ours."""
    return leg.endpoint.scheme is Scheme.ROOM or leg.direction is Direction.INBOUND
