"""Sealed texts: readable with the hub's secret only."""

import pytest

from commhub.kit.sealing import Seal, SealError

ADDRESS = "rtsp://admin:pass-4711@10.0.0.9/main"


def test_a_sealed_text_is_read_again_with_the_same_secret():
    sealed = Seal("secret", "cameras").close(ADDRESS)
    assert "pass-4711" not in sealed
    assert Seal("secret", "cameras").open(sealed) == ADDRESS


def test_the_same_text_is_never_sealed_alike():
    seal = Seal("secret", "cameras")
    assert seal.close(ADDRESS) != seal.close(ADDRESS)


@pytest.mark.parametrize("other", [Seal("another", "cameras"), Seal("secret", "doors")])
def test_another_secret_or_purpose_opens_nothing(other):
    with pytest.raises(SealError):
        other.open(Seal("secret", "cameras").close(ADDRESS))


def test_a_text_that_was_tampered_with_is_refused():
    seal = Seal("secret", "cameras")
    sealed = seal.close(ADDRESS)
    with pytest.raises(SealError):
        seal.open(sealed[:-6] + ("AAAAAA" if sealed[-6:] != "AAAAAA" else "BBBBBB"))


def test_a_text_from_before_is_what_it_says():
    seal = Seal("secret", "cameras")
    assert seal.open(ADDRESS) == ADDRESS
    assert not seal.is_closed(ADDRESS)
    assert seal.is_closed(seal.close(ADDRESS))
