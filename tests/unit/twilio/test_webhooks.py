"""Twilio's requests: signed by Twilio, good once, answered with the right document."""

from contextlib import suppress

import httpx
import pytest
from fakes.twilio import FAR, NUMBER, SID, Edge, resume_path, sign, ticket_of
from fakes.waiting import eventually
from starlette.requests import Request
from twilio.request_validator import RequestValidator

from commhub.domain.call import Cause
from gateways.twilio.errors import ApiError, ForgeryError, NoAnswerError
from gateways.twilio.signature import MAX_BODY, Signatures

# doc: the vectors of twilio's own tests.
VECTOR_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
VECTOR_FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}
VECTORS = ["RSOYDt4T1cUTdK1PDd93/VVr8B8=", "kvajT1Ptam85bY51eRf/AJRuM3w="]


@pytest.fixture
async def edge(store):
    edge = Edge(store, hold_answer_s=0.05)
    await edge.start()
    yield edge
    await edge.stop()
    edge.media.close()


def request_of(signature, form, *, host="inside:8000"):
    """The vector's request as it arrives behind a proxy."""
    body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in form.items()).encode()
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive():
        return next(sent)

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "path": "/myapp.php",
        "query_string": b"foo=1&bar=2",
        "headers": [(b"x-twilio-signature", signature.encode()), (b"host", host.encode())],
    }
    return Request(scope, receive)


@pytest.mark.parametrize("signature", VECTORS)
async def test_the_published_vectors_are_good_behind_a_proxy(signature):
    signatures = Signatures("12345", "https://mycompany.com/")
    assert await signatures.read_form(request_of(signature, VECTOR_FORM)) == VECTOR_FORM


@pytest.mark.parametrize(
    ("token", "url", "form"),
    [
        ("54321", "https://mycompany.com", VECTOR_FORM),
        ("12345", "https://other.com", VECTOR_FORM),
        ("12345", "https://mycompany.com", {**VECTOR_FORM, "Digits": "4321"}),
        ("12345", "https://mycompany.com", {**VECTOR_FORM, "Extra": "1"}),
    ],
)
async def test_another_token_url_or_form_is_a_forgery(token, url, form):
    with pytest.raises(ForgeryError):
        await Signatures(token, url).read_form(request_of(VECTORS[0], form))


def test_the_fakes_own_signature_is_twilios():
    fields = {"b": "2", "a": "", "ü": "中"}
    assert RequestValidator("t").compute_signature("https://h/x", fields) == sign(
        "https://h/x", fields, "t"
    )


@pytest.mark.parametrize("path", ["/twilio/voice", "/twilio/status", "/twilio/voice/resume"])
async def test_strangers_are_refused_everywhere(edge, path):
    for signature in ("", "x", "é", VECTORS[0], "A" * 5000):
        answer = await edge.client.post(
            path, data=edge.fields(), headers={"X-Twilio-Signature": signature.encode()}
        )
        assert answer.status_code == 403
        assert answer.json()["code"] == "forged"
    assert (await edge.client.post(path, data=edge.fields())).status_code == 403
    assert edge.calls.events == []


async def test_an_endless_or_unreadable_form_is_refused(edge):
    for body in (b"a" * (MAX_BODY + 1), b"\xff\xfe=1", b"&".join([b"a=1"] * 300)):
        answer = await edge.client.post(
            "/twilio/status", content=body, headers={"X-Twilio-Signature": VECTORS[0]}
        )
        assert answer.status_code == 403


async def test_a_signed_request_without_a_call_is_refused(edge):
    for sid in ("", "CA", "../../x", "CA" + "Z" * 32):
        answer = await edge.post("/twilio/voice", edge.fields(sid=sid or " "))
        assert (answer.status_code, answer.json()["reason"]) == (403, "no_call")


async def test_an_answered_call_is_connected_to_a_stream_and_comes_back_by_a_redirect(edge):
    leg = await edge.place()
    answer = await edge.answered(leg)
    assert answer.headers["content-type"].startswith("text/xml")
    assert 'url="wss://hub.test/twilio/stream"' in answer.text
    assert ticket_of(answer)
    assert resume_path(answer).startswith(f"/twilio/voice/resume?leg={leg}&ticket=")
    # A retry of Twilio's gets the same stream, not another one.
    assert (await edge.answered(leg)).status_code == 200
    assert edge.gateway._legs[leg].page.generation == 1


