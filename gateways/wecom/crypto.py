"""The callback's envelope: signature and AES, as D/90968 describes them.

Stricter than the reference code: padding is checked whole, the signature in constant time, and the receiver must
be us, because a loose check here is a door for forged acknowledgements.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from gateways.wecom.errors import ForgeryError

# PKCS#7 over 32 bytes, though an AES block has 16.
BLOCK = 32
_RANDOM = 16
_HEAD = _RANDOM + 4


class Envelope:
    """Signs, seals and opens for one app. `receive_id` is the corp id (empty for an AI bot)."""

    def __init__(self, token: str, aes_key: str, receive_id: str) -> None:
        """Raises ValueError when `aes_key` is not 43 characters of base64 (32 bytes)."""
        try:
            key = base64.b64decode(aes_key + "=", validate=True)
        except binascii.Error as error:
            raise ValueError("the EncodingAESKey is not base64") from error
        if len(aes_key) != 43 or len(key) != 32:
            raise ValueError("the EncodingAESKey must have 43 characters")
        self._token = token
        self._receive_id = receive_id.encode()
        self._cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16]))

    def sign(self, timestamp: str, nonce: str, sealed: str) -> str:
        """sha1 over the sorted parts; the order of the parts is part of the protocol, SHA-1 too."""
        parts = "".join(sorted([self._token, timestamp, nonce, sealed]))
        return hashlib.sha1(parts.encode()).hexdigest()  # noqa: S324 - WeCom defines SHA-1

    def open(self, signature: str, timestamp: str, nonce: str, sealed: str) -> bytes:
        """Return the message inside. Raises ForgeryError with reason signature, cipher or receiver."""
        expected = self.sign(timestamp, nonce, sealed)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise ForgeryError("signature")
        return self._decrypt(sealed)

    def seal(self, message: bytes) -> str:
        """Encrypt a message (for a passive reply, and for tests)."""
        head = secrets.token_bytes(_RANDOM) + struct.pack(">I", len(message))
        plain = head + message + self._receive_id
        pad = BLOCK - len(plain) % BLOCK
        encryptor = self._cipher.encryptor()
        sealed = encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()
        return base64.b64encode(sealed).decode()

    def _decrypt(self, sealed: str) -> bytes:
        try:
            data = base64.b64decode(sealed, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ForgeryError("cipher") from error
        if not data or len(data) % BLOCK:
            raise ForgeryError("cipher")
        decryptor = self._cipher.decryptor()
        plain = decryptor.update(data) + decryptor.finalize()
        pad = plain[-1]
        if not 1 <= pad <= BLOCK or plain[-pad:] != bytes([pad]) * pad or len(plain) - pad < _HEAD:
            raise ForgeryError("cipher")
        body = plain[_HEAD:-pad]
        (length,) = struct.unpack(">I", plain[_RANDOM:_HEAD])
        if length > len(body):
            raise ForgeryError("cipher")
        if not hmac.compare_digest(body[length:], self._receive_id):
            raise ForgeryError("receiver")
        return body[:length]
