"""The WHIP client against ingests that keep to the RFC, and against those that do not."""

import asyncio
import ssl

import pytest
from fakes.ingest import created, http, ingest

from commhub.domain.errors import (
    ConflictError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
)
from gateways.sip.tls import make_identity
from gateways.webrtc.whip_client import WhipClient, WhipSession

OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"


@pytest.fixture
async def client():
    async with WhipClient(lambda _: True, timeout_s=5) as made:
        yield made


async def test_an_offer_is_posted_with_its_token_and_the_answer_has_an_address(client):
    async with ingest(live=created()) as far:
        session = await client.offer(f"{far.url}/live", "secret", OFFER)
    assert session == WhipSession("v=0\r\n", f"{far.url}/sessions/7")
    (asked,) = far.asked
    assert (asked.method, asked.body) == ("POST", OFFER.encode())
    assert asked.headers["authorization"] == "Bearer secret"
    assert asked.headers["content-type"] == "application/sdp"


async def test_without_a_token_none_is_sent(client):
    async with ingest(live=created()) as far:
        await client.offer(f"{far.url}/live", None, OFFER)
    assert "authorization" not in far.asked[0].headers


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/sessions/7", "/sessions/7"),
        ("sessions/7", "/whip/sessions/7"),
        ("//HOST/x", "/x"),
        ("http://HOST/y?a=b#c", "/y?a=b"),
    ],
)
async def test_the_sessions_address_may_be_relative_or_absolute(client, location, path):
    async with ingest() as far:
        host = far.url.partition("//")[2]
        far.answers["/whip/live"] = created(Location=location.replace("HOST", host))
        session = await client.offer(f"{far.url}/whip/live", None, OFFER)
        assert session.url == far.url + path


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, InvalidError, "400: the offer was not understood"),
        (401, NotAllowedError, "401: the token was refused"),
        (403, NotAllowedError, "403: the token does not allow this"),
        (404, NotFoundError, "404: there is no such endpoint"),
        (409, ConflictError, "409: somebody else publishes there"),
        (415, InvalidError, "415: this is no WHIP endpoint: it takes no SDP"),
        (418, InvalidError, "418: the far end refused"),
        (429, UnavailableError, "429: the far end is asked too often"),
        (500, UnavailableError, "500: the far end has a fault"),
        (503, UnavailableError, "503: the far end is busy"),
        (200, InvalidError, "200: the far end refused"),
    ],
)
async def test_a_refusal_is_a_sentence_with_its_status(client, status, error, words):
    async with ingest(live=http(status)) as far:
        with pytest.raises(error) as refused:
            await client.offer(f"{far.url}/live", "secret", OFFER)
    assert str(refused.value) == words
    assert refused.value.details["status"] == status


async def test_what_the_far_end_says_is_passed_on_short_and_on_one_line(client):
    problem = b'{"title": "x", "detail": "the room\\u0007 is\\nfull ' + b"!" * 500 + b'"}'
    answers = {
        "full": http(409, problem, Content_Type="application/problem+json"),
        "plain": http(422, b"no  H265\r\nhere", Content_Type="text/plain; charset=utf-8"),
        "page": http(404, b"<html>not here</html>", Content_Type="text/html"),
        "deep": http(400, b"[" * 60_000, Content_Type="application/json"),
    }
    said = {}
    async with ingest(**answers) as far:
        for path in answers:
            with pytest.raises((ConflictError, InvalidError, NotFoundError)) as refused:
                await client.offer(f"{far.url}/{path}", None, OFFER)
            said[path] = str(refused.value)
    assert said["full"].startswith("409: somebody else publishes there (the room is full !!!")
    assert len(said["full"]) < 260
    assert said["plain"].endswith("(no H265 here)")
    assert said["page"] == "404: there is no such endpoint"
    assert said["deep"] == "400: the offer was not understood"


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("999999", 3600.0), ("soon", None), ("-1", None)]
)
async def test_a_busy_far_end_says_when_to_come_again(client, header, seconds):
    async with ingest(live=http(503, Retry_After=header)) as far:
        with pytest.raises(UnavailableError) as refused:
            await client.offer(f"{far.url}/live", None, OFFER)
    assert refused.value.details["retry_after_s"] == seconds


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (created(Content_Type="text/html"), "no application/sdp"),
        (created(b"\xff\xfe"), "no text"),
        (created(b"v" * (64 * 1024 + 1)), "more than 64 KiB"),
        (http(201, b"v=0", Content_Type="application/sdp"), "without the address"),
        (created(Location="ftp://127.0.0.1/x"), "http"),
        (created(Location="http://127.0.0.1:x/y"), "no URL"),
        (created(Location="/" + "x" * 3000), "too long"),
    ],
)
async def test_an_answer_that_is_none_is_refused(client, answer, words):
    async with ingest(live=answer) as far:
        with pytest.raises(InvalidError, match=words):
            await client.offer(f"{far.url}/live", None, OFFER)


@pytest.mark.parametrize(
    "garbage", [b"", b"HTTP/1.1 201", b"\x16\x03\x01 what", b"HTTP/1.1 abc\r\n\r\n"]
)
async def test_what_is_no_http_is_a_far_end_that_cannot_be_reached(client, garbage):
    async with ingest(live=garbage) as far:
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await client.offer(f"{far.url}/live", None, OFFER)


