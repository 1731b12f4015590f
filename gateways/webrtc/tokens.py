"""Leg tokens: one leg, one right, an end. For clients that have no account, such as a recorder or an encoder.

A token is its claims in JSON and their HMAC-SHA256, both base64url without padding, after `leg.`; the form needs
no store, and knowing one tells nothing of another.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

PREFIX = "leg."
_LONGEST = 1024


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
    claims = _encode(json.dumps(asdict(token), separators=(",", ":")).encode())
    return f"{PREFIX}{claims}.{_encode(_mac(claims, secret))}"


def read(text: str, secret: bytes, now: datetime) -> LegToken | None:
    """The token, when we signed it and its time is not over; None for anything else."""
    if not text.startswith(PREFIX) or len(text) > _LONGEST:
        return None
    claims, _, signature = text.removeprefix(PREFIX).partition(".")
    try:
        if not hmac.compare_digest(_decode(signature), _mac(claims, secret)):
            return None
        fields = json.loads(_decode(claims))
        token = LegToken(
            leg_id=str(fields["leg_id"]),
            right=Right(fields["right"]),
            expires_at=int(fields["expires_at"]),
            made_by=str(fields["made_by"]),
        )
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
    return token if now.timestamp() < token.expires_at else None


def _mac(claims: str, secret: bytes) -> bytes:
    return hmac.new(secret, b"commhub leg token\0" + claims.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
