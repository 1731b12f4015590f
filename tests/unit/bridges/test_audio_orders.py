"""Orders of control: addresses, retries, refusals, and what is left when all have gone."""

import socket
from dataclasses import replace

import pytest
from fakes.rtp import EngineBench, Phone

from bridges.audio.events import LegMeasured
from bridges.engine_orders import carry_out
from bridges.transport.pairs import PortPool
from commhub.domain.errors import ConflictError, InvalidError, NotFoundError, UnavailableError
from commhub.ports.media import PLAIN, AudioFormat, MediaOrder


@pytest.fixture
def bench(tmp_path):
    with EngineBench(tmp_path) as made:
        yield made


def order(leg: str, **rest) -> MediaOrder:
    return MediaOrder(**({"call_id": "c1", "leg_id": leg} | rest))


def test_near_legs_share_one_port_and_far_legs_have_their_own(bench):
    reserve = bench.engine.reserve
    one, two = reserve(order("one")), reserve(order("two"))
    far, farther = (reserve(order(leg, near_signalling=False)) for leg in ("far", "farther"))
    assert one == two
    assert len({one.port, far.port, farther.port}) == 3
    assert all(address.port % 2 == 0 for address in (one, far, farther))


def test_reserving_again_gives_the_same_address(bench):
    wanted = order("one", near_signalling=False)
    assert bench.engine.reserve(wanted) == bench.engine.reserve(wanted)


def test_a_leg_of_another_call_is_a_conflict(bench):
    bench.engine.reserve(order("one"))
    with pytest.raises(ConflictError):
        bench.engine.reserve(order("one", call_id="c2"))


def test_a_leg_gets_the_port_back_that_it_had_before(bench):
    port = bench.engine.reserve(order("one", near_signalling=False)).port
    bench.engine.release("one")
    assert bench.engine.reserve(order("again", near_signalling=False, port=port)).port == port
    assert bench.engine.reserve(order("near", port=port + 100)).port == port + 100


def test_a_new_worker_on_the_same_range_has_the_same_shared_port(tmp_path):
    with EngineBench(tmp_path) as first:
        port = first.engine.reserve(order("one")).port
    with EngineBench(tmp_path) as second:
        assert second.engine.reserve(order("one", port=port)).port == port


def test_a_wanted_port_that_is_taken_is_replaced(bench):
    taken = bench.engine.reserve(order("one", near_signalling=False)).port
    other = bench.engine.reserve(order("two", near_signalling=False, port=taken)).port
    assert other != taken


def test_a_port_another_process_has_is_skipped():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 24_901))
        pair = PortPool("127.0.0.1", 24_900, 24_903).open_pair()
        assert pair.port == 24_902
        pair.close()


def test_no_port_left_is_unavailable(tmp_path):
    with EngineBench(tmp_path, port_min=24_910, port_max=24_913) as bench:
        bench.engine.reserve(order("one", near_signalling=False))
        with pytest.raises(UnavailableError):
            bench.engine.reserve(order("two", near_signalling=False))
        bench.engine.release("one")
        bench.engine.reserve(order("two", near_signalling=False))


def test_a_full_worker_is_unavailable(tmp_path):
    with EngineBench(tmp_path, max_legs=2) as bench:
        bench.engine.reserve(order("one"))
        bench.engine.reserve(order("two"))
        with pytest.raises(UnavailableError):
            bench.engine.reserve(order("three", call_id="c2"))
        bench.engine.release("one")
        bench.engine.reserve(order("three"))


def test_orders_for_an_unknown_leg_say_so(bench):
    phone = Phone()
    with pytest.raises(NotFoundError):
        bench.engine.connect("nobody", phone.remote())
    with pytest.raises(NotFoundError):
        bench.engine.shape("nobody", PLAIN)
    bench.engine.release("nobody")
    phone.close()


