"""A second opinion: sippy, another stack's reading of the same messages, digests and descriptions.

Where two independent readers agree, neither has invented anything. sippy is the more forgiving of the two, so what is
compared is what both accept.
"""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from fakes.sip_phones import SDP
from fakes.torture import names, torture
from fakes.waiting import eventually
from hypothesis import given, settings
from hypothesis import strategies as st
from sippy.SdpBody import SdpBody
from sippy.SipAuthorization import DigestCalcHA1, DigestCalcResponse, SipAuthorization
from sippy.SipRequest import SipRequest
from sippy.SipResponse import SipResponse
from sippy.SipWWWAuthenticate import SipWWWAuthenticate

from gateways.sip.digest import ALGORITHMS, Credentials, digest_response, hash_account
from gateways.sip.message import Request, Response, check_request, parse
from gateways.sip.trunks.credentials import LineCredentials

PASSWORD = "kept-between-us"
SCENARIOS = Path(__file__).parents[2] / "integration" / "sip" / "scenarios"
algorithms = pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=24)


# --- digests ---------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(
    algorithm=st.sampled_from(sorted(ALGORITHMS)),
    qop=st.sampled_from(["", "auth", "auth-int"]),
    method=st.sampled_from(["INVITE", "REGISTER", "BYE"]),
    pieces=st.tuples(words, words, words, words, words),
    body=st.text(st.characters(exclude_categories=("Cs",)), max_size=60),
)
def test_two_stacks_make_the_same_digest(algorithm, qop, method, pieces, body):
    name, realm, password, nonce, uri = pieces
    count, own = ("0000002a", "c0ffee") if qop else ("", "")
    account = hash_account(name, realm, password)
    fields = Credentials(
        username=name, realm=realm, nonce=nonce, uri=uri, response="", qop=qop, nc=count, cnonce=own
    )
    ha1 = account.ha1_md5 if algorithm == "MD5" else account.ha1_sha256

    theirs = DigestCalcHA1(algorithm, name, realm, password, nonce, own)
    assert ha1 == theirs.decode()
    assert digest_response(algorithm, ha1, method, fields, body.encode()) == DigestCalcResponse(
        algorithm, theirs, nonce, count, own, qop, method, uri, body
    )


@algorithms
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
async def test_its_answer_to_our_challenge_is_right(wire, algorithm, method):
    own = {"REGISTER": ["Contact: <sip:1001@192.0.2.10:5062>"]}.get(method, [])
    asked = await wire.ask(wire.request(method, headers=own))
    proxy = asked.status == 407
    challenges = asked.headers.getlist("Proxy-Authenticate" if proxy else "WWW-Authenticate")
    (text,) = [text for text in challenges if f"algorithm={algorithm}" in text]
    challenge = SipWWWAuthenticate(text)
    challenge.parse()
    supported, qop = challenge.supportedAlgorithm()
    assert (supported, qop) == (True, "auth")

    answers = []
    for call, password in (("c1", PASSWORD), ("c2", "guess")):
        line = challenge.genAuthHF("1001", password, method, "sip:commhub.test", qop=qop)
        header = f"{'Proxy-' if proxy else ''}Authorization: {line}"
        request = wire.request(method, seq=2, call=call, headers=[*own, header])
        answers.append((await wire.ask(request)).status)
    # An INVITE that is let in has no description that could be answered to here: what matters is who was let in.
    assert answers[0] not in {401, 407}
    assert answers[1] == asked.status


@algorithms
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_our_answer_to_its_challenge_is_right(algorithm, qop):
    challenge = SipWWWAuthenticate(realm="carrier.example", algorithm=algorithm)
    challenge.qop = (qop,)
    right = signed(str(challenge), "secret")
    wrong = signed(str(challenge), "guess")

    assert SipAuthorization(right).verify("secret", "INVITE", "v=0\r\n")
    assert not SipAuthorization(wrong).verify("secret", "INVITE", "v=0\r\n")
    assert SipAuthorization(right).verify("secret", "INVITE", "another") is (qop == "auth")


def test_our_answer_to_a_challenge_of_the_older_kind_is_right():
    challenge = SipWWWAuthenticate(realm="carrier.example", algorithm="MD5")
    challenge.qop = None

    assert SipAuthorization(signed(str(challenge), "secret")).verify("secret", "INVITE")


