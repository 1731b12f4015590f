"""Whatever comes over the wire: a message, or one of this package's own errors; nothing else, and soon."""

import asyncio
import random
import time
from contextlib import suppress

import pytest
from fakes.torture import names, torture
from hypothesis import example, given, settings
from hypothesis import strategies as st

from commhub.ports.media import RtpAddress
from gateways.sip import metrics, sdp
from gateways.sip.bindings import RefusedError, read_wishes
from gateways.sip.config import SipConfig
from gateways.sip.dialogs import dialog_of_invite
from gateways.sip.digest import Credentials
from gateways.sip.errors import MalformedError, SdpError
from gateways.sip.grammar import NameAddr, read_auth, read_cseq, read_uri, read_via, split_outside
from gateways.sip.message import Request, check_request, check_response, parse
from gateways.sip.methods import judge, malformed_answer
from gateways.sip.origins import Proxies
from gateways.sip.transactions import reply_hop, server_key
from gateways.sip.transport import Hop

SOURCE = Hop("192.0.2.1", 5060)
INVITE = (
    b"INVITE sip:2000@hub.example SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKx;rport, SIP/2.0/UDP p.example\r\n"
    b'From: "A, B \\" <" <sip:1001@hub.example>;tag=1\r\nTo: <sip:2000@hub.example>\r\n'
    b"Call-ID: a@b\r\nCSeq: 2 INVITE\r\nContact: <sip:1001@192.0.2.1:5062;transport=udp>\r\n"
    b"Record-Route: <sip:p.example;lr>\r\nMax-Forwards: 70\r\nSupported: timer, 100rel\r\n"
    b'Proxy-Authorization: Digest username="1001", realm="r", nonce="n", uri="sip:x", response="0"\r\n'
    b"Content-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0"
)
OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 8 96 101 13\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 stereo=1\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=maxptime:150\r\na=rtcp:4001\r\na=rtcp-mux\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c29tZXRoaW5nIHRoaXJ0eSBieXRlcyBsb25nISEh|2^31\r\n"
    b"a=sendrecv\r\n"
)
TERMS = sdp.Terms(
    codecs=("PCMA", "PCMU", "G722", "opus"),
    srtp=sdp.SrtpPolicy.ACCEPT,
    comfort_noise=True,
    rtcp_mux=True,
)


TORTURES = [torture(name) for name in names()]
CONFIG = SipConfig()


def digest_all(data):
    """Everything the edge does with a datagram before it needs the store."""
    try:
        message = parse(data)
    except MalformedError as error:
        if error.request is not None:
            try:
                error.request.stamp(SOURCE.host, SOURCE.port)
                malformed_answer(error.request, error)
                reply_hop(error.request, SOURCE)
            except MalformedError:
                pass
        return
    try:
        if not isinstance(message, Request):
            check_response(message)
            return
        check_request(message)
        message.stamp(SOURCE.host, SOURCE.port)
        server_key(message, message.method)
        bytes(message.response(200, to_tag="x"))
        judge(message)
        with suppress(RefusedError):
            read_wishes(message, CONFIG)
        Proxies(["192.0.2.0/24"]).origin(message, SOURCE)
        Credentials.of(message, "Proxy-Authorization", "r")
        dialog = dialog_of_invite(message, "x", SOURCE)
        bytes(dialog.request("BYE")[1])
        assert dialog.hop
    except MalformedError:
        pass


@st.composite
def mutated(draw, base):
    """A good message with pieces cut, doubled or replaced."""
    data = bytearray(base)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(0, 24))
        kind = draw(st.sampled_from(("cut", "double", "noise", "mark")))
        if kind == "cut":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
        elif kind == "noise":
            data[at : at + length] = draw(st.binary(max_size=24))
        else:
            data[at:at] = draw(st.sampled_from((b'"', b"<", b">", b";", b",", b"\r\n", b"%", b"@")))
    return bytes(data)


@settings(max_examples=400)
@given(mutated(INVITE))
@example(INVITE)
@example(INVITE.replace(b";rport", b";self=1;cls=2"))
def test_a_damaged_request_is_read_or_refused(data):
    digest_all(data)


