"""Identifiers: UUIDv7 (RFC 9562 §5.7), so that ids sort by the time they were made."""

import secrets

import uuid_utils


def new_id() -> str:
    """Return a new UUIDv7 in its 36-character text form."""
    return str(uuid_utils.uuid7())


def new_secret(size: int = 32) -> str:
    """Return `size` random bytes as URL-safe text: session tokens, API keys, device secrets."""
    return secrets.token_urlsafe(size)
