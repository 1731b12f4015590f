"""What nearly every message looks like is read by a short way, all else by scanning: both must come to the same.

A text is led past the short way by what changes nothing in its meaning: a blank in front, an empty element, a folded
line, another spelling of a name. So the long way needs no door of its own to be compared with.
"""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sipmessage.message import COMPACT_FORMS

from gateways.sip.errors import MalformedError
from gateways.sip.framing import Framer, FramingError
from gateways.sip.grammar import (
    NameAddr,
    quote_string,
    read_auth,
    read_via,
    split_outside,
    unquote_string,
)
from gateways.sip.message import (
    Request,
    _read_start,
    _start,
    check_request,
    check_response,
    parse,
)

# What a peer may put where it does not belong.
ODD = (
    *' \t"<>;,:=@?\\%/',
    "  ",
    "\r",
    "\n",
    "\r\n",
    "\r\n ",
    "\r\n\t",
    "\x00",
    "\x1c",
    "é",
    "\xa0",
    "\udcff",
    "::",
)

VIAS = (
    "SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKx;rport",
    "SIP/2.0/TCP phone.example;branch=z9hG4bKx;alias;received=192.0.2.9",
    "SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bKx",
    "sip / 2.0 / udp h_1.example : 70000;rport=;ttl=1",
    "SIP/2.0/TCP phone.example:0;branch=z9hG4bKx",
    'SIP/2.0/UDP a;x="b;received=1";RPORT=5',
)
ADDRESSES = (
    '"Alice B." <sip:1001@hub.example;transport=udp>;tag=a1',
    "<sips:1001@hub.example>;tag=a1;x=y",
    "<sip:hub.example?Subject=a,b>",
    "sip:1001@hub.example;tag=a1",
    'Alice <tel:+8613800000000>;TAG="q"',
    '"A, \\"B\\"" <sip:a@b>',
)
CREDENTIALS = (
    'Digest username="1001", realm="r", nonce="n", uri="sip:x", response="0"',
    'Digest username="1001",realm="r",algorithm=MD5,qop=auth,nc=00000001,cnonce="c,d=e"',
    'Digest username="10\\01", realm="r", nonce=n',
    'Digest realm="r", nonce="n", REALM="s"',
    'Digest a="\\"", b = c , , d="<e>"',
    "Basic abc=",
)
STARTS = (
    "INVITE sip:2000@hub.example SIP/2.0",
    "SIP/2.0 200 OK",
    "SIP/2.0 699 Ungültig",
    "OPTIONS tel:119 SIP/2.0",
    "REGISTER sip:hub.example sip/2.0",
)
INVITE = (
    "INVITE sip:2000@hub.example SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKx;rport\r\n"
    'From: "Alice" <sip:1001@hub.example>;tag=1\r\n'
    "To: <sip:2000@hub.example>\r\n"
    "Call-ID: a@b\r\n"
    "CSeq: 2 INVITE\r\n"
    "Contact: <sip:1001@192.0.2.1:5062;transport=udp>\r\n"
    "Supported: timer, 100rel\r\n"
    "Max-Forwards: 70\r\n"
    "Content-Length: 3\r\n"
    "\r\n"
    "v=0"
)
RINGING = INVITE.replace("INVITE sip:2000@hub.example SIP/2.0", "SIP/2.0 180 Ringing")


@st.composite
def bent(draw, usual, *, at_most=3):
    """A usual text, now and then as it is, with odd pieces put in, taken out or doubled."""
    text = draw(st.sampled_from(usual))
    for _ in range(draw(st.integers(0, at_most))):
        at = draw(st.integers(0, len(text)))
        kind = draw(st.sampled_from(("put", "cut", "double")))
        length = draw(st.integers(1, 8))
        if kind == "put":
            text = text[:at] + draw(st.sampled_from(ODD)) + text[at:]
        elif kind == "cut":
            text = text[:at] + text[at + length :]
        else:
            text = text[: at + length] + text[at:]
    return text


def outcome(read, *given_to):
    """What a reader makes of something, or that it refuses it, and how."""
    try:
        return read(*given_to)
    except MalformedError as error:
        return "refused", error.status, error.request is not None
    except ValueError:
        return "refused"


def in_bytes(text):
    return text.encode("utf-8", "surrogateescape")


# --- values --------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(bent(VIAS))
def test_a_via_is_the_same_by_one_expression_and_by_scanning(text):
    assert outcome(read_via, text) == outcome(read_via, " " + text)


@settings(max_examples=300)
@given(bent(ADDRESSES))
def test_an_address_is_the_same_by_one_expression_and_by_scanning(text):
    assert outcome(NameAddr.read, text) == outcome(NameAddr.read, " " + text)


@settings(max_examples=300)
@given(bent(CREDENTIALS))
def test_credentials_are_the_same_by_one_expression_and_by_scanning(text):
    scheme, _, rest = text.strip().partition(" ")
    assert outcome(read_auth, f"{scheme} {rest}") == outcome(read_auth, f"{scheme} , {rest}")


