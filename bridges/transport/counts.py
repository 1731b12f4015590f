"""What the WebRTC port counts: plain integers, turned into Prometheus counters once a second."""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class TransportCounts:
    """All since the start of the worker. `checks` are those that were answered, `answers` those to checks of our own.

    Dropped: `strangers` (media or DTLS from an address that proved nothing), `unknown_checks` (a STUN user nobody
    has), `forged_checks` (a wrong password), `shapeless` (neither STUN, DTLS nor RTP), `early_lost` (more media
    before the keys than is kept), `refused_packets` (SRTP that does not verify, or a replay), `crowded` (more
    streams or DTLS records of one peer than it may have), `unsent` (nobody there to send to).
    """

    received: int = 0
    sent: int = 0
    checks: int = 0
    answers: int = 0
    strangers: int = 0
    unknown_checks: int = 0
    forged_checks: int = 0
    shapeless: int = 0
    early: int = 0
    early_lost: int = 0
    refused_packets: int = 0
    crowded: int = 0
    unsent: int = 0
    handshakes: int = 0
    failed_handshakes: int = 0
    peers_gone: int = 0

    def as_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}
