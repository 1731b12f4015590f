"""mosquitto beside the hub, as docker-compose.yml runs it: it follows the hub's admission files."""

import subprocess
from pathlib import Path

import pytest
import yaml
from fakes.servers import free_port, listens, mosquitto_beside, program
from fakes.waiting import eventually

from commhub.ports.devices import DeviceCredential
from devices.broker_files import BrokerConfig
from devices.credentials import BrokerCredentials

ROOT = Path(__file__).parents[3]


def may_enter(port: int, name: str, secret: str) -> bool:
    """Whether the broker lets the device publish its birth."""
    command = [
        *(program("mosquitto_pub", "mosquitto-clients"), "-p", str(port), "-u", name, "-P", secret),
        *("-t", f"ch/v1/default/d/{name}/up/birth", "-m", "{}", "-q", "1"),
    ]
    return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0


@pytest.mark.slow
async def test_the_broker_beside_the_hub_follows_who_is_welcome(tmp_path):
    port = free_port()
    credentials = BrokerCredentials(
        BrokerConfig(
            data_dir=tmp_path, tenant="default", control_secret="c" * 20, voice_secret="v" * 20
        )
    )
    radio = DeviceCredential(device_id="r1", password_hash=credentials.hash_secret("open sesame"))
    with mosquitto_beside(tmp_path, port, tmp_path):
        await credentials.publish([])
        await eventually(lambda: listens(port), within_s=10)
        assert not may_enter(port, "r1", "open sesame")
        await credentials.publish([radio])
        await eventually(lambda: may_enter(port, "r1", "open sesame"), within_s=10)
        await credentials.publish([])
        await eventually(lambda: not may_enter(port, "r1", "open sesame"), within_s=10)


def test_the_compose_file_names_what_the_hub_and_the_broker_share():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    hub, broker = compose["services"]["hub"], compose["services"]["mosquitto"]
    always = {name for name, one in compose["services"].items() if "profiles" not in one}
    assert always == {"hub", "mosquitto", "postgres", "redis"}
    assert hub["environment"]["COMMHUB_MQTT__HOST"] == "mosquitto"
    assert "hub-data:/var/lib/commhub:ro" in broker["volumes"]
    user = broker["user"].partition(":")[0]
    assert f"--uid {user}" in (ROOT / "Dockerfile").read_text()
