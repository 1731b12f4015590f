"""Leg tokens: one leg, one right, an end. For clients that have no account, such as a recorder or an encoder."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

from gateways.webrtc.seals import seal, unseal

PREFIX = "leg."


class Right(StrEnum):
    """Who may talk may listen as well."""

    TALK = "talk"
    LISTEN = "listen"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegToken:
    """`expires_at` is in seconds of Unix time; `made_by` the actor who is answerable."""

    leg_id: str
    right: Right
    expires_at: int
    made_by: str

    def allows(self, leg_id: str, right: Right) -> bool:
        return self.leg_id == leg_id and self.right in (Right.TALK, right)

    @property
    def ends(self) -> datetime:
        return datetime.fromtimestamp(self.expires_at, UTC)


def sign(token: LegToken, secret: bytes) -> str:
    """The token as text for `Authorization: Bearer`."""
    return seal(PREFIX, asdict(token), secret)


def read(text: str, secret: bytes, now: datetime) -> LegToken | None:
    """The token, when we signed it and its time is not over; None for anything else."""
    fields = unseal(PREFIX, text, secret)
    if fields is None:
        return None
    try:
        token = LegToken(
            leg_id=str(fields["leg_id"]),
            right=Right(str(fields["right"])),
            expires_at=int(str(fields["expires_at"])),
            made_by=str(fields["made_by"]),
        )
    except (ValueError, KeyError):
        return None
    return token if now.timestamp() < token.expires_at else None
