"""The callback's doors: what is let in, what is turned away, and with which answer."""

import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx
import pytest
from fakes.clock import ScriptedClock
from fakes.wecom import CONFIG, KeepingAcks, KeepingReports, callback_app

from commhub.domain.errors import ConflictError, InvalidError, UnavailableError
from gateways.wecom.callback import MAX_BODY
from gateways.wecom.crypto import Envelope
from gateways.wecom.freshness import MOST_REPEATS, WINDOW_S
from gateways.wecom.metrics import REFUSED

TAP = (
    "<xml><ToUserName><![CDATA[corp]]></ToUserName><FromUserName><![CDATA[LiSi]]></FromUserName>"
    "<CreateTime>1772438400</CreateTime><MsgType><![CDATA[event]]></MsgType>"
    "<Event><![CDATA[template_card_event]]></Event><EventKey><![CDATA[accept]]></EventKey>"
    "<TaskId><![CDATA[d-1]]></TaskId><ResponseCode><![CDATA[code-1]]></ResponseCode></xml>"
)
TEXT = (
    "<xml><FromUserName><![CDATA[LiSi]]></FromUserName><CreateTime>1772438400</CreateTime>"
    "<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[着火了]]></Content>"
    "<MsgId>42</MsgId></xml>"
)


@dataclass
class Door:
    """The callback route and the means to knock on it as WeCom does."""

    clock: ScriptedClock
    acks: KeepingAcks
    reports: KeepingReports
    client: httpx.AsyncClient

    def __post_init__(self) -> None:
        self.envelope = Envelope(CONFIG.token, CONFIG.aes_key, CONFIG.corp_id)
        self._nonces = itertools.count(1)

    def query(self, sealed: str, **changes: str) -> dict[str, str]:
        timestamp = changes.get("timestamp", str(int(self.clock.now().timestamp())))
        nonce = changes.get("nonce", str(next(self._nonces)))
        signature = self.envelope.sign(timestamp, nonce, sealed)
        return {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}

    async def knock(self, plain: str, **changes: str) -> httpx.Response:
        sealed = self.envelope.seal(plain.encode())
        return await self.post(_outer(sealed), self.query(sealed, **changes))

    async def post(self, body: str | bytes, query: Mapping[str, str]) -> httpx.Response:
        return await self.client.post("/wecom/callback", params=query, content=body)


def _outer(sealed: str) -> str:
    return f"<xml><ToUserName>c</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    clock, acks, reports = ScriptedClock(), KeepingAcks(), KeepingReports()
    transport = httpx.ASGITransport(callback_app(acks, reports, clock))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
        yield Door(clock, acks, reports, client)


async def test_the_address_check_is_answered_with_the_bare_plaintext(door: Door) -> None:
    sealed = door.envelope.seal(b"1616140317555161061")
    query = {**door.query(sealed), "echostr": sealed}
    answer = await door.client.get("/wecom/callback", params=query)
    assert (answer.status_code, answer.content) == (200, b"1616140317555161061")


async def test_a_forged_address_check_is_refused(door: Door) -> None:
    sealed = door.envelope.seal(b"1")
    query = {**door.query(sealed), "echostr": sealed, "msg_signature": "0" * 40}
    assert (await door.client.get("/wecom/callback", params=query)).status_code == 403


async def test_a_tap_is_acknowledged_with_an_empty_200_after_the_core_has_it(door: Door) -> None:
    answer = await door.knock(TAP)
    assert (answer.status_code, answer.content) == (200, b"")
    [ack] = door.acks.arrived
    assert (ack.channel, ack.actor, ack.action) == ("wecom", "wecom:LiSi", "accept")
    assert (ack.delivery_id, ack.response_code) == ("d-1", "code-1")
    assert ack.event_key == "LiSi:1772438400:template_card_event:accept:d-1"
    assert ack.at.timestamp() == 1772438400
    assert ack.raw == TAP


async def test_two_different_taps_in_one_second_have_two_keys(door: Door) -> None:
    await door.knock(TAP)
    await door.knock(TAP.replace("accept", "return"))
    assert len(door.acks.kept) == 2


async def test_a_text_is_a_report_keyed_by_its_msgid(door: Door) -> None:
    assert (await door.knock(TEXT)).status_code == 200
    [(key, report)] = door.reports.kept.items()
    assert (key, report.text, report.reporter) == ("42", "着火了", "wecom:LiSi")


