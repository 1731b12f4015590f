"""Texts that must be told again but not read by whoever gets hold of the database or a copy of it: passwords of cameras.

Fernet (AES-128-CBC with HMAC-SHA256) under a key made of a secret of the hub that stands outside the database.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_MARK = "sealed:"


class SealError(ValueError):
    """The text was sealed under another secret, or is not whole."""


class Seal:
    """`about` keeps what is sealed for one purpose from being opened as another's."""

    def __init__(self, secret: str, about: str) -> None:
        key = HKDF(SHA256(), 32, salt=None, info=about.encode()).derive(secret.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def close(self, text: str) -> str:
        """What may be kept; another one each time."""
        return _MARK + self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """The text. One that was never sealed is what it says. Raises SealError."""
        if not self.is_closed(sealed):
            return sealed
        try:
            return self._fernet.decrypt(sealed[len(_MARK) :]).decode()
        except InvalidToken as error:
            raise SealError("sealed under another secret, or not whole") from error

    def is_closed(self, text: str) -> bool:
        return text.startswith(_MARK)
