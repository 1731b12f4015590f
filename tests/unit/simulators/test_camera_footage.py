"""What simulated cameras show: real 1080p, told apart picture by picture, made once."""

import av
import numpy as np
import pytest

from simulators import footage
from simulators.footage import MAIN, SUB, Size, burn, load, read_number

SMALL = Size(480, 270, 300)


@pytest.mark.parametrize("size", [MAIN, SUB, Size(320, 180, 100)])
@pytest.mark.parametrize("number", [0, 1, 85, 119, 255])
def test_the_number_is_read_from_the_bars_in_any_size(size, number):
    plane = np.full((size.height, size.width), 120, np.uint8)
    burn(plane, number)
    noisy = plane + np.random.default_rng(number).integers(0, 12, plane.shape, np.uint8)
    assert read_number(noisy) == number


def test_a_picture_without_bars_has_no_number():
    for grey in (0, 120, 255):
        assert read_number(np.full((1080, 1920), grey, np.uint8)) is None


def test_the_loop_decodes_to_every_number_in_turn_with_a_key_frame_each_second(tmp_path):
    pictures = load(SMALL, tmp_path)
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for one in pictures for frame in decoder.decode(av.Packet(one))]
    frames += decoder.decode(None)
    assert len(frames) == footage.PICTURES
    assert [read_number(one.to_ndarray(format="gray")) for one in frames] == list(range(120))
    assert [n for n, one in enumerate(frames) if one.key_frame] == [0, 30, 60, 90]
    assert {(one.width, one.height) for one in frames} == {(480, 270)}
    kbps = sum(map(len, pictures)) * 8 / footage.SECONDS / 1000
    assert 0.5 * SMALL.kbps < kbps < 1.3 * SMALL.kbps


def test_the_loop_is_made_once(tmp_path, monkeypatch):
    first = load(SMALL, tmp_path)

    def again(size, path):
        raise AssertionError("made again")

    monkeypatch.setattr(footage, "_encode", again)
    assert load(SMALL, tmp_path) == first
