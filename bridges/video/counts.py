"""What the picture engine counts: plain integers, turned into Prometheus counters by the worker."""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class VideoCounts:
    """All since the start of the worker.

    Inward: `received` RTP packets of pictures, `duplicate`, `too_late` (older than the cache), `shapeless` (no RTP payload), `unknown`
    (of a stream nobody agreed), `recovered` (came by RTX or after a NACK), `probes` (RTX of what is there, or of nothing: browsers
    measure their way with it), `asked` (packets asked for upstream),
    `given_up` (asked for in vain), `restarts` (a source began its numbers anew). Outward: `sent` packets, `unsent` (the socket
    was full or the far end could not be reached), `unsealed` (SRTP refused), `unsegmented` (messages sent packet by
    packet because the path takes no segmentation), `repaired` (sent again), `refused_repairs` (asked for too often, too late
    or too much), `keyframes_asked`, `replays` (a view began from the cache), `paced` (batches a slow view got later).
    """

    received: int = 0
    duplicate: int = 0
    too_late: int = 0
    shapeless: int = 0
    unknown: int = 0
    recovered: int = 0
    probes: int = 0
    asked: int = 0
    given_up: int = 0
    restarts: int = 0
    sent: int = 0
    unsent: int = 0
    unsealed: int = 0
    unsegmented: int = 0
    repaired: int = 0
    refused_repairs: int = 0
    keyframes_asked: int = 0
    replays: int = 0
    paced: int = 0
    malformed_reports: int = 0

    def as_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}
