"""The callback's envelope, against the official example and an independent implementation."""

import base64

import pytest
from fakes.wecom import CONFIG
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.enterprise.crypto import PrpCrypto, WeChatCrypto

from gateways.wecom.crypto import Envelope
from gateways.wecom.errors import ForgeryError

# The example of D/90968.
TIMESTAMP, NONCE = "1409659589", "263014780"
SIGNATURE = "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3"
ECHO = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="


@pytest.fixture
def envelope() -> Envelope:
    return Envelope(CONFIG.token, CONFIG.aes_key, CONFIG.corp_id)


def _sealed_from(envelope: Envelope, plain: bytes) -> tuple[str, str]:
    """Encrypt exactly these bytes, padding and all, and sign them."""
    encryptor = envelope._cipher.encryptor()
    sealed = base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()
    return envelope.sign(TIMESTAMP, NONCE, sealed), sealed


def test_the_official_example_opens(envelope: Envelope) -> None:
    assert envelope.open(SIGNATURE, TIMESTAMP, NONCE, ECHO) == b"1616140317555161061"


@pytest.mark.parametrize("position", range(4))
def test_one_changed_part_makes_the_signature_bad(envelope: Envelope, position: int) -> None:
    parts = [SIGNATURE, TIMESTAMP, NONCE, ECHO]
    parts[position] = ("0" if parts[position][0] != "0" else "1") + parts[position][1:]
    with pytest.raises(ForgeryError) as refused:
        envelope.open(*parts)
    assert refused.value.reason == "signature"


def test_a_signature_that_is_no_ascii_is_bad_and_not_a_crash(envelope: Envelope) -> None:
    with pytest.raises(ForgeryError):
        envelope.open("签名", TIMESTAMP, NONCE, ECHO)


@given(message=st.binary(max_size=200))
def test_whatever_is_sealed_opens_again_here_and_in_wechatpy(message: bytes) -> None:
    envelope = Envelope(CONFIG.token, CONFIG.aes_key, CONFIG.corp_id)
    sealed = envelope.seal(message)
    assert envelope.open(envelope.sign("1", "2", sealed), "1", "2", sealed) == message


@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=100))
def test_wechatpy_reads_what_we_seal(text: str) -> None:
    envelope = Envelope(CONFIG.token, CONFIG.aes_key, CONFIG.corp_id)
    key = base64.b64decode(CONFIG.aes_key + "=")
    assert PrpCrypto(key).decrypt(envelope.seal(text.encode()), CONFIG.corp_id) == text


@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=100))
def test_we_read_what_wechatpy_seals(text: str) -> None:
    envelope = Envelope(CONFIG.token, CONFIG.aes_key, CONFIG.corp_id)
    theirs = WeChatCrypto(CONFIG.token, CONFIG.aes_key, CONFIG.corp_id)
    document = theirs.encrypt_message(text, NONCE, TIMESTAMP)
    sealed = document.split("<Encrypt><![CDATA[")[1].split("]]>")[0]
    signature = document.split("<MsgSignature><![CDATA[")[1].split("]]>")[0]
    assert envelope.open(signature, TIMESTAMP, NONCE, sealed).decode() == text


@pytest.mark.parametrize("pad", [0, 33, 255])
def test_padding_outside_its_range_is_refused(envelope: Envelope, pad: int) -> None:
    plain = bytes(63) + bytes([pad])
    with pytest.raises(ForgeryError) as refused:
        envelope.open(*_in_order(*_sealed_from(envelope, plain)))
    assert refused.value.reason == "cipher"


def test_padding_whose_bytes_differ_is_refused_though_wechatpy_takes_it(
    envelope: Envelope,
) -> None:
    corp = CONFIG.corp_id.encode()
    body = bytes(16) + (2).to_bytes(4, "big") + b"ok" + corp
    pad = 64 - len(body)
    assert pad <= 32
    signature, sealed = _sealed_from(envelope, body + bytes(pad - 1) + bytes([pad]))
    key = base64.b64decode(CONFIG.aes_key + "=")
    assert PrpCrypto(key).decrypt(sealed, CONFIG.corp_id) == "ok"
    with pytest.raises(ForgeryError) as refused:
        envelope.open(*_in_order(signature, sealed))
    assert refused.value.reason == "cipher"


def test_a_length_beyond_the_content_is_refused(envelope: Envelope) -> None:
    body = bytes(16) + (9999).to_bytes(4, "big") + b"x" * 12
    with pytest.raises(ForgeryError):
        envelope.open(*_in_order(*_sealed_from(envelope, body + bytes([32]) * 32)))


def test_a_message_to_another_corp_is_refused(envelope: Envelope) -> None:
    other = Envelope(CONFIG.token, CONFIG.aes_key, "somebody-else")
    sealed = other.seal(b"hello")
    with pytest.raises(ForgeryError) as refused:
        envelope.open(*_in_order(envelope.sign(TIMESTAMP, NONCE, sealed), sealed))
    assert refused.value.reason == "receiver"


@pytest.mark.parametrize("sealed", ["", "@@@", "YQ==", "签"])
def test_what_is_no_cipher_text_is_refused(envelope: Envelope, sealed: str) -> None:
    with pytest.raises(ForgeryError) as refused:
        envelope.open(*_in_order(envelope.sign(TIMESTAMP, NONCE, sealed), sealed))
    assert refused.value.reason == "cipher"


@pytest.mark.parametrize("key", ["", "short", CONFIG.aes_key + "x", "*" * 43])
def test_a_key_that_is_none_is_said_at_once(key: str) -> None:
    with pytest.raises(ValueError, match="EncodingAESKey"):
        Envelope(CONFIG.token, key, CONFIG.corp_id)


def _in_order(signature: str, sealed: str) -> tuple[str, str, str, str]:
    return signature, TIMESTAMP, NONCE, sealed
