"""The voice frame's header, byte by byte."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commhub.ports.voice import VoiceFrame
from devices import frames
from devices.errors import WireError

U32 = st.integers(0, 2**32 - 1)


def test_the_header_is_the_published_one() -> None:
    frame = VoiceFrame("PCMA", 20, 0x01020304, 0x05060708, 0x090A0B0C, b"\xd5" * 160)
    assert frames.encode(frame)[:16] == bytes.fromhex("01021400 01020304 05060708 090a0b0c")


@given(
    codec=st.sampled_from(["OPUS", "AMR"]),
    duration=st.integers(1, 120),
    talk=U32,
    sequence=U32,
    timestamp=U32,
    payload=st.binary(min_size=1, max_size=1500),
)
def test_every_frame_comes_back_as_it_went(
    codec: str, duration: int, talk: int, sequence: int, timestamp: int, payload: bytes
) -> None:
    frame = VoiceFrame(codec, duration, talk, sequence, timestamp, payload)
    assert frames.decode(frames.encode(frame)) == frame


@given(st.binary(max_size=400))
def test_no_bytes_do_anything_but_decode_or_be_refused(data: bytes) -> None:
    with suppress(WireError):
        frame = frames.decode(data)
        assert frames.decode(frames.encode(frame)) == frame


def test_flags_of_a_later_minor_version_are_ignored() -> None:
    data = bytearray(frames.encode(VoiceFrame("PCMU", 20, 1, 0, 0, bytes(160))))
    data[0] |= 0xF0
    data[3] = 0xFF
    assert frames.decode(bytes(data)).codec == "PCMU"


def test_sequence_and_timestamp_wrap_and_talk_ids_do_not() -> None:
    frame = VoiceFrame("PCMA", 20, 1, 2**32, 2**32 + 160, bytes(160))
    assert frames.decode(frames.encode(frame)).timestamp == 160
    with pytest.raises(WireError):
        frames.encode(VoiceFrame("PCMA", 20, 2**32, 0, 0, bytes(160)))
    with pytest.raises(WireError):
        frames.encode(VoiceFrame("G729", 20, 1, 0, 0, bytes(160)))