def signed(challenge, password):
    """What our side of a line puts on an INVITE after that challenge."""
    invite = Request("INVITE", "sip:10086@carrier.example")
    invite.body = b"v=0\r\n"
    refusal = Response(401)
    refusal.headers.set("WWW-Authenticate", challenge)
    line = LineCredentials("hub", password, "carrier.example")
    assert line.answer(Request("INVITE", invite.uri), refusal, invite) is None
    return invite.get("Authorization")


# --- messages --------------------------------------------------------------------------------------------------


def sent_by_sipp():
    """The requests in SIPp's scenarios, with something for each of its keywords."""
    values = {"len": "0", "branch": "z9hG4bKx", "transport": "UDP", "peer_tag_param": ";tag=p"}
    for path in sorted(SCENARIOS.glob("*.xml")):
        for number, text in enumerate(
            re.findall(r"<!\[CDATA\[\n(.*?)\]\]>", path.read_text(), re.DOTALL)
        ):
            head = text.partition("\n\n")[0]
            if head.startswith("SIP/2.0") or "[$" in head or "\nVia:" not in head:
                continue
            lines = [line for line in head.splitlines() if not line.startswith("[")]
            lines = [line for line in lines if not line.startswith("Content-")]
            filled = re.sub(
                r"\[([^\]]+)\]",
                lambda m: values.get(m[1], "7" if "port" in m[1] else "x"),
                "\r\n".join(lines),
            )
            yield pytest.param(filled + "\r\n\r\n", id=f"{path.stem}-{number}")


def of_the_torture():
    """Those of RFC 4475 that both stacks accept as requests."""
    for name in names():
        data = torture(name)
        try:
            message = parse(data)
            check_request(message)
            theirs(data.decode())
        except Exception:  # noqa: BLE001 - whatever either of them raises: what it refuses cannot be compared
            continue
        yield pytest.param(data.decode(), id=name)


def theirs(text):
    request = SipRequest(text)
    tid = request.getTId(wCSM=True, wBRN=True, wTTG=True)
    return request, tid


@pytest.mark.parametrize("text", [*sent_by_sipp(), *of_the_torture()])
def test_two_stacks_read_the_same(text):
    ours = parse(text.encode())
    request, (call_id, tag, sequence, method, branch, to_tag) = theirs(text)

    assert (ours.method, ours.cseq.method) == (request.getMethod(), method)
    assert (ours.call_id, ours.cseq.sequence) == (call_id, sequence)
    assert (ours.sender.tag or None, ours.recipient.tag or None) == (tag, to_tag)
    assert ours.top_via.parameters.get("branch") == branch
    contacts = [body for body in request.getHFBodys("contact") if not body.asterisk]
    if contacts:
        assert [unquote(a.uri).partition("@")[0] for a in ours.addresses("Contact")] == [
            unquote(str(body.getUrl())).partition("@")[0] for body in contacts
        ]


def test_enough_is_compared():
    """So that a corpus that shrinks to nothing is noticed."""
    assert len(list(sent_by_sipp())) > 100
    assert len(list(of_the_torture())) > 10


async def test_it_reads_what_we_say_in_a_call(wire, phones):
    """Our INVITE with its description, and the answer to a BYE."""
    await phones.register(5062)
    leg = await phones.call()
    invite = await phones.until("INVITE")
    read = SipRequest(bytes(invite).decode())
    read.init_body()
    described = SdpBody(str(read.getBody()), ctype="application/sdp") if read.getBody() else None

    assert read.getMethod() == "INVITE"
    assert read.getHFBody("contact").getUrl().host == wire.gateway._config.public_host
    (voice,) = described.sections
    assert voice.m_header.port > 0
    assert [str(number) for number in voice.m_header.formats][:2] == ["8", "0"]

    phones.answer(invite, 200, body=SDP)
    await eventually(lambda: wire.calls.told("connected", leg))
    said = [SipResponse(bytes(a).decode()) for a in wire.answers() if isinstance(a, Response)]
    assert {answer.getSCode()[0] for answer in said} >= {401, 200}
