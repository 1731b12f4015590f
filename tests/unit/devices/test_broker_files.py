"""The text of the broker's files."""

import base64
import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from commhub.ports.devices import DeviceCredential
from devices.broker_files import (
    BrokerConfig,
    BrokerTls,
    access_rules,
    configuration,
    hash_secret,
    write_admission,
    write_configuration,
)
from devices.errors import BrokerError


@pytest.fixture
def config(tmp_path: Path) -> BrokerConfig:
    return BrokerConfig(
        data_dir=tmp_path / "mqtt", tenant="default", control_secret="c", voice_secret="v"
    )


def test_the_hash_is_pbkdf2_sha512_with_a_salt_of_its_own() -> None:
    _, kind, iterations, salt, digest = hash_secret("secret").split("$")
    expected = hashlib.pbkdf2_hmac("sha512", b"secret", base64.b64decode(salt), int(iterations))
    assert (kind, base64.b64decode(digest)) == ("7", expected)
    assert hash_secret("secret") != hash_secret("secret")


def test_mosquittos_own_tool_makes_the_same_form(tmp_path: Path) -> None:
    tool = shutil.which("mosquitto_passwd")
    assert tool is not None, "mosquitto_passwd comes with mosquitto"
    file = tmp_path / "passwords"
    subprocess.run([tool, "-b", "-c", str(file), "b7", "secret"], check=True, capture_output=True)
    _, kind, iterations, salt, digest = file.read_text().strip().split(":")[1].split("$")
    expected = hashlib.pbkdf2_hmac("sha512", b"secret", base64.b64decode(salt), int(iterations))
    assert (kind, base64.b64decode(digest)) == ("7", expected)


def test_a_device_may_hear_and_speak_in_its_groups_only() -> None:
    rules = access_rules(
        "default", [DeviceCredential(device_id="r12", password_hash="h", groups=("north",))]
    )
    block = next(part for part in rules.split("\n\n") if part.startswith("user r12"))
    assert block.splitlines()[1:] == [
        "topic write ch/v1/default/d/r12/up/ptt/north",
        "topic read ch/v1/default/g/north/ptt",
        "topic read ch/v1/default/g/north/floor",
    ]


@pytest.mark.parametrize(
    "credential",
    [
        DeviceCredential(device_id="a\ntopic #", password_hash="h"),
        DeviceCredential(device_id="a:b", password_hash="h"),
        DeviceCredential(device_id="a", password_hash="h\nroot:x"),
        DeviceCredential(device_id="a", password_hash="h", groups=("#",)),
    ],
)
def test_nothing_that_breaks_a_line_gets_into_the_files(
    config: BrokerConfig, credential: DeviceCredential
) -> None:
    with pytest.raises(BrokerError):
        write_admission(config, [credential])
    assert not config.password_file.exists()


def test_a_restart_keeps_who_was_welcome(config: BrokerConfig) -> None:
    write_configuration(config)
    write_admission(config, [DeviceCredential(device_id="b7", password_hash="$7$1$a$b")])
    write_configuration(config)
    assert "b7:$7$1$a$b" in config.password_file.read_text()


def test_nobody_enters_without_a_name_and_tls_is_on_when_there_is_a_certificate(
    config: BrokerConfig, tmp_path: Path
) -> None:
    assert "allow_anonymous false" in configuration(config)
    assert "certfile" not in configuration(config)
    tls = BrokerTls(certificate=tmp_path / "c.pem", key=tmp_path / "k.pem")
    text = configuration(replace(config, tls=tls))
    assert f"certfile {tmp_path / 'c.pem'}" in text
    assert f"keyfile {tmp_path / 'k.pem'}" in text


def test_a_path_that_would_add_a_line_is_refused(config: BrokerConfig) -> None:
    with pytest.raises(BrokerError):
        configuration(replace(config, host="x\nallow_anonymous true"))
