"""WHIP and WHEP on the wire: who may, what is refused how, and what the answers say."""

from datetime import timedelta

import httpx
import pytest
from fakes.web import app_of, someone

from commhub.calls.service import CallRequest
from commhub.domain.call import LegState
from commhub.domain.errors import InvalidError
from commhub.domain.people import Role, Scheme
from gateways.webrtc.config import WebRtcConfig
from gateways.webrtc.legs import DeskLegs
from gateways.webrtc.routes import build_router, build_token_router
from gateways.webrtc.tokens import LegToken, Right, read, sign
from gateways.webrtc.whip import FRAGMENT, MAX_BODY

CONFIG = WebRtcConfig(token_secret=b"secret")
SDP = {"Content-Type": "application/sdp"}
COOKIE = {"Cookie": "commhub_session=c", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def hub(store, clock, media, calls):
    desks = DeskLegs(CONFIG, store, media, calls, clock)
    calls.connect(media, {Scheme.DESK: desks})
    keys = {
        "bot": someone(name="bot", kind="key"),
        "wang": someone(name="wang"),
        "viewer": someone(Role.VIEWER, name="zhao"),
    }
    app = app_of(
        build_token_router(desks, CONFIG, clock),
        keys=keys,
        sessions={"c": someone(name="li")},
        clock=clock,
    )
    app.include_router(build_router(desks, CONFIG, clock))
    async with (
        desks,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client,
    ):
        yield client


@pytest.fixture
async def leg(calls, hub):
    state = await calls.place(CallRequest(legs=["desk:li"]), someone(name="li"))
    return state.legs[0].id


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


async def test_the_desks_own_account_talks(hub, leg, calls):
    answer = await hub.post(f"/whip/{leg}", content="v=0", headers={**SDP, **COOKIE})
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/sdp"
    assert answer.headers["location"].startswith(f"/whip/{leg}/")
    assert answer.headers["etag"].strip('"') in answer.headers["location"]
    assert "ice-ufrag" in answer.text
    (call,) = await calls.list(live_only=True, before=None, limit=10)
    assert call.legs[0].state is LegState.CONNECTED


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (bearer("nobody"), 401),
        (bearer("viewer"), 403),
        (bearer("wang"), 403),
        ({"Cookie": "commhub_session=c"}, 403),
        ({**COOKIE, "Sec-Fetch-Site": "cross-site"}, 403),
        (bearer("leg.e30.AAAA"), 401),
        (bearer("bot"), 201),
    ],
)
async def test_who_may_take_a_desk(hub, leg, headers, status):
    answer = await hub.post(f"/whip/{leg}", content="v=0", headers={**SDP, **headers})
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_token_opens_one_leg_by_one_right_until_its_time_is_over(hub, leg, clock):
    made = await hub.post(
        "/api/v1/webrtc/tokens",
        json={"leg": leg, "right": "listen", "expires_in_s": 60},
        headers=bearer("bot"),
    )
    assert made.status_code == 201
    token = bearer(made.json()["token"])
    assert (
        await hub.post(f"/whep/{leg}", content="v=0", headers={**SDP, **token})
    ).status_code == 201
    assert (
        await hub.post(f"/whip/{leg}", content="v=0", headers={**SDP, **token})
    ).status_code == 403
    assert (
        await hub.post("/whep/another", content="v=0", headers={**SDP, **token})
    ).status_code == 403
    clock.advance(61)
    assert (
        await hub.post(f"/whep/{leg}", content="v=0", headers={**SDP, **token})
    ).status_code == 401


async def test_a_token_is_made_only_by_who_places_calls_and_for_a_leg_that_lives(hub, leg):
    body = {"leg": leg}
    assert (
        await hub.post("/api/v1/webrtc/tokens", json=body, headers=bearer("viewer"))
    ).status_code == 403
    gone = await hub.post("/api/v1/webrtc/tokens", json={"leg": "x"}, headers=bearer("bot"))
    assert gone.status_code == 404


