"""The media streams protocol: read strictly, whatever comes."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.twilio import messages
from gateways.twilio.errors import ProtocolError
from gateways.twilio.messages import (
    MAX_MESSAGE,
    MAX_PAYLOAD,
    Connected,
    Dtmf,
    Mark,
    Media,
    Start,
    Stop,
    Unknown,
    parse,
)

START = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": "MZ1",
    "start": {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"ticket": "t"},
    },
}


def media(payload, timestamp="5"):
    sound = {"track": "inbound", "chunk": "2", "timestamp": timestamp, "payload": payload}
    return json.dumps({"event": "media", "sequenceNumber": "4", "media": sound, "streamSid": "MZ1"})


def changed_start(**changes):
    return json.dumps({**START, "start": {**START["start"], **changes}})


def test_every_documented_message_is_read():
    assert parse('{"event":"connected","protocol":"Call","version":"1.0.0"}') == Connected()
    assert parse(json.dumps(START)) == Start(
        stream_sid="MZ1", account_sid="AC1", call_sid="CA1", ticket="t"
    )
    assert parse(media("/////w==")) == Media(5, b"\xff" * 4)
    digit = '{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5","dtmf":{"track":"inbound_track","digit":"1"}}'
    assert parse(digit) == Dtmf("1")
    assert parse('{"event":"mark","streamSid":"MZ1","mark":{"name":"x"}}') == Mark("x")
    assert parse('{"event":"stop","stop":{"callSid":"CA1"},"streamSid":"MZ1"}') == Stop()
    assert parse('{"event":"weather"}') == Unknown("weather")


def test_a_start_without_parameters_has_no_ticket():
    assert parse(changed_start(customParameters=None)).ticket == ""
    assert parse(changed_start(customParameters={"ticket": 7})).ticket == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"media"',
        "[" * 20_000,
        '{"event":"start"}',
        '{"event":"start","start":[]}',
        changed_start(mediaFormat={"encoding": "audio/x-alaw", "sampleRate": 8000, "channels": 1}),
        changed_start(mediaFormat=None),
        changed_start(callSid=None),
        changed_start(streamSid="M" * 300),
        '{"event":"media"}',
        media("%%%%"),
        media("////", timestamp="-5"),
        media("////", timestamp="٣"),
        media("////", timestamp="9" * 40),
        media(base64.b64encode(bytes(MAX_PAYLOAD + 1)).decode()),
        '{"event":"dtmf","dtmf":{"digit":"12"}}',
        '{"event":"dtmf","dtmf":{"digit":"x"}}',
        '{"event":"dtmf","dtmf":{}}',
        '{"event":"mark","mark":{"name":""}}',
        '{"event":"media","pad":"' + "x" * MAX_MESSAGE + '"}',
    ],
)
def test_what_breaks_the_protocol_is_refused(text):
    with pytest.raises(ProtocolError):
        parse(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
events = st.sampled_from(["connected", "start", "media", "dtmf", "mark", "stop", "other"])


@given(event=events, part=json_values, extra=json_values)
def test_any_json_is_a_message_or_a_protocol_error(event, part, extra):
    with suppress(ProtocolError):
        parse(json.dumps({"event": event, event: part, "extra": extra}))


@given(st.text(max_size=200))
def test_any_text_is_a_message_or_a_protocol_error(text):
    with suppress(ProtocolError):
        parse(text)


def test_what_we_say_is_what_twilio_reads():
    assert json.loads(messages.media("MZ1", b"\xff\x00")) == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": "/wA="},
    }
    assert json.loads(messages.mark("MZ1", "at1"))["mark"] == {"name": "at1"}
    assert json.loads(messages.clear("MZ1")) == {"event": "clear", "streamSid": "MZ1"}
