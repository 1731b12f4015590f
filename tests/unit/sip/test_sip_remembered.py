"""Texts that were read lately are not read again, and whoever writes many of them, or long ones, fills no memory."""

import pytest

from gateways.sip import grammar
from gateways.sip.grammar import remembered


@pytest.fixture
def read():
    """The texts that were really read, in their order."""
    return []


@pytest.fixture
def reader(read):
    def upper(text):
        read.append(text)
        if text == "bad":
            raise ValueError("no such text")
        return text.upper()

    return remembered(upper)


def test_a_text_is_read_once(reader, read):
    assert [reader("a"), reader("a"), reader("b")] == ["A", "A", "B"]
    assert read == ["a", "b"]


def test_what_cannot_be_read_is_told_so_each_time(reader, read):
    for _ in range(2):
        with pytest.raises(ValueError, match="no such text"):
            reader("bad")
    assert read == ["bad", "bad"]


def test_a_long_text_is_not_kept(reader, read):
    long = "x" * (grammar._LONGEST_REMEMBERED + 1)
    assert [reader(long), reader(long)] == [long.upper()] * 2
    assert read == [long, long]


def test_many_texts_take_the_place_of_those_before_them(reader, read):
    for number in range(3 * grammar._REMEMBERED):
        reader(f"text {number}")
    assert len(reader.__self__) <= grammar._REMEMBERED
    before = len(read)
    assert reader("text 0") == "TEXT 0"
    assert len(read) == before + 1
