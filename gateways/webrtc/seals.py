"""Signed claims as text: their JSON and its HMAC-SHA256, both base64url without padding, after a prefix that says what they
are. The form needs no store, and knowing one tells nothing of another."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping

_LONGEST = 1024


def seal(prefix: str, claims: Mapping[str, object], secret: bytes) -> str:
    """The claims as text for `Authorization: Bearer`."""
    text = _encode(json.dumps(claims, separators=(",", ":")).encode())
    return f"{prefix}{text}.{_encode(_mac(prefix, text, secret))}"


def unseal(prefix: str, text: str, secret: bytes) -> Mapping[str, object] | None:
    """The claims, when we signed them for this purpose; None for anything else."""
    if not text.startswith(prefix) or len(text) > _LONGEST:
        return None
    claims, _, signature = text.removeprefix(prefix).partition(".")
    try:
        if not hmac.compare_digest(_decode(signature), _mac(prefix, claims, secret)):
            return None
        fields = json.loads(_decode(claims))
    except (ValueError, binascii.Error):
        return None
    return fields if isinstance(fields, dict) else None


def _mac(prefix: str, claims: str, secret: bytes) -> bytes:
    purpose = f"commhub {prefix.rstrip('.')} token\0".encode()
    return hmac.new(secret, purpose + claims.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
