"""Bad input in the worker's log: once, not once a packet."""

from structlog.testing import capture_logs

from bridges.transport.port import PortConfig
from bridges.video.troubles import KINDS, Troubles
from bridges.video.worker import VideoWorker, VideoWorkerConfig


def test_a_flood_is_one_line_and_its_end_another():
    troubles = Troubles()
    with capture_logs() as lines:
        for second in range(30):
            troubles.look({"webrtc_forged_checks": 1000 * second}, float(second))
        for second in range(30, 120):
            troubles.look({"webrtc_forged_checks": 29_000}, float(second))
    assert [(one["event"], one["kind"]) for one in lines] == [
        ("video_bad_input", "webrtc_forged_checks"),
        ("video_bad_input_ended", "webrtc_forged_checks"),
    ]
    assert lines[1]["count"] == 29_000


def test_a_few_are_no_trouble_and_ordinary_counts_never_are():
    troubles = Troubles()
    with capture_logs() as lines:
        for second in range(60):
            troubles.look(
                {"webrtc_strangers": 3 * second, "received": 5000 * second}, float(second)
            )
    assert lines == []


def test_each_kind_is_told_of_by_itself():
    troubles = Troubles()
    with capture_logs() as lines:
        troubles.look({"shapeless": 500, "webrtc_crowded": 500}, 1.0)
    assert {one["kind"] for one in lines} == {"shapeless", "webrtc_crowded"}


async def test_every_kind_is_a_count_of_the_worker(tmp_path):
    config = VideoWorkerConfig(
        name="v0",
        control=f"unix:{tmp_path}/v0.sock",
        webrtc=PortConfig(),
        recordings=tmp_path / "recordings",
    )
    async with VideoWorker(config) as worker:
        assert worker._counts().keys() >= KINDS
