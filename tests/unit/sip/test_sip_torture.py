"""The 49 messages of RFC 4475, each with the verdict the RFC asks of a user agent and registrar, and what it must have read.

The messages are files (`torture/`), in the RFC's own notation. Where the RFC leaves a choice, the table says which one
this hub took. Whoever brings no credentials is challenged (401, 407): the message was well-formed, and got that far.
"""

import pytest
from fakes.torture import names, torture

from gateways.sip.grammar import read_uri
from gateways.sip.message import parse
from gateways.sip.transport import Hop

DROPPED = None
"""Nothing is sent back."""

VERDICTS = {
    # 3.1.1: well-formed, however strange
    "wsinv": 481,  # its To has a tag, and nobody here knows the dialog
    "intmeth": 501,
    "esc01": 407,
    "escnull": 401,
    "esc02": 501,  # «RE%47IST%45R» is another method than REGISTER: nothing is unescaped there
    "lwsdisp": 200,
    "longreq": 407,
    "dblreq": 401,  # what follows the first request in a datagram is ignored
    "semiuri": 200,
    "transports": 200,
    "mpart01": 407,
    "unreason": DROPPED,
    "noreason": DROPPED,
    # 3.1.2: not well-formed
    "badinv01": 400,
    "clerr": 400,
    "ncl": 400,
    "scalar02": 400,
    "scalarlg": DROPPED,
    "quotbal": 400,
    "ltgtruri": 400,
    "lwsruri": 400,
    "lwsstart": 400,
    "trws": 400,
    "escruri": 400,
    "baddate": 407,  # the RFC lets an element that has no use for the Date ignore it
    "regbadct": 400,
    "badaspec": 200,  # the RFC lets a liberal one ignore the blanks within the brackets
    "baddn": 400,
    "badvers": 505,
    "mismatch01": 400,
    "mismatch02": 400,  # or 501
    "bigcode": DROPPED,
    # 3.2: transactions
    "badbranch": 200,  # matched as RFC 2543 would
    # 3.3: the application
    "insuf": 400,
    "unkscm": 416,
    "novelsc": 416,
    "unksm2": 400,
    "bext01": 420,
    "invut": 415,
    "regaut01": 401,
    "multi01": 400,
    "mcl01": 400,
    "bcast": DROPPED,
    "zeromf": 200,  # it has arrived
    "cparam01": 401,
    "cparam02": 401,
    "regescrt": 401,
    "sdp01": 406,
    # 3.4: older than RFC 3261
    "inv2543": 407,
}


def test_all_of_them_are_there():
    assert len(VERDICTS) == 49
    assert sorted(VERDICTS) == names()


@pytest.mark.parametrize(("name", "verdict"), VERDICTS.items())
async def test_the_verdict_is_the_rfcs(wire, name, verdict):
    if verdict is DROPPED:
        assert await wire.silence(torture(name)) == []
    else:
        answer = await wire.ask(torture(name))
        assert answer.status == verdict


def contact_of(message):
    return message.addresses("Contact")[0]


READINGS = {
    "wsinv": lambda m: (
        [via.split(";")[0].split()[-1] for via in ",".join(m.headers.getlist("Via")).split(",")],
        m.sender.name,
        m.sender.tag,
        m.recipient.tag,
        m.number("Max-Forwards"),
        (m.cseq.sequence, m.cseq.method),
        m.get("Subject"),
        m.get("NewFangledHeader"),
        m.get("UnknownHeaderWithUnusualValue"),
        contact_of(m).name,
        dict(contact_of(m).parameters),
        "lr" in read_uri(m.addresses("Route")[0].uri).parameters,
    ),
    "intmeth": lambda m: (
        m.method,
        m.sender.name,
        m.sender.parameters["fromparam''~+*_!.-%"],
        m.recipient.name,
        m.call_id,
        m.get("extensionHeader-!.%*+_`'~"),
    ),
    "esc01": lambda m: (
        read_uri(m.uri).user,
        read_uri(m.recipient.uri).user,
        read_uri(m.sender.uri).user,
        dict(read_uri(contact_of(m).uri).parameters),
    ),
    "escnull": lambda m: (
        [read_uri(c.uri).user for c in m.addresses("Contact")],
        read_uri(m.recipient.uri).user,
    ),
    "esc02": lambda m: (m.method, m.recipient.name, len(m.addresses("Contact"))),
    "lwsdisp": lambda m: (m.sender.name, m.sender.uri),
    "longreq": lambda m: (len(m.headers.getlist("Via")), len(m.call_id), len(m.body)),
    "dblreq": lambda m: (m.method, m.body),
    "semiuri": lambda m: (read_uri(m.uri).user, dict(read_uri(m.uri).parameters)),
    "transports": lambda m: (m.top_via.transport, len(m.headers.getlist("Via"))),
    "mpart01": lambda m: (len(m.body), m.body.count(0), m.content_type),
    "unreason": lambda m: (m.status, m.reason),
    "noreason": lambda m: (m.status, m.reason),
    "badaspec": lambda m: (m.recipient.uri,),
    "cparam01": lambda m: (contact_of(m).uri, dict(contact_of(m).parameters)),
    "cparam02": lambda m: (
        dict(read_uri(contact_of(m).uri).parameters),
        dict(contact_of(m).parameters),
    ),
    "regescrt": lambda m: (contact_of(m).uri,),
    "inv2543": lambda m: (m.sender.tag, m.top_via.parameters.get("branch"), len(m.body)),
}