@settings(max_examples=200)
@given(bent((*VIAS, *ADDRESSES, *CREDENTIALS), at_most=5), st.sampled_from(",;"))
def test_what_holds_no_quotes_is_split_as_what_does(text, mark):
    with_more = outcome(split_outside, f'{text}{mark}""', mark)
    assert outcome(split_outside, text, mark) == (
        with_more if with_more == "refused" else with_more[:-1]
    )


@settings(max_examples=200)
@given(bent(STARTS))
def test_a_start_line_that_is_known_is_what_it_was_when_it_was_read(text):
    def read(reader):
        message, flaw = reader(text)
        return message.start_line, flaw and (flaw.status, str(flaw))

    assert outcome(read, _start) == outcome(read, _read_start)


@settings(max_examples=200)
@given(bent(("Alice", '"', "\\", "Zwölf ", "a\\b"), at_most=6))
def test_what_is_quoted_is_read_as_what_it_was(text):
    assert unquote_string(quote_string(text)) == "".join(
        c if c.isprintable() else " " for c in text
    )


# --- the top Via ---------------------------------------------------------------------------------------------


def from_peer(vias):
    """A request with these Via lines."""
    request = Request("OPTIONS", "sip:hub.example")
    request.headers.setlist("Via", vias)
    return request


@settings(max_examples=200)
@given(bent(VIAS))
def test_the_top_via_is_the_same_alone_and_before_others(text):
    other = "SIP/2.0/UDP proxy.example"
    alone = outcome(lambda: from_peer([text]).top_via)
    before = outcome(lambda: from_peer([f"{text}, {other}"]).top_via)
    assert alone == before


@settings(max_examples=300)
@given(bent(VIAS))
@example("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx;rport;")
@example("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx;x=<a;received=1>")
def test_a_stamped_via_reads_as_what_is_remembered_of_it(text):
    request = from_peer([text, "SIP/2.0/UDP proxy.example"])
    try:
        request.stamp("198.51.100.7", 40_000)
    except MalformedError:
        return
    echoed = from_peer(request.headers.getlist("Via"))
    assert echoed.top_via == request.top_via
    assert echoed.top_via.parameters["received"] == "198.51.100.7"
    assert echoed.headers.getlist("Via")[1] == "SIP/2.0/UDP proxy.example"


# --- whole messages ------------------------------------------------------------------------------------------


def reading(data):
    """Everything the edge reads of a message, or how it is refused."""

    def read():
        message = parse(in_bytes(data))
        message.headers.remove("X-Folded")
        if isinstance(message, Request):
            check_request(message)
        else:
            check_response(message)
        values = (message.top_via, message.sender, message.recipient, message.cseq, message.call_id)
        return message.start_line, str(message.headers), message.body, *values

    return outcome(read)


UNMEASURED = INVITE.replace("Content-Length: 3\r\n", "").replace("v=0", "")

messages = bent((INVITE, RINGING, UNMEASURED), at_most=6)


@settings(max_examples=500)
@given(messages)
@example(UNMEASURED.removesuffix("\r\n"))
def test_a_message_with_a_folded_line_reads_as_one_without(text):
    start, end, rest = text.partition("\r\n")
    plain = f"{start}\r\nX-Folded: a b{end}{rest}"
    folded = f"{start}\r\nX-Folded: a\r\n b{end}{rest}"
    assert reading(plain) == reading(folded)


SHORT = {long.lower(): short for short, long in COMPACT_FORMS.items()}


@settings(max_examples=200)
@given(st.data())
def test_a_name_is_the_same_in_every_spelling(data):
    start, *lines = INVITE.partition("\r\n\r\n")[0].split("\r\n")

    def respelt(line):
        name, _, value = line.partition(":")
        short = SHORT.get(name.lower(), name)
        spellings = [name, name.lower(), name.upper(), short, short.upper()]
        blanks = data.draw(st.sampled_from(("", " ", "\t", " \t ")))
        return f"{data.draw(st.sampled_from(spellings))}{blanks}:{blanks}{value}"

    other = parse(in_bytes("\r\n".join([start, *map(respelt, lines), "", "v=0"])))
    usual = parse(in_bytes(INVITE))
    check_request(other)
    for name in usual.headers.keys():  # noqa: SIM118 - a message's fields are no mapping
        assert other.headers.getlist(name) == usual.headers.getlist(name)
    assert other.body == usual.body


@settings(max_examples=300)
@given(messages)
def test_a_message_out_of_a_stream_ends_where_it_says(text):
    """One length is read by the framing and another by the message; a body between the two would be a smuggled message."""
    framer = Framer(65_535)
    try:
        pieces = [piece for piece in framer.feed(in_bytes(text)) if isinstance(piece, bytes)]
    except FramingError:
        return
    for piece in pieces:
        try:
            message = parse(piece)
        except MalformedError:
            continue
        assert message.body == piece.partition(b"\r\n\r\n")[2]


@settings(max_examples=200)
@given(messages)
def test_what_is_written_reads_as_what_was_read(text):
    try:
        message = parse(in_bytes(text))
    except MalformedError:
        return
    written = bytes(message)
    again = parse(written)
    assert (again.start_line, again.body) == (message.start_line, message.body)
    assert str(again.headers) == str(message.headers)
    assert message.size == len(written)
