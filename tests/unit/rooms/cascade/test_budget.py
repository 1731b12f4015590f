"""What goes over a way that holds only so much."""

from hypothesis import given
from hypothesis import strategies as st

from commhub.ports.video import Layer
from commhub.rooms.cascade.budget import USUAL_KBPS, Wanted, allot

BOTH = {Layer.MAIN: 4000, Layer.SUB: 800}


def wanted(name, **more):
    return Wanted(**{"id": name, "layer": Layer.MAIN, "layers": BOTH, **more})


def test_without_a_bound_everybody_gets_what_they_asked_for():
    given_ = allot([wanted("a"), wanted("b", layer=Layer.SUB)], 0)
    assert {name: share.layer for name, share in given_.items()} == {
        "a": Layer.MAIN,
        "b": Layer.SUB,
    }


def test_the_speaker_gets_the_main_stream_and_the_others_the_sub_stream():
    given_ = allot([wanted("a"), wanted("b"), wanted("speaker", focus=True)], 6000)
    assert {name: share.layer for name, share in given_.items()} == {
        "speaker": Layer.MAIN,
        "a": Layer.SUB,
        "b": Layer.SUB,
    }


def test_among_equals_the_most_watched_goes_first():
    given_ = allot([wanted("a"), wanted("b", watchers=9)], 4800)
    assert given_["b"].layer is Layer.MAIN
    assert given_["a"].layer is Layer.SUB


def test_whom_not_even_the_smallest_layer_fits_is_refused():
    given_ = allot([wanted("a"), wanted("b", layers={Layer.MAIN: 4000})], 1000)
    assert set(given_) == {"a"}
    assert given_["a"].layer is Layer.SUB


def test_a_picture_of_one_layer_goes_in_that_whatever_was_asked():
    (share,) = allot([wanted("a", layer=Layer.LOW, layers={Layer.MAIN: 3000})], 0).values()
    assert share.layer is Layer.MAIN


@given(
    st.lists(
        st.builds(
            Wanted,
            id=st.uuids().map(str),
            layer=st.sampled_from(Layer),
            layers=st.dictionaries(st.sampled_from(Layer), st.integers(1, 9000), min_size=1),
            focus=st.booleans(),
            watchers=st.integers(0, 20),
        ),
        max_size=12,
        unique_by=lambda one: one.id,
    ),
    st.integers(1, 20_000),
)
def test_together_they_never_take_more_than_the_way_holds(several, kbps):
    shares = allot(several, kbps)
    assert sum(share.kbps for share in shares.values()) <= kbps
    by_id = {one.id: one for one in several}
    for name, share in shares.items():
        assert share.layer in by_id[name].layers
        assert share.kbps == by_id[name].layers[share.layer]


def test_what_was_not_measured_yet_is_taken_for_what_is_usual():
    (share,) = allot([wanted("a", layers={Layer.MAIN: USUAL_KBPS[Layer.MAIN]})], 5000).values()
    assert share.kbps == USUAL_KBPS[Layer.MAIN]