READ = {
    "wsinv": (
        ["192.0.2.2", "spindle.example.com", "192.168.255.111"],
        'J Rosenberg \\"',
        "98asjd8",
        "1918181833n",
        68,
        (9, "INVITE"),
        "",
        "newfangled value continued newfangled value",
        ";;,,;;,;",
        'Quoted string ""',
        {"newparam": "newvalue", "secondparam": None, "q": "0.33"},
        True,
    ),
    "intmeth": (
        "!interesting-Method0123456789_*+`.%indeed'~",
        "token1~` token2'+_ token3*%!.-",
        "работающий",
        "BEL:\x07 NUL:\x00 DEL:\x7f",
        "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
        "\ufeff大停電",
    ),
    "esc01": (
        "sips:user@example.com",
        "user",
        "I have spaces",
        {"lr": None, "name": "value%41"},
    ),
    "escnull": (["\0", "\0\0"], "null-\0-null"),
    "esc02": ("RE%47IST%45R", "%Z%45", 2),
    "lwsdisp": ("caller", "sip:caller@example.com"),
    "longreq": (34, len("longreq.one") + 20 * len("really") + len("longcallid"), 150),
    "dblreq": ("REGISTER", b""),
    "semiuri": ("user;par=u@example.net", {}),
    "transports": ("UDP", 5),
    "mpart01": (553, 2, "multipart/mixed"),
    "unreason": (200, "= 2**3 * 5**2 но сто девяносто девять - простое"),
    "noreason": (100, ""),
    "badaspec": ("sip:t.watson@example.org",),
    "cparam01": ("sip:+19725552222@gw1.example.net", {"unknownparam": None}),
    "cparam02": ({"unknownparam": None}, {}),
    "regescrt": ("sip:user@example.com?Route=%3Csip:sip.example.com%3E",),
    "inv2543": ("", None, 105),
}


@pytest.mark.parametrize("name", READ)
def test_the_reading_is_the_rfcs(name):
    assert READINGS[name](parse(torture(name))) == READ[name]


async def test_a_refusal_says_what_the_rfc_wants_said(wire):
    unsupported = await wire.ask(torture("bext01"))
    unknown_body = await wire.ask(torture("invut"))
    unanswerable = await wire.ask(torture("sdp01"))

    # Proxy-Require is a proxy's business.
    assert unsupported.tokens("Unsupported") == ["nothingsupportsthis", "nothingsupportsthiseither"]
    assert unknown_body.get("Accept") == unanswerable.get("Accept") == "application/sdp"


async def test_a_via_that_cannot_be_read_goes_back_as_it_came_to_where_it_came_from(wire):
    answer = await wire.ask(torture("badinv01"), Hop("198.51.100.9", 5099))

    assert answer.get("Via") == "SIP/2.0/UDP 192.0.2.15;;,;,,"
    assert wire.sent[-1][1] == Hop("198.51.100.9", 5099)


# --- and what the RFC does not ask --------------------------------------------------------------------------


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


@pytest.mark.parametrize(("method", "status"), [("PUBLISH", 405), ("FLY", 501)])
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
