"""Messages in the manner of RFC 4475, each with the verdict the RFC asks of a user agent and registrar.

They are written anew after the RFC's descriptions; the section behind each is what it tests.
"""

import pytest

from gateways.sip.transport import Hop

PADDING = "padding" * 60

SDP = (
    "v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n"
    "m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n"
)


def lines(*parts, body=""):
    return "\r\n".join(parts) + "\r\n\r\n" + body


def message(
    start="OPTIONS sip:user@example.com SIP/2.0",
    *,
    to="To: sip:user@example.com",
    sender="From: sip:caller@example.org;tag=323",
    via="Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-torture",
    cseq=None,
    length="Content-Length: 0",
    more=(),
    body="",
):
    cseq = cseq or f"CSeq: 60 {start.split(' ')[0]}"
    fields = [start, to, sender, via, cseq, *more, "Max-Forwards: 70", "Call-ID: torture.1", length]
    return lines(*[field for field in fields if field], body=body)


TORTUOUS = lines(
    "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0",
    "TO :",
    " sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
    'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>',
    "  ;",
    "  tag = 98asjd8",
    "MaX-fOrWaRdS: 0068",
    "Call-ID: wsinv.ndaksdj@192.0.2.1",
    f"Content-Length   : {len(SDP)}",
    "cseq: 0009",
    "  INVITE",
    "Via  : SIP  /   2.0",
    " /UDP",
    "    192.0.2.2;branch=390skdjuw",
    "s :",
    "NewFangledHeader:   newfangled value",
    " continued newfangled value",
    "UnknownHeaderWithUnusualValue: ;;,,;;,;",
    "Content-Type: application/sdp",
    "Route:",
    " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;",
    "  branch  =   z9hG4bK9ikj8  ,",
    " SIP  /    2.0   / UDP  192.168.255.111   ; branch=",
    " z9hG4bK30239",
    'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =',
    "      newvalue ;",
    "  secondparam ; q = 0.33",
    body=SDP,
)

