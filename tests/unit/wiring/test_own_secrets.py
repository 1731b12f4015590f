"""Secrets shared by the hub's own processes."""

from concurrent.futures import ThreadPoolExecutor

from commhub.wiring.secrets import own_secret


def test_a_secret_stays_the_same_and_is_readable_by_the_owner_alone(tmp_path):
    first = own_secret(tmp_path, "mqtt-control")
    assert own_secret(tmp_path, "mqtt-control") == first
    assert own_secret(tmp_path, "mqtt-voice") != first
    assert (tmp_path / "secrets" / "mqtt-control").stat().st_mode & 0o077 == 0


def test_processes_that_start_at_once_agree(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(lambda _: own_secret(tmp_path, "shared"), range(64)))
    assert len(made) == 1
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["shared"]
