"""Whatever comes in wrong is refused in words, and the hub goes on as if nothing had happened.

Every test ends with `undisturbed`: the hub is ready, and a normal report still becomes an incident.
"""

import json
import socket
from contextlib import contextmanager

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from commhub.kit.ids import new_id
from commhub.wiring.demo.settle import ADMIN, DISPATCHER
from commhub.wiring.demo.story import RULES, raise_sos, timeline, until

PREFIX = "ch/v1/default/"
NOT_AUTHORIZED = 135
REPORT = {"category": "noise", "text": "深夜施工"}


@pytest.fixture
def sign_in(stage):
    """A client of the hub for a person of the demo, or for nobody."""
    clients = []

    def open_client(name=None):
        client = httpx.Client(base_url=stage.hub.url, headers={"Origin": stage.hub.url}, timeout=15)
        clients.append(client)
        if name is not None:
            body = {"name": name, "password": stage.keys.people[name]}
            assert client.post("/api/v1/accounts/session", json=body).status_code == 200
        return client

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def desk(sign_in):
    return sign_in(DISPATCHER)


@pytest.fixture
def admin(sign_in):
    return sign_in(ADMIN)


@pytest.fixture(autouse=True)
def undisturbed(stage, desk):
    """After the test the same process is there, ready, without a fault in its log, and takes a report."""
    process = stage.hub.pid_of("control")
    faults = counted(stage, "commhub_http_faults_total")
    yield
    # A refusal that failed would leave a phone busy, and every later test would fail with it.
    for call in desk.get("/api/v1/calls", params={"live": True}).json()["items"]:
        desk.delete(f"/api/v1/calls/{call['id']}")
    assert httpx.get(f"{stage.hub.url}/readyz").status_code == 200
    assert stage.hub.pid_of("control") == process
    assert counted(stage, "commhub_http_faults_total") == faults
    report = desk.post("/api/v1/reports", json=REPORT).json()
    incident = until(
        "a normal report becomes an incident",
        lambda: desk.get(f"/api/v1/reports/{report['report_id']}").json()["incident_id"],
    )
    finish(desk, incident)


def finish(desk, incident):
    """Close an incident at the desk, so that nobody of the town stays busy with it."""
    for action in ("accept", "handle", "verify", "close"):
        moved = desk.post(
            f"/api/v1/incidents/{incident}/actions", json={"action": action, "note": "测试"}
        )
        assert moved.status_code == 200, moved.text


def counted(stage, name):
    """The sum of a counter over all its labels."""
    lines = httpx.get(f"{stage.hub.url}/metrics").text.splitlines()
    values = [
        line.rsplit(" ", 1)[1] for line in lines if line.startswith((f"{name} ", f"{name}{{"))
    ]
    assert values or f"# TYPE {name} counter" in lines, f"there is no metric {name}"
    return sum(map(float, values))