async def test_nobody_there_is_said_so(client):
    async with ingest() as far:
        pass
    with pytest.raises(UnavailableError, match="cannot be reached: ConnectError"):
        await client.offer(f"{far.url}/live", None, OFFER)


async def test_an_answer_that_drips_is_given_up_in_time():
    async def drip(writer):
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 9999\r\n\r\n")
        while True:
            writer.write(b"v")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with WhipClient(lambda _: True, timeout_s=0.3) as client, ingest(live=drip) as far:
        with pytest.raises(UnavailableError, match="in time"):
            await client.offer(f"{far.url}/live", None, OFFER)


async def test_an_endless_answer_is_not_read_to_its_end(client):
    async def pour(writer):
        writer.write(b"HTTP/1.1 500 Fault\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with ingest(live=pour) as far:
        with pytest.raises(UnavailableError, match="500: the far end has a fault"):
            await client.offer(f"{far.url}/live", None, OFFER)


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_keeps_the_post_its_body_and_its_token(client, status):
    async with ingest(there=created(Location="/there/1")) as there, ingest() as far:
        far.answers["/live"] = http(status, Location=f"{there.url}/there")
        session = await client.offer(f"{far.url}/live", "secret", OFFER)
    assert session.url == f"{there.url}/there/1"
    (asked,) = there.asked
    assert (asked.method, asked.body) == ("POST", OFFER.encode())
    assert asked.headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_that_would_make_a_get_of_it_is_refused(client, status):
    async with ingest(live=http(status, Location="/live")) as far:
        with pytest.raises(InvalidError, match=f"{status}: the far end redirects"):
            await client.offer(f"{far.url}/live", None, OFFER)
    assert len(far.asked) == 1


async def test_a_far_end_that_redirects_in_circles_is_left(client):
    async with ingest(live=http(307, Location="/live")) as far:
        with pytest.raises(InvalidError, match="more than 3 times"):
            await client.offer(f"{far.url}/live", None, OFFER)
    assert len(far.asked) == 4


async def test_nothing_is_sent_where_it_is_not_allowed():
    async with ingest(private=created()) as private, ingest() as far:
        far.answers = {
            "/redirects": http(307, Location=f"{private.url}/private"),
            "/session": created(Location=f"{private.url}/private"),
        }

        def allow(url):
            return str(url).startswith(far.url)

        async with WhipClient(allow) as client:
            for url in (f"{private.url}/private", f"{far.url}/redirects", f"{far.url}/session"):
                with pytest.raises(NotAllowedError, match="is not among those allowed"):
                    await client.offer(url, "secret", OFFER)
            with pytest.raises(NotAllowedError):
                await client.end(WhipSession("", f"{private.url}/private"), "secret")
    assert private.asked == []


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "ftp://h/x", "http://", "http://u:p@127.0.0.1/", "http://h:99999/", "/x"],
)
async def test_what_is_no_address_of_whip_is_refused_before_anything_is_sent(client, url):
    with pytest.raises(InvalidError):
        await client.offer(url, None, OFFER)


@pytest.mark.parametrize("status", [200, 204, 404, 410])
async def test_a_session_is_ended_with_its_token_and_one_that_is_over_is_fine(client, status):
    async with ingest(session=http(status)) as far:
        await client.end(WhipSession("", f"{far.url}/session"), "secret")
    (asked,) = far.asked
    assert (asked.method, asked.headers["authorization"]) == ("DELETE", "Bearer secret")


async def test_a_session_that_cannot_be_ended_says_why(client):
    async with ingest(session=http(401)) as far:
        with pytest.raises(NotAllowedError, match="401: the token was refused"):
            await client.end(WhipSession("", f"{far.url}/session"), "old")


# TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def identity(tmp_path):
    """A certificate for this machine, and the context of a server that has it."""
    certificate, key = make_identity(tmp_path / "tls", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


async def test_a_certificate_is_trusted_when_its_file_says_so(identity):
    certificate, context = identity
    async with (
        WhipClient(lambda _: True, ca_file=certificate) as client,
        ingest(context, live=created()) as far,
    ):
        session = await client.offer(f"{far.url}/live", "secret", OFFER)
    assert session.url.startswith("https://")


async def test_a_stranger_with_a_certificate_of_their_own_gets_nothing(client, identity):
    async with ingest(identity[1], live=created()) as far:
        with pytest.raises(UnavailableError, match="certificate is not trusted"):
            await client.offer(f"{far.url}/live", "secret", OFFER)
    assert far.asked == []


async def test_nobody_is_led_from_https_to_http(identity):
    certificate, context = identity
    async with (
        WhipClient(lambda _: True, ca_file=certificate) as client,
        ingest(live=created()) as clear,
        ingest(context, live=http(307, Location=f"{clear.url}/live")) as far,
    ):
        with pytest.raises(NotAllowedError, match="https to http"):
            await client.offer(f"{far.url}/live", "secret", OFFER)
    assert clear.asked == []
