"""Room tokens: one room, what may be done there, an end; perhaps one participant, one source. For guests, cameras and encoders."""

from dataclasses import asdict

from commhub.kit.clock import Clock
from commhub.ports.rooms import RoomRight, RoomToken
from commhub.ports.video import Layer
from gateways.webrtc.seals import seal, unseal

PREFIX = "room."


class SignedRoomTokens:
    """Implements `commhub.ports.rooms.RoomTokens`."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def sign(self, token: RoomToken) -> str:
        """See `ports.rooms.RoomTokens`."""
        claims = {name: value for name, value in asdict(token).items() if value is not None}
        return seal(PREFIX, claims, self._secret)

    def read(self, text: str) -> RoomToken | None:
        """See `ports.rooms.RoomTokens`."""
        fields = unseal(PREFIX, text, self._secret)
        if fields is None:
            return None
        rights, layer = fields.get("rights"), fields.get("layer")
        try:
            token = RoomToken(
                id=str(fields["id"]),
                room_id=str(fields["room_id"]),
                rights=tuple(RoomRight(str(one)) for one in rights)
                if isinstance(rights, list)
                else (),
                expires_at=int(str(fields["expires_at"])),
                made_by=str(fields["made_by"]),
                participant_id=_text(fields.get("participant_id")),
                source_id=_text(fields.get("source_id")),
                layer=None if layer is None else Layer(int(str(layer))),
            )
        except (ValueError, KeyError):
            return None
        return token if self._clock.now().timestamp() < token.expires_at else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
