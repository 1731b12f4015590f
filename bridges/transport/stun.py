"""Connectivity checks as ICE-lite has them (RFC 8445 §2.5, §7.3): we answer those who know our password. Where we ask,
`checking` does.

A check from anybody else gets no answer at all, so that the port is no reflector, and costs no more than finding
its username.
"""

import secrets
import struct
from dataclasses import dataclass, field

from aioice import stun

_HEADER = 20
_USERNAME = 0x0006
_LONGEST = 1024
"""Bytes of the longest check we read; real ones have about 100."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Our half of an ICE session (RFC 8445 §5.3: at least 24 and 128 bits of randomness)."""

    ufrag: str = field(default_factory=lambda: secrets.token_hex(8))
    password: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Check:
    """A check that was authentic. `nominated`: the far end uses this path from now on (§8.1.1)."""

    answer: bytes
    nominated: bool


def local_ufrag(data: bytes) -> str | None:
    """For whom a STUN message is, found without reading the rest: our half of USERNAME (§7.2.2)."""
    if not _HEADER <= len(data) <= _LONGEST:
        return None
    at = _HEADER
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        if kind == _USERNAME:
            name = data[at + 4 : at + 4 + length]
            return name.split(b":", 1)[0].decode("ascii", "replace")
        at += 4 + length + (-length) % 4
    return None


def is_answer(data: bytes) -> bool:
    """Whether a STUN message is an answer, or an error, by its first byte (RFC 8489 §5)."""
    return data[:1] == b"\x01"


def read_message(data: bytes) -> stun.Message | None:
    """A binding request or answer, whoever signed it; None for what is none."""
    if len(data) > _LONGEST:
        return None
    try:
        message = stun.parse_message(data)
    except (ValueError, KeyError, struct.error, IndexError, TypeError):
        return None
    return message if message.message_method == stun.Method.BINDING else None


def answer_check(data: bytes, ours: Credentials, source: Address) -> Check | None:
    """The answer to a binding request signed with our password, and with a fingerprint (§7.1.1 asks for both);
    None for anything else."""
    request = read_message(data)
    if (
        request is None
        or request.message_class != stun.Class.REQUEST
        or "FINGERPRINT" not in request.attributes
        or not request.check_message_integrity(ours.password.encode())
    ):
        return None
    response = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.RESPONSE,
        transaction_id=request.transaction_id,
    )
    response.attributes["XOR-MAPPED-ADDRESS"] = source
    response.add_message_integrity(ours.password.encode())
    return Check(bytes(response), "USE-CANDIDATE" in request.attributes)