async def test_whep_never_lets_the_browser_be_heard(hub, leg, media):
    await hub.post(f"/whep/{leg}", content="v=0", headers={**SDP, **COOKIE})
    assert media.answered[leg].talks is False


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        (SDP, b"x" * (MAX_BODY + 1), 413),
        (SDP, b"\xff\xfe", 422),
    ],
)
async def test_what_is_no_offer_is_refused(hub, leg, headers, body, status):
    answer = await hub.post(f"/whip/{leg}", content=body, headers={**headers, **COOKIE})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_the_worker_refuses_is_said_in_its_words(hub, leg, media, monkeypatch):
    async def refuse(order, offer):
        raise InvalidError("the offer has no audio stream")

    monkeypatch.setattr(media, "answer", refuse)
    answer = await hub.post(f"/whip/{leg}", content="v=0", headers={**SDP, **COOKIE})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the offer has no audio stream"


async def test_a_leg_that_is_none_is_not_found(hub):
    answer = await hub.post("/whip/nothing", content="v=0", headers={**SDP, **COOKIE})
    assert answer.status_code == 404


async def test_deleting_the_session_hangs_up_once(hub, leg, media, calls):
    made = await hub.post(f"/whip/{leg}", content="v=0", headers={**SDP, **COOKIE})
    gone = await hub.delete(made.headers["location"], headers=COOKIE)
    assert gone.status_code == 200
    assert leg in media.released
    assert await calls.list(live_only=True, before=None, limit=10) == []
    again = await hub.delete(made.headers["location"], headers=COOKIE)
    assert again.status_code == 404


async def test_an_old_session_cannot_hang_up_the_one_that_took_its_place(hub, leg, media):
    old = await hub.post(f"/whip/{leg}", content="v=0", headers={**SDP, **COOKIE})
    await hub.post(f"/whip/{leg}", content="v=0", headers={**SDP, **COOKIE})
    answer = await hub.delete(old.headers["location"], headers=COOKIE)
    assert answer.status_code == 404
    assert leg not in media.released


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"If-Match": "ETAG"}, "a=candidate:1 1 udp 1 192.0.2.1 9 typ host", 204),
        ({}, "a=candidate:1 1 udp 1 192.0.2.1 9 typ host", 428),
        ({"If-Match": '"another"'}, "", 412),
        ({"If-Match": "*"}, "a=ice-ufrag:abcd\r\na=ice-pwd:x", 422),
        ({"If-Match": "ETAG", "Content-Type": "text/plain"}, "", 415),
    ],
)
async def test_candidates_may_trickle_in_and_restarts_go_by_post(hub, leg, headers, body, status):
    made = await hub.post(f"/whip/{leg}", content="v=0", headers={**SDP, **COOKIE})
    sent = {"Content-Type": FRAGMENT, **COOKIE, **headers}
    if sent.get("If-Match") == "ETAG":
        sent["If-Match"] = made.headers["etag"]
    answer = await hub.patch(made.headers["location"], content=body, headers=sent)
    assert answer.status_code == status, answer.text


async def test_what_may_be_sent_is_said_to_anybody(hub, leg):
    answer = await hub.options(f"/whip/{leg}")
    assert answer.status_code == 204
    assert answer.headers["accept-post"] == "application/sdp"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    for method in ("GET", "PUT"):
        assert (await hub.request(method, f"/whip/{leg}")).status_code == 405


def test_a_token_is_read_only_whole_and_by_its_own_secret(clock):
    token = LegToken(
        leg_id="l",
        right=Right.TALK,
        expires_at=int((clock.now() + timedelta(minutes=1)).timestamp()),
        made_by="user:li",
    )
    text = sign(token, b"a")
    assert read(text, b"a", clock.now()) == token
    assert read(text, b"b", clock.now()) is None
    assert token.allows("l", Right.LISTEN)
    for at in range(len(text)):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        known = read(changed, b"a", clock.now())
        assert known is None or known == token
    assert read("leg." + "x" * 5000, b"a", clock.now()) is None
    assert read("leg.ÿ.ÿ", b"a", clock.now()) is None
