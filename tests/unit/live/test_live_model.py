"""A snapshot plus the deltas since equals a fresh snapshot, whatever happens and whoever is how far behind."""

import json

from fakes.desks import FakeDesk
from hypothesis import given
from hypothesis import strategies as st

from commhub.live.model import Collection, Model

IDS = st.sampled_from(["a", "b", 'c"quote', "丁"])
COLLECTIONS = st.sampled_from(list(Collection))
STEPS = st.one_of(
    st.tuples(st.just("put"), COLLECTIONS, IDS, st.integers(0, 3)),
    st.tuples(st.just("delete"), COLLECTIONS, IDS),
    st.tuples(st.just("replace"), COLLECTIONS, st.dictionaries(IDS, st.integers(0, 3))),
    st.tuples(st.just("event"), st.integers()),
    st.tuples(st.just("sync"), st.integers(0, 2)),
    st.tuples(st.just("begin")),
)


def _step(model: Model, step: tuple, events: list[int]) -> None:
    match step:
        case ("put", collection, key, value):
            model.put(collection, key, json.dumps(value))
        case ("delete", collection, key):
            model.delete(collection, key)
        case ("replace", collection, objects):
            model.replace(collection, {key: json.dumps(value) for key, value in objects.items()})
        case ("event", number):
            events.append(number)
            model.event("timeline", json.dumps(number))
        case ("begin",):
            model.begin({Collection.CALLS: {"z": "1"}})


def _sync(model: Model, desk: FakeDesk) -> None:
    desk.take((model.since(desk.epoch, desk.seq) or model.snapshot()).text)


@given(st.lists(STEPS, max_size=60), st.integers(1, 80))
def test_every_desk_ends_with_what_a_new_desk_gets(steps, size):
    model = Model(size=size)
    model.begin({})
    desks = [FakeDesk() for _ in range(3)]
    for step in steps:
        if step[0] == "sync":
            _sync(model, desks[step[1]])
        else:
            _step(model, step, [])
    fresh = FakeDesk()
    _sync(model, fresh)
    for desk in desks:
        _sync(model, desk)
        assert desk.state == fresh.state
        assert (desk.epoch, desk.seq) == (fresh.epoch, fresh.seq)


@given(st.lists(STEPS.filter(lambda step: step[0] != "begin"), max_size=60))
def test_a_desk_whose_place_is_in_the_log_hears_every_event_once_and_in_order(steps):
    model = Model(size=1000)
    model.begin({})
    desk = FakeDesk()
    _sync(model, desk)
    events: list[int] = []
    for step in steps:
        if step[0] == "sync":
            _sync(model, desk)
        else:
            _step(model, step, events)
    _sync(model, desk)
    assert [event["value"] for event in desk.events] == events
    assert desk.frames.count("snapshot") == 1


def test_of_many_changes_of_one_object_only_the_last_is_told():
    model = Model()
    model.begin({})
    for number in range(100):
        model.put(Collection.FLEET, "b7", str(number))
    frame = model.since(model.epoch, 0)
    assert frame is not None
    delta = json.loads(frame.text)
    assert delta["ops"] == [{"put": "fleet", "id": "b7", "value": 99}]
    assert (delta["from"], delta["to"]) == (0, 100)


def test_what_did_not_change_is_not_told():
    model = Model()
    model.begin({})
    model.put(Collection.FLEET, "b7", "1")
    model.put(Collection.FLEET, "b7", "1")
    model.delete(Collection.FLEET, "b8")
    assert model.seq == 1


def test_the_log_is_bounded_and_who_is_behind_it_gets_the_whole_state():
    model = Model(size=10)
    model.begin({})
    for number in range(11):
        model.event("timeline", str(number))
    assert model.since(model.epoch, 0) is None
    assert model.since(model.epoch, 1) is not None
    assert model.since(model.epoch, 12) is None
    assert model.since("another", 11) is None
    assert model.since(None, 0) is None


def test_a_new_epoch_keeps_what_is_known_of_services():
    model = Model()
    model.begin({})
    model.put(Collection.SERVICES, "sip", '"up"')
    model.put(Collection.CALLS, "c1", "1")
    model.begin({Collection.SERVICES: {"mqtt": '"down"'}})
    desk = FakeDesk()
    _sync(model, desk)
    assert desk.state["services"] == {"sip": "up", "mqtt": "down"}
    assert desk.state["calls"] == {}