async def test_a_call_to_us_is_offered_once_however_often_twilio_asks(edge):
    fields = edge.fields("ringing", From=FAR, To=NUMBER)
    first = await edge.post("/twilio/voice", fields)
    again = await edge.post("/twilio/voice", fields)
    assert "<Pause" in first.text
    assert "<Redirect" in again.text
    [offer] = edge.calls.offers
    assert (str(offer.caller), offer.called) == (f"tel:{FAR}", "1001")
    await edge.gateway.answer(offer.leg_id)
    answer = await edge.post(resume_path(first), fields)
    assert ticket_of(answer)


async def test_a_call_in_that_is_over_already_is_a_replay_and_rings_nobody(edge):
    fields = edge.fields("ringing", From=FAR, To=NUMBER)
    edge.api.statuses[edge.api.sid] = "completed"
    answer = await edge.post("/twilio/voice", fields)
    assert (answer.status_code, answer.json()["reason"]) == (403, "replayed")
    assert edge.calls.offers == []
    edge.api.failing = NoAnswerError("timeout")
    assert (await edge.post("/twilio/voice", fields)).status_code == 200
    assert len(edge.calls.offers) == 1


async def test_a_caller_the_core_could_not_take_in_is_forgotten_and_may_try_again(edge):
    fields = edge.fields("ringing", From=FAR, To=NUMBER)
    edge.calls.failures = 1
    with suppress(ConnectionError):
        assert (await edge.post("/twilio/voice", fields)).status_code >= 500
    await eventually(lambda: edge.calls.told("ended"))
    await eventually(lambda: not edge.gateway._running)
    assert (edge.gateway.legs, await edge.rows()) == (0, [])
    assert (await edge.post("/twilio/voice", fields)).status_code == 200
    assert edge.gateway.legs == 1


async def test_a_withheld_number_is_nobody_in_particular(edge):
    for caller in ("anonymous", "", "sip:x@y", "+1 555"):
        fields = edge.fields("ringing", sid=f"CA{len(edge.calls.offers):032x}", From=caller, To="x")
        await edge.post("/twilio/voice", fields)
    assert {str(offer.caller) for offer in edge.calls.offers} == {"tel:anonymous"}


async def test_a_caller_the_core_does_not_want_is_turned_away_and_forgotten(edge):
    edge.calls.refuse_with = Cause.NOT_FOUND
    answer = await edge.post("/twilio/voice", edge.fields("ringing", From=FAR, To="+1"))
    assert "<Reject" in answer.text
    assert edge.gateway.legs == 0
    assert await edge.rows() == []


async def test_a_resume_is_good_once(edge):
    leg = await edge.place()
    path = resume_path(await edge.answered(leg))
    edge.gateway._legs[leg].page = _used(edge.gateway._legs[leg].page)
    second = await edge.post(path, edge.fields())
    assert ticket_of(second)
    edge.gateway._legs[leg].page = _used(edge.gateway._legs[leg].page)
    replayed = await edge.post(path, edge.fields())
    assert (replayed.status_code, replayed.json()["reason"]) == (403, "replayed")
    assert (await edge.answered(leg)).status_code == 403


def _used(page):
    return type(page).from_row(
        type(page.to_row())(leg_id=page.leg_id, state={**page.to_row().state, "used": True})
    )


async def test_a_resume_of_another_call_or_leg_is_refused(edge):
    leg = await edge.place()
    path = resume_path(await edge.answered(leg))
    other = edge.fields(sid="CA" + "2" * 32)
    assert (await edge.post(path, other)).json()["reason"] == "another_call"
    elsewhere = path.replace(leg, "some-other-leg")
    assert (await edge.post(elsewhere, edge.fields())).json()["reason"] == "another_call"
    assert (await edge.post(f"{path}x", edge.fields())).status_code == 403
    bare = f"/twilio/voice/resume?leg={leg}"
    assert (await edge.post(bare, edge.fields())).json()["reason"] == "ticket_forged"