@settings(max_examples=400)
@given(st.sampled_from(TORTURES).flatmap(mutated))
def test_a_damaged_torture_is_read_or_refused(data):
    digest_all(data)


@settings(max_examples=200)
@given(st.binary(max_size=600))
def test_noise_is_refused(data):
    digest_all(data)


@settings(max_examples=300)
@given(mutated(OFFER))
def test_a_damaged_description_is_read_or_refused(data):
    try:
        agreement = sdp.answer(data, TERMS, RtpAddress("192.0.2.2", 4000), sdp.Local(1))
    except SdpError:
        return
    assert agreement.body.endswith(b"\r\n")
    ours, theirs = agreement.remote, sdp.accept(agreement.body, TERMS, agreement.body).remote
    assert (theirs.audio.encoding, theirs.audio.payload_type, theirs.srtp is None) == (
        ours.audio.encoding,
        ours.audio.payload_type,
        ours.srtp is None,
    )


@settings(max_examples=300)
@given(st.text(max_size=80))
def test_every_reader_raises_value_error_or_reads(text):
    for reader in (NameAddr.read, read_uri, read_via, read_cseq, read_auth):
        try:
            reader(text)
        except ValueError:
            continue


@settings(max_examples=200)
@given(st.lists(st.text("abc ", min_size=1, max_size=5).map(str.strip), min_size=1, max_size=6))
def test_what_is_joined_is_split_again(parts):
    assert split_outside(",".join(parts), ",") == parts


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Digest " + 'a="",' * 3000 + "@",
        "Contact: " + '"a" <sip:a@b>,' * 2000 + "x",
        "Contact: " + "<" * 8000,
        "Via: " + "SIP/2.0/UDP a;b=" * 900,
        "Contact: " + '"' + "\\" * 8000,
        "Path: " + "<sip:a;lr>," * 1300,
        'Contact: <sip:a@b>;+sip.instance="' + "<" * 8000 + '"',
        "Accept: " + "a/b;q=," * 2000,
        "Via: " + "SIP/2.0/UDP a:1," * 900,
        "Event: " + ";" * 8000,
    ],
)
def test_no_header_takes_long_to_read(line):
    data = INVITE.replace(b"Supported: timer, 100rel", line.encode())
    began = time.process_time()
    digest_all(data)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "line",
    [
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 8000,
        b"a=fmtp:96 " + b"x=y;" * 3000,
        b"a=rtpmap:" + b"9" * 8000,
        b"m=audio 4000 RTP/AVP" + b" 8" * 6000,
        b"c=IN IP4 " + b"1." * 4000,
        b"a=ptime:" + b"9" * 8000,
        b"=" * 8000,
        b"a=x\r\n" * 2000,
    ],
)
def test_no_description_takes_long_to_read(line):
    began = time.process_time()
    with suppress(SdpError):
        sdp.answer(OFFER + line + b"\r\n", TERMS, RtpAddress("192.0.2.2", 4000), sdp.Local(1))
    assert time.process_time() - began < 0.5


def damaged(chance, data):
    """A message with some of its bytes replaced, doubled or gone."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(found) + 1)
        length = chance.randint(0, 20)
        piece = chance.choice((b"", bytes(found[at : at + length]) * 2, chance.randbytes(length)))
        found[at : at + length] = piece
    return bytes(found)


async def test_nothing_that_comes_raises_into_the_loop(wire):
    """A whole gateway is fed damaged messages from many sources; every one is read, refused or dropped."""
    chance = random.Random(4475)
    failed = metrics.MALFORMED.labels("failed")._value.get()
    began = time.process_time()
    for n in range(3000):
        source = Hop(f"198.51.{n % 100}.{n % 250}", 1024 + n)
        wire.say(damaged(chance, chance.choice([*TORTURES, INVITE])), source)
        if n % 100 == 0:
            await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)

    wire.clock.advance(10)
    assert metrics.MALFORMED.labels("failed")._value.get() == failed
    assert time.process_time() - began < 20
    assert (await wire.authorized("REGISTER", call="after")).status == 200
