"""G.711 tables against the C code of the standard library (audioop)."""

import audioop

import numpy as np
import pytest

from bridges.audio import g711
from bridges.audio.g711 import DECODE, DECODE_PAIRS, ENCODE, SILENCE, Law

ALL_BYTES = bytes(range(256))
ALL_SAMPLES = np.arange(-32768, 32768).astype(np.int16)
DECODERS = {Law.PCMU: audioop.ulaw2lin, Law.PCMA: audioop.alaw2lin}
ENCODERS = {Law.PCMU: audioop.lin2ulaw, Law.PCMA: audioop.lin2alaw}


@pytest.mark.parametrize("law", list(Law))
def test_every_byte_decodes_as_the_standard_says(law):
    expected = np.frombuffer(DECODERS[law](ALL_BYTES, 2), np.int16)
    assert np.array_equal(DECODE[law], expected)


@pytest.mark.parametrize("law", list(Law))
def test_every_sample_encodes_as_the_standard_says(law):
    assert g711.encode(ALL_SAMPLES, law) == ENCODERS[law](ALL_SAMPLES.tobytes(), 2)


@pytest.mark.parametrize("law", list(Law))
def test_decoding_pairs_is_decoding_twice(law):
    payload = np.random.default_rng(1).integers(0, 256, 320).astype(np.uint8)
    pairs = DECODE_PAIRS[law][payload.view(np.uint16)].view(np.int16)
    assert np.array_equal(pairs, DECODE[law][payload])


@pytest.mark.parametrize("law", list(Law))
def test_silence_is_the_code_of_zero_and_decodes_to_nearly_nothing(law):
    assert ENCODE[law][0] == SILENCE[law]
    assert abs(int(DECODE[law][SILENCE[law]])) <= 8


@pytest.mark.parametrize("law", list(Law))
def test_transcoding_to_the_other_law_and_back_stays_within_one_step(law):
    other = Law(1 - law)
    samples = g711.decode(ALL_BYTES, law).astype(int)
    there = g711.transcode(ALL_BYTES, other)
    back = g711.decode(g711.transcode(there, law), law).astype(int)
    assert np.all(np.abs(back - samples) <= np.maximum(np.abs(samples) / 8, 16))
