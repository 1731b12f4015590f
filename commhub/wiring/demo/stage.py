"""The stage: hub, town and equipment together, and the note by which a running demo is found again."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from commhub.wiring.demo.above import Above, UpperNote
from commhub.wiring.demo.cast import Cast, CastAbove, PhoneTalker, RadioTalker, until
from commhub.wiring.demo.equipment import (
    VIEWER,
    Equipment,
    Simulator,
    TelephoneAccount,
    WeComTenant,
)
from commhub.wiring.demo.settle import ADMIN, DISPATCHER, Desk, Keys, add_admin, settle
from commhub.wiring.demo.town import CITY, DEVICES, DUTY_LINE, PHONES, RESPONDERS, STREET, TELEPHONE
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
    above: Sequence[UpperNote] = ()

    def write(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(
            json.dumps(
                {
                    "url": self.url,
                    "password": self.password,
                    "simulators": dict(self.simulators),
                    "above": [asdict(upper) for upper in self.above],
                },
                indent=2,
            )
        )

    @classmethod
    def read(cls, path: Path, url: str) -> "Note":
        """The note of the demo at `url`. Raises HubError when another one, or none, left a note there."""
        try:
            told = json.loads(path.read_text())
            above = [UpperNote(**upper) for upper in told["above"]]
            note = cls(told["url"], told["password"], told["simulators"], above)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HubError(
                f"no running demo is noted in {path}; start one with `make demo`"
            ) from error
        if note.url != url:
            raise HubError(f"the demo noted in {path} runs at {note.url}, not at {url}")
        return note


class Stage:
    """A demo of its own under `folder`, which is emptied first. `port` 0 takes a free one. `is_alone`: a street without a district and
    a city above it."""

    def __init__(
        self, folder: Path, port: int, progress: Progress, *, is_alone: bool = False
    ) -> None:
        self._folder = folder.resolve()
        self._progress = progress
        self._tenant = WeComTenant()
        self._telephone = TelephoneAccount()
        certificate, key = identity_files(self._folder / "tls")
        environment = {
            "COMMHUB_HUB": STREET.hub,
            "COMMHUB_NAME": STREET.name,
            "COMMHUB_TIER": STREET.tier,
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
        self.above = None if is_alone else Above(self._folder, port)

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
        with ThreadPoolExecutor(1) as beside:
            self._progress("starting broker, media workers and control")
            self.hub.start()
            above = self.above and beside.submit(self.above.set)
            equipment = self._settle()
            if self.above and above:
                self._progress("settling district and city")
                above.result()
        self._progress("starting simulated equipment")
        equipment.start_field()
        if self.above:
            self._join(self.above, equipment)
        equipment.wait_online()
        _wait_placed(self.hub.url, self.keys)
        written = self._note(equipment)
        written.write(note)
        return written

    def _settle(self) -> Equipment:
        # First what needs no hub that is ready.
        keys = self.keys = add_admin(self.hub)
        equipment = self.equipment = Equipment(self.hub, keys, self._tenant, self._telephone)
        equipment.start_networks()
        self.hub.wait_ready()
        self._progress("settling people, phones, radios and cameras")
        settle(self.hub, keys)
        return equipment

    def _join(self, above: Above, equipment: Equipment) -> None:
        for upper in above.hubs:
            for phone in upper.who.phones:
                equipment.start_phone(phone, upper.hub, upper.keys)
        self._progress("pairing street, district and city")
        with Desk(self.hub.url, ADMIN, self.keys.people[ADMIN]) as admin:
            above.join(admin)

    def _note(self, equipment: Equipment) -> Note:
        pages = {name: simulator.url for name, simulator in equipment.simulators.items()}
        above = [] if self.above is None else [upper.note() for upper in self.above.hubs]
        return Note(self.hub.url, self.keys.people[DISPATCHER], pages, above)

    def _strike(self) -> None:
        if self.equipment is not None:
            self.equipment.stop()
        if self.above is not None:
            self.above.stop()
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
        above=_above(note, pages),
    )


def _above(note: Note, pages: Mapping[str, Simulator]) -> CastAbove | None:
    if not note.above:
        return None
    district, city = (Desk(upper.url, DISPATCHER, upper.password) for upper in note.above)
    phone = CITY.phones[0]
    return CastAbove(
        district,
        city,
        PhoneTalker(pages[f"phone-{phone.name}"], f"sip:{phone.name}", phone.tone),
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
        for phone in (*PHONES, *CITY.phones)
        if f"phone-{phone.name}" in note.simulators
    ]
    consoles = [(STREET.name, note.url, note.password)]
    consoles += [(upper.name, upper.url, upper.password) for upper in note.above]
    return [
        *(
            line
            for name, url, password in consoles
            for line in ((name, url), ("  Login", f"{DISPATCHER} / {password}"))
        ),
        ("企业微信 (phones)", note.simulators["wecom"]),
        (f"外线电话 {TELEPHONE}", note.simulators["telephone"]),
        *devices,
        *phones,
    ]