async def test_a_leg_that_has_ended_hears_only_the_end(edge):
    leg = await edge.place()
    path = resume_path(await edge.answered(leg))
    await edge.gateway.hang_up(leg, Cause.DESK)
    await eventually(lambda: edge.gateway.legs == 0)
    for answer in (await edge.answered(leg), await edge.post(path, edge.fields())):
        assert "<Hangup" in answer.text
    assert edge.api.completed == [edge.api.sid]


async def test_progress_is_told_in_order_and_once(edge):
    leg = await edge.place()
    await edge.reports(leg, "ringing", SequenceNumber="1")
    await edge.reports(leg, "ringing", SequenceNumber="1")
    await edge.reports(leg, "initiated", SequenceNumber="0")
    assert edge.calls.states(leg) == ["ringing"]
    assert (await edge.reports(leg, "busy", SequenceNumber="2")).status_code == 204
    await edge.reports(leg, "ringing", SequenceNumber="3")
    await edge.reports(leg, "busy", SequenceNumber="2")
    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.calls.states(leg) == ["ringing", "ended"]
    assert edge.calls.end_of(leg) == (Cause.BUSY, None)
    assert edge.api.completed == []
    assert await edge.rows() == []


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        ("completed", "", Cause.HUNG_UP),
        ("no-answer", "", Cause.NO_ANSWER),
        ("canceled", "", Cause.CANCELLED),
        ("failed", "404", Cause.NOT_FOUND),
        ("failed", "603", Cause.DECLINED),
        ("failed", "<b>", Cause.FAILED),
        ("failed", "", Cause.FAILED),
    ],
)
async def test_every_end_has_a_cause_a_dispatcher_knows(edge, status, code, cause):
    leg = await edge.place()
    await edge.reports(leg, status, SipResponseCode=code)
    assert edge.calls.end_of(leg)[0] is cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ApiError(400, 21211, "no number"), Cause.NOT_FOUND),
        (ApiError(400, 21215, "geo"), Cause.NOT_ALLOWED),
        (ApiError(401, 20003, "Authenticate"), Cause.FAILED),
        (NoAnswerError("cannot be reached", sent=False), Cause.UNREACHABLE),
    ],
)
async def test_a_call_twilio_does_not_make_ends_at_once(edge, error, cause):
    edge.api.failing = error
    leg = await edge.place()
    await eventually(lambda: edge.calls.end_of(leg))
    assert edge.calls.end_of(leg)[0] is cause
    await eventually(lambda: edge.gateway.legs == 0)
    assert await edge.rows() == []


async def test_a_call_that_may_ring_though_no_answer_came_is_ended_when_it_shows_itself(edge):
    edge.api.failing = NoAnswerError("timeout")
    leg = await edge.place()
    await eventually(lambda: edge.calls.end_of(leg))
    edge.api.failing = None
    await edge.reports(leg, "ringing", SequenceNumber="1")
    await eventually(lambda: edge.api.completed == [edge.api.sid])
    await eventually(lambda: edge.gateway.legs == 0)
    # And again, when its leg is long forgotten.
    await edge.reports(leg, "ringing", SequenceNumber="2")
    await eventually(lambda: len(edge.api.completed) == 2)


async def test_a_leg_hung_up_while_it_was_being_dialled_is_ended_at_twilio(edge):
    edge.api.may_answer.clear()
    leg = await edge.place()
    await eventually(lambda: edge.api.called)
    await edge.gateway.hang_up(leg, Cause.DESK)
    edge.api.may_answer.set()
    await eventually(lambda: edge.api.completed == [edge.api.sid])
    assert edge.calls.states(leg) == ["ended"]


async def test_the_same_order_twice_is_one_call(edge):
    leg = await edge.place()
    [row] = await edge.rows()
    order = type("Order", (), {"leg_id": leg, "endpoint": None})()
    await edge.gateway.place(order)
    await edge.restart()
    await edge.gateway.place(order)
    assert len(edge.api.called) == 1
    assert row.leg_id == leg


async def test_when_all_lines_are_taken_the_next_leg_is_told(store):
    edge = Edge(store, max_legs=1)
    await edge.start()
    try:
        await edge.place()
        second = await edge.place("+8613900000000")
        assert "all lines" in edge.calls.end_of(second)[1]
        answer = await edge.post("/twilio/voice", edge.fields("ringing", sid="CA" + "3" * 32))
        assert 'reason="busy"' in answer.text
    finally:
        await edge.stop()
        edge.media.close()


