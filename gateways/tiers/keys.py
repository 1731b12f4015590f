"""Who a hub is: Ed25519 keys, and the short-lived tokens it proves itself with (JWT with EdDSA, RFC 8037).

A token says who signs (`iss`), for whom (`aud`), when (`iat`) and which token it is (`jti`), so that it is good for one connection to one hub
within two minutes. It also names the signer's keys (`keys`): that is how a new key gets round while the old one still signs.
"""

import base64
import binascii
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from commhub.domain.tier import MAX_SKEW
from commhub.kit.ids import new_id
from gateways.tiers.errors import Code, LinkDownError

_ALGORITHM = "EdDSA"
MAX_KEYS = 4
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token said that was checked: `skew_s` is how far the signer's clock is ahead of ours."""

    issuer: str
    token_id: str
    keys: tuple[str, ...]
    skew_s: float
    answers: str | None = None


class HubKeys:
    """This hub's keys, one file that only its owner reads. `next`: made by `renew`, told to everybody, not yet signed with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.exists():
            self._read()
        else:
            self._keys = [Ed25519PrivateKey.generate()]
            self._write()

    def _read(self) -> None:
        seeds = json.loads(self._path.read_text())["seeds"]
        self._keys = [Ed25519PrivateKey.from_private_bytes(_unbase64(seed)) for seed in seeds]

    def _write(self) -> None:
        seeds = [
            _base64(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
            for key in self._keys
        ]
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"seeds": seeds}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    @property
    def public(self) -> tuple[str, ...]:
        """The public keys, the newest first."""
        return tuple(_base64(_raw(key.public_key())) for key in reversed(self._keys))

    @property
    def is_renewing(self) -> bool:
        return len(self._keys) > 1

    def reload(self) -> None:
        """Read the file again: another process may have renewed."""
        self._read()

    def renew(self) -> str:
        """Make the next key. The present one signs until `promote`. Renewing twice keeps the first new key."""
        if not self.is_renewing:
            self._keys.append(Ed25519PrivateKey.generate())
            self._write()
        return self.public[0]

    def promote(self) -> None:
        """Sign with the next key from now on, and forget the old one. Only when every neighbour has heard of it."""
        if self.is_renewing:
            self._keys = self._keys[-1:]
            self._write()

    def token(self, us: str, peer: str, now: datetime, answers: str | None = None) -> str:
        """A token for one connection. `answers` is the id of the peer's token that this one replies to."""
        key = self._keys[0]
        claims: dict[str, object] = {
            "iss": us,
            "aud": peer,
            "iat": now.timestamp(),
            "jti": new_id(),
            "keys": list(self.public),
        }
        if answers is not None:
            claims["answers"] = answers
        return jwt.encode(claims, key, algorithm=_ALGORITHM)


def token_id(token: str) -> str:
    """The id of a token of ours."""
    return str(_unverified(token).get("jti", ""))


def issuer_of(token: str) -> str:
    """Who a token says it is from; nothing of it is proved. Raises LinkDownError."""
    return str(_unverified(token).get("iss", ""))[:64]


def read_token(token: str, *, us: str, keys: Iterable[str], now: datetime) -> Claims:
    """Check a token against the keys its issuer is known by. Raises LinkDownError with a code and a sentence."""
    claims = _verified(token, keys)
    if claims.get("aud") != us:
        raise LinkDownError(Code.NOT_FOR_US, f"this is {us}; the token is for another hub")
    made_at = claims.get("iat")
    if not isinstance(made_at, int | float):
        raise LinkDownError(Code.BAD_SIGNATURE, "the token does not say when it was made")
    skew_s = made_at - now.timestamp()
    if abs(skew_s) > MAX_SKEW.total_seconds():
        where = "ahead of" if skew_s > 0 else "behind"
        raise LinkDownError(
            Code.CLOCK_OFF,
            f"your clock is {abs(skew_s):.0f} s {where} that of {us}: set both by a time server",
        )
    answers = claims.get("answers")
    return Claims(
        issuer=str(claims.get("iss", "")),
        token_id=str(claims.get("jti", "")),
        keys=_keys_of(claims.get("keys")),
        skew_s=skew_s,
        answers=None if answers is None else str(answers),
    )


def _verified(token: str, keys: Iterable[str]) -> dict[str, object]:
    for key in keys:
        try:
            public = Ed25519PublicKey.from_public_bytes(_unbase64(key))
            claims: dict[str, object] = jwt.decode(
                token,
                public,
                algorithms=[_ALGORITHM],
                # Time and audience are checked here, with sentences for people.
                options={"verify_aud": False, "verify_iat": False},
            )
        except (jwt.InvalidTokenError, ValueError, UnsupportedAlgorithm):
            continue
        return claims
    raise LinkDownError(
        Code.BAD_SIGNATURE, "the signature is of none of the keys this hub is known by"
    )


def _unverified(token: str) -> dict[str, object]:
    try:
        claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise LinkDownError(Code.BAD_SIGNATURE, "this is no token of a hub") from error
    return claims


def _keys_of(told: object) -> tuple[str, ...]:
    """The keys a verified token names; none, when it names what cannot be one."""
    if not isinstance(told, list) or not 0 < len(told) <= MAX_KEYS:
        return ()
    keys = tuple(str(key) for key in told)
    return keys if all(is_key(key) for key in keys) else ()


def is_key(text: str) -> bool:
    """Whether this is an Ed25519 public key as we write it."""
    try:
        return len(_unbase64(text)) == _KEY_BYTES
    except ValueError:
        return False


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("no base64") from error
