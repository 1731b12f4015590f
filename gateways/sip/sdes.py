"""Keys for SRTP in the description itself (SDES, RFC 4568): reading, choosing and writing a=crypto.

The keys stand in the signalling in the clear: they are secret only where the signalling is.
"""

import base64
import binascii
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from commhub.ports.media import SrtpKeys

# Bytes of master key and salt by crypto suite (RFC 4568 §6.2, RFC 7714 §12): those libsrtp has profiles for.
_KEY_AND_SALT = {
    "AEAD_AES_128_GCM": 16 + 12,
    "AES_CM_128_HMAC_SHA1_80": 16 + 14,
    "AEAD_AES_256_GCM": 32 + 12,
    "AES_CM_128_HMAC_SHA1_32": 16 + 14,
}
# A tag of 32 bits is taken where a phone has nothing better, but not asked for.
_OFFERED = ("AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80")
_MAX_TAG_DIGITS = 9


class SrtpPolicy(StrEnum):
    """OFF refuses RTP/SAVP and ignores keys beside RTP/AVP. ACCEPT takes what a caller offers. OFFER also puts
    keys beside RTP/AVP in our offers (optional to the phone, as most phones do it). REQUIRE offers and takes
    nothing but SRTP."""

    OFF = "off"
    ACCEPT = "accept"
    OFFER = "offer"
    REQUIRE = "require"

    @property
    def offers(self) -> bool:
        return self in (SrtpPolicy.OFFER, SrtpPolicy.REQUIRE)


@dataclass(frozen=True, slots=True)
class Crypto:
    """One a=crypto line: its writer protects what it sends with `key` (master key and salt, Base64)."""

    tag: int
    suite: str
    key: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.tag} {self.suite} inline:{self.key}"

    @property
    def line(self) -> str:
        return f"a=crypto:{self}\r\n"


def read_crypto(value: str) -> Crypto | None:
    """The line, or None when it cannot be used: an unknown suite, several keys or a key index (MKI), session
    parameters we would have to obey (§6.3), or nonsense."""
    parts = value.split()
    if len(parts) < 3:
        return None
    tag, suite, key_params, *parameters = parts
    length = _KEY_AND_SALT.get(suite)
    if length is None or not _is_tag(tag) or not all(map(_is_harmless, parameters)):
        return None
    method, _, key_info = key_params.partition(":")
    key, *more = key_info.split("|")
    # What follows the key is its lifetime and its MKI; the latter has a colon (§6.1).
    if method != "inline" or ";" in key_info or any(":" in part for part in more):
        return None
    try:
        raw = base64.b64decode(key + "=" * (-len(key) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return Crypto(int(tag), suite, key) if len(raw) == length else None


def _is_tag(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_TAG_DIGITS


def _is_harmless(parameter: str) -> bool:
    """WSH only advises a window size; a dash marks what may be ignored (§6.3.6, §6.3.7)."""
    return parameter.startswith(("-", "WSH="))


def usable(values: Iterable[str]) -> tuple[Crypto, ...]:
    """The lines we could take, in their writer's order of preference (§5.1.1)."""
    return tuple(crypto for value in values if (crypto := read_crypto(value)) is not None)


def offered(before: Sequence[Crypto] = ()) -> tuple[Crypto, ...]:
    """Our lines for an offer; the keys of `before` stay, because a new key is a new stream (§7.1.4)."""
    return tuple(Crypto(tag, suite, _key(suite, before)) for tag, suite in enumerate(_OFFERED, 1))


def answered(theirs: Crypto, before: Sequence[Crypto] = ()) -> Crypto:
    """Our line for an answer: their tag and suite, our key (§5.1.2)."""
    return Crypto(theirs.tag, theirs.suite, _key(theirs.suite, before))


def agreed(ours: Crypto, theirs: Crypto) -> SrtpKeys:
    return SrtpKeys(suite=ours.suite, local_key=ours.key, remote_key=theirs.key)


def match(ours: Sequence[Crypto], theirs: Sequence[Crypto]) -> SrtpKeys | None:
    """What an answer agreed to: one line, with tag and suite of one of our offer (§5.1.3)."""
    if len(theirs) != 1:
        return None
    for crypto in ours:
        if (crypto.tag, crypto.suite) == (theirs[0].tag, theirs[0].suite):
            return agreed(crypto, theirs[0])
    return None


def _key(suite: str, before: Sequence[Crypto]) -> str:
    for crypto in before:
        if crypto.suite == suite:
            return crypto.key
    return base64.b64encode(secrets.token_bytes(_KEY_AND_SALT[suite])).decode()