async def test_rows_of_a_later_version_are_ended_not_trusted(edge):
    leg = await edge.place()
    [row] = await edge.rows()
    broken = type(row)(leg_id=leg, state={**row.state, "chapter": "dreaming"})
    async with edge.store.begin() as uow:
        await uow.twilio.put(broken)
    await edge.restart()
    assert edge.calls.end_of(leg) == (Cause.FAILED, "its state was lost")
    assert await edge.rows() == []


async def test_a_stream_that_never_comes_back_ends_the_leg_and_the_call(store):
    edge = Edge(store, resume_within_s=0.2)
    await edge.start()
    try:
        leg = await edge.place()
        await edge.answered(leg)
        await eventually(lambda: edge.calls.end_of(leg))
        assert edge.calls.end_of(leg)[0] is Cause.MEDIA_LOST
        await eventually(lambda: edge.api.completed == [edge.api.sid])
    finally:
        await edge.stop()
        edge.media.close()


async def test_a_core_that_cannot_commit_is_told_again(edge):
    leg = await edge.place()
    edge.calls.failures = 1
    await edge.reports(leg, "ringing", SequenceNumber="1")
    assert edge.calls.states(leg) == ["ringing"]


async def test_what_we_ask_of_twilio_names_the_leg_and_asks_for_retries(edge):
    leg = await edge.place(ring_for_s=30.0)
    await eventually(lambda: edge.api.called)
    [(number, url, status_url, ring_for_s)] = edge.api.called
    assert (number, ring_for_s) == (FAR, 30.0)
    assert httpx.URL(url).path == "/twilio/voice"
    assert httpx.URL(url).params["leg"] == leg == httpx.URL(status_url).params["leg"]
    assert "rc=5" in httpx.URL(url).fragment
    assert SID not in url


async def test_a_goodbye_that_a_crash_cut_short_is_said_by_the_next_process(edge):
    leg = await edge.place()
    await edge.answered(leg)
    edge.api.failing = ApiError(503, 20503, "away")
    await edge.gateway.hang_up(leg, Cause.DESK)
    await eventually(lambda: edge.api.completed)
    [row] = await edge.rows()
    assert row.state["chapter"] == "leaving"
    edge.api.failing = None
    edge.api.completed.clear()
    await edge.restart()
    await eventually(lambda: edge.api.completed == [edge.api.sid])
    await eventually(lambda: edge.gateway.legs == 0)
    assert await edge.rows() == []
    # The core heard of the end when it happened, once.
    assert edge.calls.states(leg) == ["ended"]


async def test_a_stream_is_good_once_across_a_restart_too(edge):
    leg = await edge.place()
    path = resume_path(await edge.answered(leg))
    await edge.restart()
    assert ticket_of(await edge.post(path, edge.fields()))
    await edge.restart()
    # The same question again before its stream began is a repeat of Twilio's.
    assert ticket_of(await edge.post(path, edge.fields()))
    edge.gateway._legs[leg].page = _used(edge.gateway._legs[leg].page)
    assert (await edge.post(path, edge.fields())).status_code == 403


async def test_a_ringing_call_is_known_after_a_restart_and_goes_on(edge):
    leg = await edge.place()
    await eventually(lambda: edge.gateway._legs[leg].page.call_sid)
    await edge.restart()
    await edge.reports(leg, "ringing", SequenceNumber="1")
    assert ticket_of(await edge.answered(leg))
    assert edge.calls.states(leg) == ["ringing"]


async def test_a_call_whose_stream_was_lost_is_fetched_back_by_the_next_process(edge):
    leg = await edge.place()
    await edge.answered(leg)
    await edge.restart()
    await eventually(lambda: edge.api.fetched_back)
    [(sid, url)] = edge.api.fetched_back
    assert sid == edge.api.sid
    assert ticket_of(await edge.post(url.removeprefix(edge.url), edge.fields()))


async def test_a_call_that_is_over_when_it_should_come_back_has_ended(edge):
    leg = await edge.place()
    await edge.answered(leg)
    edge.api.statuses[edge.api.sid] = "completed"
    await edge.restart()
    await eventually(lambda: edge.calls.end_of(leg))
    assert edge.calls.end_of(leg)[0] is Cause.HUNG_UP
    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.api.completed == []
