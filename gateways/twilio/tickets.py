"""Tickets: what a URL or a stream shows to prove that our own TwiML named it.

A ticket is a MAC over its purpose, the leg, the call at Twilio, the leg's generation and an expiry, with a key made
from the account's auth token: so it needs no table and outlives the process. It is good once because the leg's
generation, which is stored, moves on when it is used.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from gateways.twilio.errors import ForgeryError

_MAC_BYTES = 16
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Ticket:
    """`purpose` is `stream` or `resume`; `expires` is Unix time in seconds."""

    purpose: str
    leg_id: str
    call_sid: str
    generation: int
    expires: int


class TicketOffice:
    """Writes tickets and reads them."""

    def __init__(self, auth_token: str) -> None:
        self._key = hmac.digest(auth_token.encode(), b"commhub twilio tickets", hashlib.sha256)

    def write(self, ticket: Ticket) -> str:
        """URL-safe text."""
        fields = (ticket.purpose, ticket.leg_id, ticket.call_sid, ticket.generation, ticket.expires)
        body = "|".join(map(str, fields)).encode()
        return base64.urlsafe_b64encode(self._mac(body) + body).decode().rstrip("=")

    def read(self, text: str, purpose: str, now: float) -> Ticket:
        """Raises ForgeryError for one that is not ours, not for this or too old."""
        if len(text) > _LONGEST or not text.isascii():
            raise ForgeryError("ticket_forged")
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError) as error:
            raise ForgeryError("ticket_forged") from error
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise ForgeryError("ticket_forged")
        written, leg_id, call_sid, generation, expires = body.decode().split("|")
        if written != purpose:
            raise ForgeryError("ticket_for_another_purpose")
        if now > int(expires):
            raise ForgeryError("ticket_expired")
        return Ticket(purpose, leg_id, call_sid, int(generation), int(expires))

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:_MAC_BYTES]
