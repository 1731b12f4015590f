"""What the engine counts while it runs: plain integers, because a tick touches them a thousand times.

`bridges.metrics` turns them into Prometheus counters once a second.
"""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counts:
    """All since the start of the worker.

    Every datagram is `received`, and either `accepted` or one of these. Dropped on receipt: `malformed` (no valid RTP), `strangers` (no leg has that source), `unwanted` (a leg that
    is on hold, or a payload type nobody agreed), `flooded` (more packets in one tick than it can look at, or than a leg may
    send), `undecodable` (a payload that its codec refuses), `srtp_failed` (forged, repeated or in the clear where keys
    were agreed). Of the accepted, playout drops `late` and
    `duplicate` ones; `concealed` are frames made up, `resynced` time lines begun anew. Radio: `radio_dropped` (no floor), `radio_overflow` (queue full),
    `radio_undecodable` (forwarded to the group, but not heard in calls), `radio_malformed` (no floor message),
    `floor_strangers` (a radio that asked for the floor of a group it is not in). Recordings, in
    ticks of one track: `recorder_dropped` (the writer is too far behind), `recorder_unwritten` (the disk is full).
    """

    ticks: int = 0
    missed_ticks: int = 0
    failed_ticks: int = 0
    busy_us: int = 0
    received: int = 0
    accepted: int = 0
    sent: int = 0
    send_errors: int = 0
    malformed: int = 0
    strangers: int = 0
    unwanted: int = 0
    flooded: int = 0
    undecodable: int = 0
    srtp_failed: int = 0
    late: int = 0
    duplicate: int = 0
    resynced: int = 0
    concealed: int = 0
    reports_received: int = 0
    reports_sent: int = 0
    goodbyes: int = 0
    ssrc_collisions: int = 0
    radio_received: int = 0
    radio_sent: int = 0
    radio_dropped: int = 0
    radio_overflow: int = 0
    packet_overflow: int = 0
    radio_undecodable: int = 0
    radio_malformed: int = 0
    floor_strangers: int = 0
    recorder_dropped: int = 0
    recorder_unwritten: int = 0

    def as_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}