# (what, message, verdict): a status, or None where nothing may be sent back.
CASES = [
    # 3.1.1: valid, however strange
    ("3.1.1.1 folded all over, in a dialog nobody knows", TORTUOUS, 481),
    (
        "3.1.1.2 a wide range of characters in the method",
        message(
            "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0"
        ),
        501,
    ),
    (
        "3.1.1.3 escapes in the URI",
        message(
            "OPTIONS sip:sips%3Auser%40example.com@example.net SIP/2.0",
            to="To: sip:%75se%72@example.com",
            sender="From: <sip:I%20have%20spaces@example.net>;tag=938",
        ),
        200,
    ),
    (
        "3.1.1.4 escaped nulls",
        message(
            "REGISTER sip:example.com SIP/2.0",
            to="To: sip:null-%00-null@example.com",
            sender="From: sip:null-%00-null@example.com;tag=839923423",
            more=[
                "Contact: <sip:%00@host5.example.com>",
                "Contact: <sip:%00%00@host5.example.com>",
            ],
        ),
        401,
    ),
    (
        "3.1.1.5 a percent that is no escape, in the method",
        message("RE%47IST%45R sip:registrar.example.com SIP/2.0"),
        501,
    ),
    (
        "3.1.1.6 no blank between the display name and <",
        message(sender="From: caller<sip:caller@example.com>;tag=323"),
        200,
    ),
    (
        "3.1.1.7 long values in header fields",
        message(
            to=f'To: "I have a user name of extreme{PADDING}" <sip:user@example.com:6000;unknownparam1=very{PADDING}>',
            more=[f"Unknown-{PADDING}: unknown-{PADDING}-value", f"Extra: {PADDING * 5}"],
        ),
        200,
    ),
    (
        "3.1.1.8 a second request behind the first",
        message() + message("INVITE sip:joe@example.com SIP/2.0"),
        200,
    ),
    (
        "3.1.1.9 semicolons in the user part",
        message("OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0"),
        200,
    ),
    (
        "3.1.1.10 many transports in Via",
        message(
            via=lines(
                "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw",
                "Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf",
                "Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj",
                "Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en",
            ).strip()
        ),
        200,
    ),
    (
        "3.1.1.12 a response with an unusual reason",
        message("SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e", cseq="CSeq: 35 INVITE"),
        None,
    ),
    ("3.1.1.13 a response without a reason", message("SIP/2.0 100 ", cseq="CSeq: 35 INVITE"), None),
    # 3.1.2: invalid
    (
        "3.1.2.1 separators too many",
        message(
            "INVITE sip:user@example.com SIP/2.0",
            via="Via: SIP/2.0/UDP 192.0.2.15;;,;,,",
            more=['Contact: "Joe" <sip:joe@example.org>;;;;'],
        ),
        None,  # no Via to answer to
    ),
    (
        "3.1.2.2 a Content-Length larger than the message",
        message(length="Content-Length: 9999", body=SDP),
        400,
    ),
    ("3.1.2.3 a negative Content-Length", message(length="Content-Length: -999"), 400),
    (
        "3.1.2.4 scalar fields out of range",
        message("REGISTER sip:example.com SIP/2.0", cseq="CSeq: 36893488147419103232 REGISTER"),
        400,
    ),
    (
        "3.1.2.5 the same in a response",
        message("SIP/2.0 503 Service Unavailable", cseq="CSeq: 9292394834772304023312 OPTIONS"),
        None,
    ),
    ("3.1.2.6 an open quote", message(to='To: "Mr. J. User <sip:j.user@example.com>'), 400),
    (
        "3.1.2.7 brackets around the Request-URI",
        message("OPTIONS <sip:user@example.com> SIP/2.0"),
        400,
    ),
    (
        "3.1.2.8 blanks inside the Request-URI",
        message("OPTIONS sip:user@example.com; lr SIP/2.0"),
        400,
    ),
    (
        "3.1.2.9 several blanks in the start line",
        message("OPTIONS  sip:user@example.com  SIP/2.0", cseq="CSeq: 8 OPTIONS"),
        400,
    ),
    (
        "3.1.2.10 blanks at the end of the start line",
        message("OPTIONS sip:user@example.com SIP/2.0  "),
        400,
    ),
    (
        "3.1.2.11 headers in the Request-URI",
        message("OPTIONS sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0"),
        400,
    ),
    (
        "3.1.2.13 a URI with «?» that lacks brackets",
        message("REGISTER sip:example.com SIP/2.0", to="To: sip:1001@example.com?x=y"),
        400,
    ),
    (
        "3.1.2.14 blanks inside the brackets",
        message(to='To: "Watson, Thomas" < sip:t.watson@example.org >'),
        200,
    ),
    (
        "3.1.2.15 a display name that needs quotes",
        message(sender="From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43"),
        400,
    ),
    (
        "3.1.2.16 a version from the future",
        message("OPTIONS sip:t.watson@example.org SIP/7.0"),
        505,
    ),
    ("3.1.2.17 method and CSeq differ", message(cseq="CSeq: 8 INVITE"), 400),
    (
        "3.1.2.18 an unknown method and another CSeq",
        message("NEWMETHOD sip:user@example.com SIP/2.0", cseq="CSeq: 8 INVITE"),
        400,
    ),
    (
        "3.1.2.19 a status too large",
        message("SIP/2.0 4294967301 better not break", cseq="CSeq: 8 INVITE"),
        None,
    ),
    # 3.2, 3.3: transactions and the application
    (
        "3.2.1 a branch that is nothing but the cookie",
        message(via="Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"),
        200,
    ),
    (
        "3.3.1 To, From and Call-ID missing",
        lines(
            "OPTIONS sip:user@example.com SIP/2.0",
            "CSeq: 193942 OPTIONS",
            "Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf",
            "Content-Length: 0",
        ),
        400,
    ),
    (
        "3.3.2 an unknown scheme in the Request-URI",
        message("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0"),
        416,
    ),
    (
        "3.3.3 a known scheme that is out of place",
        message("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0"),
        416,
    ),
    (
        "3.3.4 an unknown scheme in To",
        message("REGISTER sip:example.com SIP/2.0", to="To: isbn:2983792873"),
        401,
    ),
    (
        "3.3.5 Require and Proxy-Require of nobody's",
        message(more=["Require: nothingSupportsThis, nothingSupportsThisEither"]),
        420,
    ),
    (
        "3.3.6 an unknown Content-Type",
        message(
            "INVITE sip:user@example.com SIP/2.0",
            length="Content-Length: 5",
            more=["Contact: <sip:a@192.0.2.1>", "Content-Type: application/unknownformat"],
            body="<a/>\n",
        ),
        415,
    ),
    (
        "3.3.7 an unknown authorization scheme",
        message(
            "REGISTER sip:example.com SIP/2.0",
            more=[
                "Authorization: NoOneKnowsThisScheme opaque-data=here",
                "Contact: <sip:a@192.0.2.1>",
            ],
        ),
        401,
    ),
    (
        "3.3.8 fields twice that may come once",
        message(more=["To: sip:other@example.net", "CSeq: 19 OPTIONS"]),
        400,
    ),
    ("3.3.9 Content-Length twice", message(more=["Content-Length: 15"]), 400),
    (
        "3.3.12 Max-Forwards of zero ends here",
        message(more=["Max-Forwards: 0"]).replace("Max-Forwards: 70\r\n", ""),
        200,
    ),
    (
        "3.3.13 a Contact with a parameter",
        message(
            "REGISTER sip:example.com SIP/2.0",
            more=["Contact: sip:+19725552222@gw1.example.net;unknownparam"],
        ),
        401,
    ),
    (
        "3.4.1 an INVITE of RFC 2543",
        message(
            "INVITE sip:UserB@example.com SIP/2.0",
            via="Via: SIP/2.0/UDP iftgw.example.com",
            sender="From: sip:UserA@example.org",
            more=["Contact: <sip:a@192.0.2.1>"],
        ),
        407,
    ),
]