async def test_the_same_request_again_is_answered_200_as_wecom_retries(door: Door) -> None:
    sealed = door.envelope.seal(TAP.encode())
    query = door.query(sealed)
    answers = [await door.post(_outer(sealed), query) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(door.acks.kept) == 1


async def test_a_request_replayed_again_and_again_is_refused_at_last(door: Door) -> None:
    sealed = door.envelope.seal(TAP.encode())
    query = door.query(sealed)
    for _ in range(MOST_REPEATS):
        await door.post(_outer(sealed), query)
    answer = await door.post(_outer(sealed), query)
    assert (answer.status_code, answer.json()["reason"]) == (403, "replayed")


async def test_a_nonce_used_for_other_content_is_refused(door: Door) -> None:
    assert (await door.knock(TAP, nonce="7")).status_code == 200
    answer = await door.knock(TAP.replace("accept", "finish"), nonce="7")
    assert (answer.status_code, answer.json()["reason"]) == (403, "replayed")
    assert door.acks.actions == ["accept"]


@pytest.mark.parametrize("off_s", [-WINDOW_S - 1, WINDOW_S + 1])
async def test_a_timestamp_far_off_is_refused(door: Door, off_s: float) -> None:
    answer = await door.knock(TAP, timestamp=str(int(door.clock.now().timestamp() + off_s)))
    assert (answer.status_code, answer.json()["reason"]) == (403, "stale")


@pytest.mark.parametrize("timestamp", ["", "now", "9" * 200, "-5", "٣"])
async def test_a_timestamp_that_is_none_is_refused(door: Door, timestamp: str) -> None:
    assert (await door.knock(TAP, timestamp=timestamp)).status_code == 403


async def test_a_forgery_is_counted_and_answered_as_a_problem(door: Door) -> None:
    before = REFUSED.labels("signature")._value.get()
    sealed = door.envelope.seal(TAP.encode())
    answer = await door.post(_outer(sealed), {**door.query(sealed), "msg_signature": "f" * 40})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "forged"
    assert REFUSED.labels("signature")._value.get() == before + 1
    assert not door.acks.arrived


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not xml",
        "<xml></xml>",
        '<!DOCTYPE x [<!ENTITY a "b">]><xml><Encrypt>&a;</Encrypt></xml>',
        b"\xff\xfe\x00",
    ],
)
async def test_what_is_no_callback_is_malformed_and_no_crash(door: Door, body: str | bytes) -> None:
    answer = await door.post(body, door.query("x"))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_a_body_beyond_64_kib_is_refused_unread(door: Door) -> None:
    answer = await door.post(b"<xml>" + b"x" * MAX_BODY, door.query("x"))
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


async def test_missing_parameters_are_a_problem(door: Door) -> None:
    assert (await door.post("<xml/>", {"nonce": "1"})).status_code == 422


@pytest.mark.parametrize("error", [ConflictError("other content"), InvalidError("too long")])
async def test_what_the_core_refuses_for_good_is_not_asked_for_again(
    door: Door, error: Exception
) -> None:
    door.reports.failing = error
    assert (await door.knock(TEXT)).status_code == 200


async def test_while_the_core_is_away_wecom_is_asked_to_come_again(door: Door) -> None:
    door.acks.failing = UnavailableError("the database is away")
    assert (await door.knock(TAP)).status_code == 503
    door.acks.failing = None
    assert (await door.knock(TAP)).status_code == 200
    assert door.acks.actions == ["accept"]


@pytest.mark.parametrize(
    "plain",
    [
        TAP.replace("<TaskId><![CDATA[d-1]]></TaskId>", ""),
        TAP.replace("d-1", "no such id!"),
        TAP.replace("1772438400", "soon"),
        "<xml><MsgType>image</MsgType></xml>",
        "<xml><MsgType>event</MsgType><Event>LOCATION</Event></xml>",
        "no xml inside",
    ],
)
async def test_what_is_not_for_us_is_answered_200_and_dropped(door: Door, plain: str) -> None:
    assert (await door.knock(plain)).status_code == 200
    assert not door.acks.arrived
    assert not door.reports.kept
