"""The three files mosquitto reads: its configuration, who may enter, and who may say and hear what.

Every file is replaced whole (a rename) and readable by the owner alone, so that the broker, which may reload at any
moment, never sees half of one. What a device may do follows from its user name: the branch `d/NAME` is its own by a
pattern; the talk groups it belongs to are lines of its own.

Trap: mosquitto grants (SUBACK) a subscription to topics one may not read and then delivers nothing. So only a
test of delivery proves these rules.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from commhub.domain.device import is_safe_id
from commhub.ports.devices import DeviceCredential
from devices.errors import BrokerError
from devices.topics import Topics

CONTROL_USER = "hub-control"
VOICE_USER = "hub-voice"

# Device secrets are 256 random bits: no guessing to slow down. A higher count would only cost the broker, which
# computes it again for every connected device whenever the files are reloaded.
ITERATIONS = 101
_SALT_BYTES = 12

MAX_PACKET_BYTES = 64 * 1024
MAX_QUEUED = 10_000
MAX_QUEUED_BYTES = 32 * 1024 * 1024
MAX_INFLIGHT = 1_000

_DEVICE_WRITES = ("birth", "death", "tele", "sos", "rsp", "rtc", "floor")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerTls:
    """PEM files: the broker's certificate and key, and the authority that signed it (for the hub's clients)."""

    certificate: Path
    key: Path
    authority: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """Where the broker keeps its files and listens, and the secrets of the hub's own two users."""

    data_dir: Path
    tenant: str
    control_secret: str
    voice_secret: str
    host: str = "127.0.0.1"
    port: int = 1883
    tls: BrokerTls | None = None

    @property
    def conf_file(self) -> Path:
        return self.data_dir / "mosquitto.conf"

    @property
    def password_file(self) -> Path:
        return self.data_dir / "passwords"

    @property
    def acl_file(self) -> Path:
        return self.data_dir / "acl"

    @property
    def pid_file(self) -> Path:
        return self.data_dir / "mosquitto.pid"


def hash_secret(secret: str) -> str:
    """mosquitto's `$7$` form: PBKDF2-HMAC-SHA512 (RFC 8018 §5.2), salt and hash in base64."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def write_private(path: Path, text: str) -> None:
    """Replace the file whole; the owner alone can read it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def configuration(config: BrokerConfig) -> str:
    """The text of mosquitto.conf. Raises BrokerError for a path or host that would break its lines."""
    lines = [
        "per_listener_settings false",
        "allow_anonymous false",
        f"password_file {_word(config.password_file)}",
        f"acl_file {_word(config.acl_file)}",
        f"pid_file {_word(config.pid_file)}",
        f"listener {config.port} {_word(config.host)}",
        # A device that borrows another's client id would throw it out; this way the name decides.
        "use_username_as_clientid true",
        *_tls_lines(config.tls),
        "persistence true",
        f"persistence_location {_word(config.data_dir)}/",
        "autosave_interval 15",
        f"max_packet_size {MAX_PACKET_BYTES}",
        f"max_inflight_messages {MAX_INFLIGHT}",
        f"max_queued_messages {MAX_QUEUED}",
        f"max_queued_bytes {MAX_QUEUED_BYTES}",
        "set_tcp_nodelay true",
        "sys_interval 0",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_timestamp false",
    ]
    if os.geteuid() == 0:
        # Started by root, mosquitto would become another user, who cannot read the files reloaded later.
        lines.insert(0, "user root")
    return "\n".join(lines) + "\n"


def passwords(config: BrokerConfig, credentials: Sequence[DeviceCredential]) -> str:
    """The text of the password file: the hub's own users, then the devices."""
    own = {CONTROL_USER: config.control_secret, VOICE_USER: config.voice_secret}
    lines = [f"{user}:{hash_secret(secret)}" for user, secret in own.items()]
    lines += [f"{c.device_id}:{c.password_hash}" for c in credentials]
    return "\n".join(lines) + "\n"


def access_rules(tenant: str, credentials: Sequence[DeviceCredential]) -> str:
    """The text of the ACL file."""
    topics = Topics(tenant)
    every = topics.every
    blocks = [
        [
            f"user {CONTROL_USER}",
            f"topic read {every('d/+/up/#')}",
            f"topic read {every('s/+/up/#')}",
            f"topic write {every('d/+/dn/#')}",
        ],
        [
            f"user {VOICE_USER}",
            f"topic read {every('d/+/up/ptt/+')}",
            f"topic read {every('d/+/up/floor')}",
            f"topic read {every('d/+/up/death')}",
            f"topic write {every('d/+/dn/floor')}",
            f"topic write {every('g/+/ptt')}",
            f"topic write {every('g/+/floor')}",
        ],
        *(_device_block(topics, credential) for credential in credentials if credential.groups),
        [
            *(f"pattern write {every(f'd/%u/up/{verb}')}" for verb in _DEVICE_WRITES),
            f"pattern read {every('d/%u/dn/#')}",
            f"pattern write {every('s/%u/up/#')}",
        ],
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def write_configuration(config: BrokerConfig) -> None:
    """Write mosquitto.conf, and the other two files when there are none yet: those of the last run stay, so that
    devices are welcome before the control process is up. Raises BrokerError."""
    try:
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(config.conf_file, configuration(config))
        if not (config.password_file.exists() and config.acl_file.exists()):
            write_admission(config, ())
    except OSError as error:
        raise BrokerError(f"the broker's files cannot be written: {error}") from error


def write_admission(config: BrokerConfig, credentials: Sequence[DeviceCredential]) -> None:
    """Write who may enter and what they may do. Raises OSError, and BrokerError for an id that would break a line."""
    for credential in credentials:
        ids = (credential.device_id, *credential.groups)
        if not all(map(is_safe_id, ids)) or not credential.password_hash.isprintable():
            raise BrokerError("a device, group or hash that cannot stand in the broker's files")
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(config.password_file, passwords(config, credentials))
    write_private(config.acl_file, access_rules(config.tenant, credentials))


def _device_block(topics: Topics, credential: DeviceCredential) -> list[str]:
    lines = [f"user {credential.device_id}"]
    for group in credential.groups:
        lines.append(f"topic write {topics.speech_up(credential.device_id, group)}")
        lines.append(f"topic read {topics.speech(group)}")
        lines.append(f"topic read {topics.floor(group)}")
    return lines


def _tls_lines(tls: BrokerTls | None) -> list[str]:
    if tls is None:
        return []
    return [
        f"certfile {_word(tls.certificate)}",
        f"keyfile {_word(tls.key)}",
        "tls_version tlsv1.2",
    ]


def _word(value: Path | str) -> str:
    text = str(value.absolute()) if isinstance(value, Path) else value
    if not text or not text.isprintable():
        raise BrokerError(f"{text!r} cannot stand in the broker's configuration")
    return text
