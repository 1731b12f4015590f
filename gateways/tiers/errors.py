"""Why a link does not come up, or ends: a stable code and a sentence that both sides can read."""

from enum import StrEnum


class Code(StrEnum):
    """`clock-off`: further than two minutes. `replaced`: the same peer has connected anew. `out-of-order`: something before this message
    never came, so it is to be sent from there."""

    UNKNOWN_PEER = "unknown-peer"
    REVOKED = "revoked"
    BAD_SIGNATURE = "bad-signature"
    NOT_FOR_US = "not-for-us"
    CLOCK_OFF = "clock-off"
    REPLAYED = "replayed"
    UNKNOWN_SCHEMA = "unknown-schema"
    BROKEN_FRAME = "broken-frame"
    OUT_OF_ORDER = "out-of-order"
    REPLACED = "replaced"
    SILENT = "silent"
    TOO_SLOW = "too-slow"
    GONE = "gone"
    STOPPING = "stopping"
    RENEWING = "renewing"
    FAULT = "fault"


class LinkDownError(Exception):
    """The link ends, or does not begin. `theirs`: the peer said so."""

    def __init__(self, code: str, reason: str, *, theirs: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.theirs = theirs

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"


class GoneError(Exception):
    """The connection under a link is no more."""
