"""How many media workers a hub has, what each is told, and where control finds them."""

import pytest

from bridges.video.orders import NoVideo
from commhub.domain.errors import UnavailableError
from commhub.kit.bus import Bus
from commhub.kit.clock import SystemClock
from commhub.settings import Settings, SettingsError
from commhub.settings_parts import MediaSettings, RemoteWorker
from commhub.wiring.doctor import examine
from commhub.wiring.findings import Verdict
from commhub.wiring.health import Health
from commhub.wiring.media import worker_addresses
from commhub.wiring.shared import worker_names, worker_ports
from commhub.wiring.up import specs
from commhub.wiring.video import video_engine
from commhub.wiring.worker import video_config, worker_config


@pytest.fixture
def settings(tmp_path):
    def make(**media):
        return Settings(data_dir=tmp_path, media=MediaSettings(**media))

    return make


def test_one_worker_has_all_the_ports(settings):
    assert worker_names(settings()) == ["w0"]
    assert worker_ports(settings(), "w0") == (20_000, 29_999)


def test_several_workers_share_the_ports_evenly_and_none_has_anothers(settings):
    three = settings(workers=3, first_port=20_000, last_port=20_099)
    shares = [worker_ports(three, name) for name in worker_names(three)]
    assert shares == [(20_000, 20_031), (20_032, 20_063), (20_064, 20_095)]


def test_a_worker_of_another_machine_has_the_whole_range_of_its_own_settings(settings):
    assert worker_ports(settings(first_port=30_000, last_port=30_999), "far") == (30_000, 30_999)


def test_too_few_ports_for_the_workers_are_one_clear_line(settings):
    narrow = settings(workers=4, first_port=20_000, last_port=20_019)
    with pytest.raises(SettingsError, match="20000 to 20019 are too few for 4 workers"):
        worker_config(narrow, "w0")


def test_every_worker_is_a_child_with_a_pid_file_of_its_own(settings):
    children = {spec.name: spec for spec in specs(settings(workers=2))}
    assert list(children) == ["broker", "worker-w0", "worker-w1", "worker-v0", "control"]
    assert children["worker-w1"].command[-2:] == ["worker", "w1"]
    assert children["worker-w1"].pid_file.name == "worker-w1.pid"


def test_a_hub_may_have_no_video_worker(settings):
    bare = settings(video_workers=0)
    assert "worker-v0" not in [spec.name for spec in specs(bare)]
    engine = video_engine(bare, Health(Bus(), SystemClock()), SystemClock())
    assert not engine.is_connected


async def test_without_a_video_worker_every_order_is_refused_in_words():
    async with NoVideo() as engine:
        with pytest.raises(UnavailableError, match=r"media\.video_workers"):
            await engine.status()


def test_the_video_worker_is_told_its_port_and_where_recordings_are(settings):
    config = video_config(
        settings(video_port=40_000, host="127.0.0.1", advertised_host="192.0.2.9"), "v0"
    )
    assert (config.webrtc.port, config.webrtc.advertise_host) == (40_000, "192.0.2.9")
    assert config.control.endswith("v0.sock")
    assert config.recordings.name == "recordings"


def test_workers_differ_in_socket_journal_and_ports(settings):
    first, second = (worker_config(settings(workers=2), name) for name in ("w0", "w1"))
    assert first.control != second.control
    assert first.journal != second.journal
    assert first.audio.port_max < second.audio.port_min


def test_a_worker_for_another_machine_listens_with_a_secret(settings):
    config = worker_config(settings(listen="tcp:0.0.0.0:7000", secret="s3cret"), "far")
    assert (config.control, config.secret) == ("tcp:0.0.0.0:7000", "s3cret")


def test_the_workers_of_this_machine_stay_on_their_sockets(settings):
    config = worker_config(settings(workers=2, listen="tcp:0.0.0.0:7000", secret="s"), "w1")
    assert config.control.startswith("unix:")


FAR = RemoteWorker(name="far", address="tcp:192.0.2.7:7000", secret="s3cret")


def test_control_knows_workers_here_and_elsewhere_and_which_one_has_the_radios(settings):
    addresses = worker_addresses(settings(workers=2, remote_workers=[FAR]))
    assert [(one.name, one.has_radio) for one in addresses] == [
        ("w0", True),
        ("w1", False),
        ("far", False),
    ]
    assert addresses[2].client.address == "tcp:192.0.2.7:7000"
    assert addresses[2].client.secret == "s3cret"


def test_a_remote_worker_named_like_one_of_ours_is_refused(settings):
    with pytest.raises(SettingsError, match="no two may be the same"):
        worker_addresses(settings(remote_workers=[FAR.model_copy(update={"name": "w0"})]))


async def test_the_doctor_says_who_has_which_ports_and_that_nobody_answers(settings):
    findings = {one.check: one for one in await examine(settings(workers=2))}
    assert findings["media"].verdict is Verdict.OK
    assert findings["media"].found == "not running; w0 20000–24999, w1 25000–29999"


async def test_the_doctor_refuses_a_range_that_is_too_small(settings):
    narrow = settings(workers=4, first_port=20_000, last_port=20_019)
    findings = {one.check: one for one in await examine(narrow)}
    assert findings["media"].verdict is Verdict.FAILED
