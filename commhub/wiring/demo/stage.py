"""The stage: hub, town and equipment together, and the note by which a running demo is found again."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from commhub.wiring.demo.cast import Cast, PhoneTalker, RadioTalker, until
from commhub.wiring.demo.equipment import (
    VIEWER,
    Equipment,
    Simulator,
    TelephoneAccount,
    WeComTenant,
)
from commhub.wiring.demo.settle import ADMIN, DISPATCHER, Desk, Keys, add_admin, settle
from commhub.wiring.demo.town import DEVICES, DUTY_LINE, PHONES, RESPONDERS, TELEPHONE
from commhub.wiring.hub_process import HubError, HubProcess
from gateways.sip.tls import identity_files, make_identity

NOTE = "demo.json"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Note:
    """What one needs to play with a running demo."""

    url: str
    password: str
    simulators: Mapping[str, str]

    def write(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(
            json.dumps(
                {"url": self.url, "password": self.password, "simulators": dict(self.simulators)},
                indent=2,
            )
        )

    @classmethod
    def read(cls, path: Path, url: str) -> "Note":
        """The note of the demo at `url`. Raises HubError when another one, or none, left a note there."""
        try:
            told = json.loads(path.read_text())
            note = cls(told["url"], told["password"], told["simulators"])
        except (OSError, ValueError, KeyError) as error:
            raise HubError(
                f"no running demo is noted in {path}; start one with `make demo`"
            ) from error
        if note.url != url:
            raise HubError(f"the demo noted in {path} runs at {note.url}, not at {url}")
        return note


class Stage:
    """A demo of its own under `folder`, which is emptied first. `port` 0 takes a free one."""

    def __init__(self, folder: Path, port: int, progress: Progress) -> None:
        self._folder = folder.resolve()
        self._progress = progress
        self._tenant = WeComTenant()
        self._telephone = TelephoneAccount()
        certificate, key = identity_files(self._folder / "tls")
        environment = {
            "COMMHUB_NAME": "东街街道指挥中心",
            "COMMHUB_DUTY__LINES": json.dumps([DUTY_LINE]),
            "COMMHUB_SIP__TLS_CERTIFICATE": str(certificate),
            "COMMHUB_SIP__TLS_KEY": str(key),
            **self._tenant.environment(),
            **self._telephone.environment(),
        }
        if port:
            environment["COMMHUB_HTTP__PORT"] = str(port)
        self.hub = HubProcess(self._folder, environment)
        self.keys = Keys()
        self.equipment: Equipment | None = None

    def __enter__(self) -> Note:
        if (self._folder / NOTE).exists() or not self._folder.exists():
            shutil.rmtree(self._folder, ignore_errors=True)
        elif any(self._folder.iterdir()):
            raise HubError(
                f"{self._folder} is not empty and no demo of ours: name another with --data"
            )
        try:
            return self._set()
        except BaseException:
            self._strike()
            raise

    def _set(self) -> Note:
        self._folder.mkdir(parents=True, exist_ok=True)
        note = self._folder / NOTE
        note.write_text("{}")
        make_identity(self._folder / "tls", ["127.0.0.1", "localhost"])
        self._progress("starting broker, media worker and control")
        self.hub.start()
        # Meanwhile what needs no hub that is ready.
        keys = self.keys = add_admin(self.hub)
        equipment = self.equipment = Equipment(self.hub, keys, self._tenant, self._telephone)
        equipment.start_networks()
        self.hub.wait_ready()
        self._progress("settling people, phones, radios and cameras")
        settle(self.hub, keys)
        self._progress("starting simulated equipment")
        equipment.start_field()
        equipment.wait_online()
        _wait_placed(self.hub.url, keys)
        written = _note_of(self.hub, keys, equipment)
        written.write(note)
        return written

    def _strike(self) -> None:
        if self.equipment is not None:
            self.equipment.stop()
        self.hub.stop()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._strike()


def _wait_placed(url: str, keys: Keys) -> None:
    """Return when the hub knows where everybody in the field is: the nearest can then be sent."""
    with Desk(url, ADMIN, keys.people[ADMIN]) as admin:
        until(
            "every device has told its position",
            lambda: all(device["position"] for device in admin.get("/fleet")),
        )


def _note_of(hub: HubProcess, keys: Keys, equipment: Equipment) -> Note:
    pages = {name: simulator.url for name, simulator in equipment.simulators.items()}
    return Note(hub.url, keys.people[DISPATCHER], pages)


def cast_of(note: Note, say: Callable[[str, float], None]) -> Cast:
    """Sign in and find everybody. Raises HubError."""
    pages = {name: Simulator(name, url) for name, url in note.simulators.items()}
    radio = next(device for device in DEVICES if device.kind == "radio")
    return Cast(
        desk=Desk(note.url, DISPATCHER, note.password),
        wecom=pages["wecom"],
        bodycam=pages["bodycam-b7"],
        viewer=pages[VIEWER],
        phones=[
            PhoneTalker(pages[f"phone-{phone.name}"], f"sip:{phone.name}", phone.tone)
            for phone in PHONES
        ],
        radio=RadioTalker(pages[f"radio-{radio.id}"], f"radio:{radio.id}", radio.tone),
        say=say,
    )


def introduction(note: Note) -> list[tuple[str, str]]:
    """What a visitor should see: label and value."""
    names: dict[str, Any] = {responder["id"]: responder["name"] for responder in RESPONDERS}
    devices = [
        (
            f"{device.name} ({names[device.responder_id]})",
            note.simulators[f"{device.kind}-{device.id}"],
        )
        for device in DEVICES
    ]
    phones = [
        (f"电话 {phone.name} {phone.display_name}", note.simulators[f"phone-{phone.name}"])
        for phone in PHONES
    ]
    return [
        ("Console", note.url),
        ("Login", f"{DISPATCHER} / {note.password}"),
        ("企业微信 (phones)", note.simulators["wecom"]),
        (f"外线电话 {TELEPHONE}", note.simulators["telephone"]),
        *devices,
        *phones,
    ]
