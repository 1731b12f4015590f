"""Keys in the description (RFC 4568): who may have SRTP, under which policy, and which keys stay."""

import base64

import pytest

from commhub.ports.media import RtpAddress, SrtpKeys
from gateways.sip import sdp
from gateways.sip.errors import SdpError
from gateways.sip.sdes import SrtpPolicy, read_crypto

OURS = RtpAddress("192.0.2.2", 30000)
KEY = base64.b64encode(bytes(range(30))).decode()
GCM_KEY = base64.b64encode(bytes(range(28))).decode()
LINE = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"


def terms(policy):
    return sdp.Terms(codecs=("PCMA", "PCMU"), srtp=policy)


def offer(*lines, protocol="RTP/SAVP"):
    body = ["v=0", "o=- 1 1 IN IP4 192.0.2.9", "s=-", "c=IN IP4 192.0.2.9", "t=0 0"]
    body += [f"m=audio 4000 {protocol} 8", *lines]
    return ("\r\n".join(body) + "\r\n").encode()


def answer(body, policy=SrtpPolicy.ACCEPT, before=b""):
    return sdp.answer(body, terms(policy), OURS, sdp.Local(7), before)


def crypto_of(body):
    lines = [line for line in body.decode().split("\r\n") if line.startswith("a=crypto:")]
    return [read_crypto(line.removeprefix("a=crypto:")) for line in lines]


def test_a_secure_offer_is_answered_with_its_tag_and_a_key_of_our_own():
    agreement = answer(offer(LINE.replace("crypto:1", "crypto:37")))

    (ours,) = crypto_of(agreement.body)
    assert (ours.tag, ours.suite) == (37, "AES_CM_128_HMAC_SHA1_80")
    assert len(base64.b64decode(ours.key)) == 30
    assert b"m=audio 30000 RTP/SAVP 8" in agreement.body
    assert agreement.remote.srtp == SrtpKeys(
        suite="AES_CM_128_HMAC_SHA1_80", local_key=ours.key, remote_key=KEY
    )
    assert ours.key != KEY


def test_every_call_has_keys_of_its_own():
    first, second = (answer(offer(LINE)).remote.srtp for _ in range(2))

    assert first.local_key != second.local_key


def test_the_callers_first_suite_that_we_have_is_taken():
    agreement = answer(
        offer(
            "a=crypto:1 F8_128_HMAC_SHA1_80 inline:" + KEY,
            f"a=crypto:2 AEAD_AES_128_GCM inline:{GCM_KEY}|2^48",
            LINE.replace("crypto:1", "crypto:3"),
        )
    )

    assert agreement.remote.srtp.suite == "AEAD_AES_128_GCM"
    assert agreement.remote.srtp.remote_key == GCM_KEY


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        f"1 AES_CM_128_HMAC_SHA1_80 {KEY}",
        f"x AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f"9999999999 AES_CM_128_HMAC_SHA1_80 inline:{KEY}",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{GCM_KEY}",
        "1 AES_CM_128_HMAC_SHA1_80 inline:not*base64",
        "1 AES_CM_128_HMAC_SHA1_80 inline:",
        "1 AES_CM_128_HMAC_SHA1_80 inline:é" + KEY,
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4;inline:{KEY}|2:4",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP",
        f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1",
        f"1 ROT13 inline:{KEY}",
    ],
)
def test_a_key_line_we_could_not_obey_is_not_taken(value):
    assert read_crypto(value) is None
    with pytest.raises(SdpError, match="suite"):
        answer(offer(f"a=crypto:{value}"))