@pytest.mark.parametrize(
    "change",
    [
        {"audio": AudioFormat(encoding="SPEEX", payload_type=96, clock_rate=48000)},
        {"audio": AudioFormat(encoding="PCMU", payload_type=0, clock_rate=16000)},
        {"audio": AudioFormat(encoding="PCMU", payload_type=300)},
        {"host": "phone.example"},
        {"host": "::1"},
        {"port": 0},
        {"port": 70000},
    ],
    ids=str,
)
def test_a_remote_the_engine_cannot_serve_is_invalid(bench, change):
    bench.engine.reserve(order("one"))
    phone = Phone()
    remote = phone.remote()
    if "audio" in change:
        remote = replace(remote, audio=change["audio"])
    else:
        remote = replace(remote, address=replace(remote.address, **change))
    with pytest.raises(InvalidError):
        bench.engine.connect("one", remote)
    phone.close()


def test_a_place_that_is_asked_for_with_its_far_end_needs_no_other_order(bench):
    bench.add("one", Phone(400))
    phone = Phone(900)
    address = carry_out(bench.engine, order("two", remote=phone.remote()))
    phone.goal = (address["host"], address["port"])
    bench.phones["two"] = phone
    bench.run(50)
    assert phone.hears(400)
    assert bench.phones["one"].hears(900)


def test_a_place_whose_far_end_is_refused_is_there_until_it_is_released(bench):
    phone = Phone()
    wrong = replace(phone.remote(), address=replace(phone.remote().address, port=0))
    with pytest.raises(InvalidError):
        carry_out(bench.engine, order("one", remote=wrong))
    assert bench.engine.leg_count == 1
    bench.engine.release("one")
    assert bench.engine.leg_count == 0
    phone.close()


def test_an_unsafe_call_id_is_invalid(bench):
    with pytest.raises(InvalidError):
        bench.engine.reserve(order("one", call_id="../../etc"))


def test_a_call_of_which_all_have_gone_leaves_nothing(bench):
    for round_ in range(3):
        for n in range(4):
            bench.add(f"leg{n}", Phone(400 + n), call=f"call{round_}", near=n % 2 == 0)
        bench.engine.join_group(f"call{round_}", "radio", "g1")
        bench.run(3)
        for n in range(4):
            bench.remove(f"leg{n}")
        bench.engine.release("radio")
        bench.run(2)
        assert bench.engine.leg_count == 0
        assert bench.engine.snapshot().meters() == []
    assert bench.engine._calls.take_index() <= 1


def test_a_radio_leg_is_no_phone_and_a_phone_no_radio_leg(bench):
    bench.engine.reserve(order("one"))
    with pytest.raises(ConflictError):
        bench.engine.join_group("c1", "one", "g1")
    bench.engine.join_group("c1", "radio", "g1")
    bench.engine.join_group("c1", "radio", "g1")
    with pytest.raises(ConflictError):
        bench.engine.join_group("c1", "radio", "g2")
    with pytest.raises(ConflictError):
        bench.engine.reserve(order("radio"))


def test_the_key_of_a_group_outside_the_call_is_not_found(bench):
    bench.engine.join_group("c1", "radio", "g1")
    with pytest.raises(NotFoundError):
        bench.engine.key_group("c1", "g2", True)
    with pytest.raises(NotFoundError):
        bench.engine.key_group("c2", "g1", True)


def test_an_unsafe_group_is_invalid_and_leaves_no_call(bench):
    with pytest.raises(InvalidError):
        bench.engine.join_group("c1", "radio", "g/#")
    assert bench.engine.leg_count == 0
    assert bench.engine._calls.find("c1") is None


def test_a_leg_that_is_released_leaves_its_meter_behind(bench):
    bench.add("one", Phone(400))
    bench.add("two", Phone(900))
    bench.run(50)
    bench.remove("one")
    bench.tick()

    (measured,) = bench.told(LegMeasured)
    meter = measured.meter
    assert (meter.leg_id, meter.call_id) == ("one", "c1")
    assert (meter.received, meter.sent, meter.lost) == (50, 50, 0)
    bench.engine.release("one")
    bench.tick()
    assert len(bench.told(LegMeasured)) == 1