def assert_problem(answer, status, code):
    """The answer is this problem; returns the document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"urn:commhub:problem:{code}"
    assert document["title"]
    assert document["detail"]
    return document


# --- HTTP ------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_refused_and_says_nothing_of_the_account(sign_in):
    stranger = sign_in()
    said = [
        assert_problem(
            stranger.post("/api/v1/accounts/session", json={"name": name, "password": "wrong-one"}),
            401,
            "wrong-credentials",
        )["detail"]
        for name in (DISPATCHER, "nobody")
    ]
    assert said[0] == said[1]
    assert not stranger.cookies
    assert_problem(stranger.get("/api/v1/incidents"), 401, "unauthenticated")


def test_an_unknown_field_is_refused_with_its_place(desk):
    answer = desk.post("/api/v1/reports", json={**REPORT, "colour": "red"})
    errors = assert_problem(answer, 422, "invalid")["errors"]
    assert [(error["where"], error["pointer"]) for error in errors] == [("body", "/colour")]


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
def test_an_oversized_body_is_refused(desk, chunked):
    body = json.dumps({**REPORT, "text": "x" * 1_100_000}).encode()
    content = iter([body[:600_000], body[600_000:]]) if chunked else body
    answer = desk.post(
        "/api/v1/reports", content=content, headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 413, "too-large")


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"category": NaN}', b""])
def test_a_body_that_is_no_json_is_refused(desk, body):
    answer = desk.post(
        "/api/v1/reports", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {400, 422}
    assert_problem(
        answer, answer.status_code, {400: "malformed", 422: "invalid"}[answer.status_code]
    )


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        ("/api/v1/reports", REPORT, {**REPORT, "text": "other"}),
        ("/api/v1/calls", {"legs": ["radio:r12"]}, {"legs": ["radio:r13"]}),
    ],
    ids=["report", "call"],
)
def test_a_key_that_comes_again_with_another_body_is_a_conflict(desk, path, first, second):
    key = {"Idempotency-Key": new_id()}
    done = desk.post(path, json=first, headers=key)
    assert done.status_code == 201
    assert_problem(desk.post(path, json=second, headers=key), 409, "conflict")
    again = desk.post(path, json=first, headers=key).json()
    if path.endswith("calls"):
        assert again["id"] == done.json()["id"]
        assert desk.delete(f"{path}/{again['id']}").status_code == 204
    else:
        assert again["report_id"] == done.json()["report_id"]
        assert again["repeated"]


@pytest.mark.parametrize(
    "endpoint", ["pigeon:7", "sip", "sip:", "sip:1001@district", "room:meeting-1"]
)
def test_an_endpoint_nobody_can_call_rings_nobody(desk, endpoint):
    before = desk.get("/api/v1/calls").json()["items"]
    answer = desk.post("/api/v1/calls", json={"legs": ["sip:1001", endpoint]})
    assert endpoint.partition(":")[0] in assert_problem(answer, 422, "invalid")["detail"]
    assert desk.get("/api/v1/calls").json()["items"] == before


def test_without_the_role_nothing_is_done_to_an_incident(desk, admin, cast):
    incident = raise_sos(cast, "无权操作演示")
    before = timeline(cast, incident)
    action = {"action": "reject", "note": "not mine to say"}
    answer = admin.post(f"/api/v1/incidents/{incident}/actions", json=action)
    assert "act" in assert_problem(answer, 403, "not-allowed")["detail"]
    moved = [entry for entry in timeline(cast, incident)[len(before) :] if "moved" in entry["kind"]]
    assert [entry for entry in moved if entry["kind"] != "delivery_moved"] == []
    finish(desk, incident)


# --- rules -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ruleset:", "ruleset: ["),
        ("category, level, mode", "category, lvel, mode"),
        ("'>= 1'", "'>= one'"),
        ("'\"street\"'", "'" + "[" * 3000 + "]" * 3000 + "'"),
    ],
    ids=["no YAML", "unknown input", "unknown name", "brackets without end"],
)
def test_a_broken_rule_file_never_replaces_the_running_one(desk, old, new):
    running = desk.get(f"/api/v1/rules/{RULES}").json()
    broken = running["yaml"].replace(old, new)
    assert broken != running["yaml"]
    answer = desk.put(f"/api/v1/rules/{RULES}", json={"yaml": broken})
    flaws = assert_problem(answer, 422, "broken-rules")["flaws"]
    assert flaws
    assert all(flaw.startswith(f"{RULES}.yaml") for flaw in flaws)
    assert desk.get(f"/api/v1/rules/{RULES}").json() == running
    decided = desk.post(f"/api/v1/rules/{RULES}/dry-run", json={"report": {"category": "sos"}})
    assert decided.json()["decision"]["version"] == running["version"]
    assert decided.json()["decision"]["team"] == "patrol"


# --- SIP -------------------------------------------------------------------------------------------------

GARBAGE = [
    b"",
    b"\r\n\r\n",
    b"\x00" * 1400,
    bytes(range(256)) * 4,
    b"A" * 60_000,
    b"INVITE sip:1001@hub SIP/2.0\r\n\r\n",
    b"SIP/2.0 200 OK\r\n\r\n",
    b"INVITE sip:1001@hub SIP/2.0\r\n" + b"Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n" * 500 + b"\r\n",
]


def _request(cseq="1 OPTIONS", more=""):
    return (
        "OPTIONS sip:hub SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1;rport;branch=z9hG4bK{new_id()}\r\n"
        f"From: <sip:1001@hub>;tag=x\r\nTo: <sip:hub>\r\nCall-ID: {new_id()}\r\n"
        f"CSeq: {cseq}\r\nMax-Forwards: 70\r\n{more}Content-Length: 0\r\n\r\n"
    ).encode()


def _answer(peer, request):
    """What comes back for this request; garbage that has a way back may be answered too."""
    call_id = next(line for line in request.split(b"\r\n") if line.startswith(b"Call-ID:"))
    peer.send(request)
    while call_id not in (answer := peer.recv(65_535)):
        assert answer.startswith(b"SIP/2.0 4")
    return answer


def test_what_is_no_sip_is_answered_400_or_dropped_and_the_phones_stay(stage, cast):
    before = counted(stage, "commhub_sip_malformed_total")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(5)
        peer.connect(("127.0.0.1", stage.hub.port("sip")))
        for datagram in GARBAGE:
            peer.send(datagram)
        for bad in (_request(cseq="one OPTIONS"), _request(cseq="1 INVITE")):
            assert _answer(peer, bad).startswith(b"SIP/2.0 400 ")
        assert _answer(peer, _request()).startswith(b"SIP/2.0 200 ")
    assert counted(stage, "commhub_sip_malformed_total") > before
    assert all(phone.page.state()["registered"] for phone in cast.phones)
    call = cast.desk.post("/calls", {"legs": [phone.endpoint for phone in cast.phones]})
    until(
        "both phones are connected",
        lambda: all(
            leg["state"] == "connected" for leg in cast.desk.get(f"/calls/{call['id']}")["legs"]
        ),
    )
    cast.desk.delete(f"/calls/{call['id']}")


# --- MQTT ------------------------------------------------------------------------------------------------


@contextmanager
def camera_hijacked(stage, cast):
    """Somebody who knows the body camera's secret; yields `publish(topic, payload) -> reason code`. The broker lets
    one device in once, so the camera itself is away meanwhile and back afterwards."""
    codes = {}
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="b7", protocol=mqtt.MQTTv5)
    client.username_pw_set("b7", stage.keys.devices["b7"])
    client.on_publish = lambda _c, _u, mid, code, _p: codes.update({mid: code.value})
    client.connect("127.0.0.1", stage.hub.port("mqtt"))
    client.loop_start()
    until("the broker lets the camera's secret in", client.is_connected)

    def publish(topic, payload):
        mid = client.publish(PREFIX + topic, payload, qos=1).mid
        until(f"the broker has taken {topic}", lambda: mid in codes)
        return codes[mid]

    try:
        yield publish
    finally:
        client.disconnect()
        client.loop_stop()
        until("the camera is back", lambda: cast.bodycam.state()["connected"], within_s=20)


UNREADABLE = [b"help!", b"\xff\x00", b"{", b"[]", b'{"text": "no id"}', b"[" * 10_000]


def test_an_sos_that_cannot_be_read_is_counted_and_the_next_one_works(stage, cast, desk):
    before = counted(stage, "commhub_devices_refused_total")
    with camera_hijacked(stage, cast) as publish:
        for payload in UNREADABLE:
            publish("d/b7/up/sos", payload)
        until(
            "every refusal is counted",
            lambda: counted(stage, "commhub_devices_refused_total") == before + len(UNREADABLE),
        )
    finish(desk, raise_sos(cast, "真的求助"))


SPOOFED = ["d/r12/up/sos", "d/r12/up/death", "s/gas-1/up/alarm", "d/b7/dn/cmd", "g/patrol-1/floor"]


def test_a_device_cannot_speak_for_another(stage, cast, desk):
    before = desk.get("/api/v1/incidents").json()["items"][:1]
    radio = desk.get("/api/v1/fleet/r12").json()["online"]
    with camera_hijacked(stage, cast) as publish:
        payload = json.dumps({"id": new_id(), "boot": "x", "state": "idle"})
        codes = {topic: publish(topic, payload) for topic in SPOOFED}
    assert codes == dict.fromkeys(SPOOFED, NOT_AUTHORIZED)
    assert desk.get("/api/v1/incidents").json()["items"][:1] == before
    assert desk.get("/api/v1/fleet/r12").json()["online"] is radio


# --- WeCom -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signature", ["0" * 40, "", "伪造"])
def test_a_forged_wecom_callback_changes_nothing(stage, cast, desk, sign_in, signature):
    incident = raise_sos(cast, "伪造回调演示")
    before = counted(stage, "commhub_wecom_callbacks_refused_total")
    answer = sign_in().post(
        "/wecom/callback",
        params={"msg_signature": signature, "timestamp": "1790000000", "nonce": "n"},
        content=b"<xml><ToUserName>ww</ToUserName><Encrypt>c2VhbGVk</Encrypt></xml>",
    )
    assert assert_problem(answer, 403, "forged")["reason"] == "signature"
    assert counted(stage, "commhub_wecom_callbacks_refused_total") == before + 1
    assert "ack_received" not in [entry["kind"] for entry in timeline(cast, incident)]
    assert desk.get(f"/api/v1/incidents/{incident}").json()["incident"]["stage"] == "dispatched"
    finish(desk, incident)