@pytest.mark.parametrize("more", ["|2^31", "|1048576", " WSH=64", " -vendor=1", "|2^48 WSH=128"])
def test_lifetime_and_harmless_parameters_are_taken(more):
    assert read_crypto(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{more}").key == KEY


@pytest.mark.parametrize(
    ("policy", "protocol", "lines", "outcome"),
    [
        (SrtpPolicy.OFF, "RTP/SAVP", [LINE], None),
        (SrtpPolicy.OFF, "RTP/AVP", [LINE], "plain"),
        (SrtpPolicy.ACCEPT, "RTP/SAVP", [LINE], "secure"),
        (SrtpPolicy.ACCEPT, "RTP/AVP", [LINE], "secure"),
        (SrtpPolicy.ACCEPT, "RTP/AVP", [], "plain"),
        (SrtpPolicy.ACCEPT, "RTP/SAVP", [], None),
        (SrtpPolicy.REQUIRE, "RTP/SAVP", [LINE], "secure"),
        (SrtpPolicy.REQUIRE, "RTP/AVP", [LINE], "secure"),
        (SrtpPolicy.REQUIRE, "RTP/AVP", [], None),
        (SrtpPolicy.REQUIRE, "UDP/TLS/RTP/SAVPF", ["a=fingerprint:sha-256 AA"], None),
    ],
)
def test_the_policy_decides_what_is_taken(policy, protocol, lines, outcome):
    body = offer(*lines, protocol=protocol)
    if outcome is None:
        with pytest.raises(SdpError) as refused:
            answer(body, policy)
        assert refused.value.status == 488
        return
    agreement = answer(body, policy)
    assert (agreement.remote.srtp is not None) == (outcome == "secure")
    assert bool(crypto_of(agreement.body)) == (outcome == "secure")
    assert f"m=audio 30000 {protocol} 8".encode() in agreement.body


def test_of_a_plain_and_a_secure_m_line_the_one_we_must_have_is_taken():
    both = offer(protocol="RTP/AVP") + f"m=audio 4002 RTP/SAVP 8\r\n{LINE}\r\n".encode()

    assert answer(both, SrtpPolicy.REQUIRE).index == 1
    assert answer(both, SrtpPolicy.ACCEPT).index == 0


@pytest.mark.parametrize(
    ("policy", "protocol", "keys"),
    [
        (SrtpPolicy.OFF, b"RTP/AVP", 0),
        (SrtpPolicy.ACCEPT, b"RTP/AVP", 0),
        (SrtpPolicy.OFFER, b"RTP/AVP", 2),
        (SrtpPolicy.REQUIRE, b"RTP/SAVP", 2),
    ],
)
def test_the_policy_decides_what_we_offer(policy, protocol, keys):
    offered = sdp.offer(terms(policy), OURS, sdp.Local(7))

    assert b"m=audio 30000 " + protocol + b" 8 0 101" in offered
    assert len(crypto_of(offered)) == keys
    assert len({crypto.key for crypto in crypto_of(offered)}) == keys


def test_an_answer_to_our_keys_gives_both_directions_theirs():
    offered = sdp.offer(terms(SrtpPolicy.REQUIRE), OURS, sdp.Local(7))
    ours = crypto_of(offered)[1]
    line = f"a=crypto:{ours.tag} {ours.suite} inline:{KEY}"

    agreement = sdp.accept(offer(line), terms(SrtpPolicy.REQUIRE), offered)
    assert agreement.remote.srtp == SrtpKeys(suite=ours.suite, local_key=ours.key, remote_key=KEY)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [LINE.replace("crypto:1", "crypto:9")],
        [LINE],
        [LINE.replace("crypto:1", "crypto:2"), LINE.replace("crypto:1", "crypto:2")],
    ],
)
def test_an_answer_that_fits_none_of_our_keys_is_no_agreement(lines):
    offered = sdp.offer(terms(SrtpPolicy.REQUIRE), OURS, sdp.Local(7))

    with pytest.raises(SdpError, match="keys"):
        sdp.accept(offer(*lines), terms(SrtpPolicy.REQUIRE), offered)


def test_optional_keys_may_be_declined_but_required_ones_may_not():
    optional = sdp.offer(terms(SrtpPolicy.OFFER), OURS, sdp.Local(7))
    required = sdp.offer(terms(SrtpPolicy.REQUIRE), OURS, sdp.Local(7))
    plain = offer(protocol="RTP/AVP")

    assert sdp.accept(plain, terms(SrtpPolicy.OFFER), optional).remote.srtp is None
    with pytest.raises(SdpError):
        sdp.accept(plain, terms(SrtpPolicy.REQUIRE), required)


def test_our_key_stays_over_a_re_invite_and_theirs_may_change():
    first = answer(offer(LINE))
    other = base64.b64encode(bytes(30)).decode()

    second = answer(offer(LINE.replace(KEY, other)), before=first.body)
    assert second.remote.srtp.local_key == first.remote.srtp.local_key
    assert second.remote.srtp.remote_key == other


def test_our_offer_in_a_secure_session_is_secure_with_the_same_key():
    first = answer(offer(LINE))

    again = sdp.offer(terms(SrtpPolicy.ACCEPT), OURS, sdp.Local(7, 2), first.body)
    assert b"RTP/SAVP" in again
    kept = [c.key for c in crypto_of(again) if c.suite == "AES_CM_128_HMAC_SHA1_80"]
    assert kept == [first.remote.srtp.local_key]


def test_no_key_is_in_a_repr():
    agreement = answer(offer(LINE))

    shown = repr(agreement) + repr(crypto_of(agreement.body))
    assert KEY not in shown
    assert agreement.remote.srtp.local_key not in shown