@pytest.mark.parametrize(("text", "verdict"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
async def test_the_verdict_is_the_rfcs(wire, text, verdict):
    if verdict is None:
        assert await wire.silence(text) == []
    else:
        answer = await wire.ask(text)
        assert answer.status == verdict


async def test_malformed_messages_are_counted_per_source_and_answers_end(wire):
    flood = Hop("198.51.100.66", 5060)
    for _ in range(50):
        await wire.silence(message(length="Content-Length: -1"), flood)

    assert wire.gateway.errors_of(flood.host) == 50
    assert len([hop for _, hop in wire.sent if hop.host == flood.host]) == 20


async def test_a_420_names_what_is_not_supported(wire):
    answer = await wire.ask(message(more=["Require: 100rel, precondition"]))

    assert answer.get("Unsupported") == "precondition"


async def test_options_tells_what_we_can(wire):
    answer = await wire.ask(message())

    assert "INVITE" in answer.get("Allow")
    assert answer.get("Accept") == "application/sdp"


@pytest.mark.parametrize(("method", "status"), [("SUBSCRIBE", 405), ("MESSAGE", 405), ("FLY", 501)])
async def test_what_is_not_offered_is_refused(wire, method, status):
    answer = await wire.ask(message(f"{method} sip:user@example.com SIP/2.0"))

    assert answer.status == status
    assert "INVITE" in answer.get("Allow")


async def test_a_bye_of_no_dialog_is_481(wire):
    text = message("BYE sip:commhub@127.0.0.1 SIP/2.0", to="To: <sip:x@y>;tag=1")

    assert (await wire.ask(text)).status == 481


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\0\0\0\0", b"", b" \r\n"])
async def test_keep_alives_are_not_errors(wire, data):
    assert await wire.silence(data) == []
    assert wire.gateway.errors_of("192.0.2.10") == 0


async def test_an_ack_is_never_answered(wire):
    broken = message("ACK sip:user@example.com SIP/2.0", length="Content-Length: -1")

    assert await wire.silence(broken) == []
    assert await wire.silence(message("ACK sip:user@example.com SIP/2.0")) == []
