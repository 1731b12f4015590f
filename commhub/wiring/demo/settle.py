"""Bring a fresh hub to life through its public face: its administrator by the command line, all else by the API."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx

from commhub.domain.people import Role
from commhub.kit.ids import new_id, new_secret
from commhub.wiring.demo.town import DEVICES, PHONES, RESPONDERS, STREET_EXPORTS, UNITS, Phone
from commhub.wiring.hub_process import HubError, HubProcess

# Not «admin»: the hub may make that one by itself when it starts.
ADMIN = "sysadmin"
DISPATCHER = "dispatcher"


@dataclass(slots=True)
class Keys:
    """What was made: passwords of people and phones, secrets of devices."""

    people: dict[str, str] = field(default_factory=dict)
    phones: dict[str, str] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)


class Desk:
    """A signed-in person at the public API. Every call raises HubError with what the hub answered."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=f"{url}/api/v1",
            timeout=15,
            headers={"Origin": url, "Accept-Language": "zh-CN"},
        )
        self.post("/accounts/session", {"name": name, "password": password})

    @property
    def cookies(self) -> httpx.Cookies:
        """The session, for a page or a file outside the JSON interface."""
        return self._client.cookies

    def get(self, path: str, **query: str | int) -> Any:
        return self._ask("GET", path, params=query).json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Idempotency-Key": new_id()}
        return self._ask("POST", path, json=body, headers=headers).json()

    def put(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("PUT", path, json=body).json()

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("PATCH", path, json=body).json()

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self._client.request(method, path, **options)
        if answer.is_error:
            raise HubError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> "Desk":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def add_people(hub: HubProcess, people: dict[str, Sequence[Role]]) -> dict[str, str]:
    """Add people with `commhub user add`, before or while the hub runs; returns their passwords."""
    passwords = {}
    hub.folder.mkdir(parents=True, exist_ok=True)
    for name, roles in people.items():
        passwords[name] = new_secret(9)
        options = [option for role in roles for option in ("--role", role)]
        done = subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "-m", "commhub", "user", "add", name, *options, "--password-stdin"],
            input=passwords[name] + "\n",
            env=hub.environment,
            cwd=hub.folder,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise HubError(f"commhub user add {name}: {done.stderr.strip()}")
    return passwords


def settle_people(
    desk: Desk,
    units: Sequence[dict[str, Any]] = UNITS,
    responders: Sequence[dict[str, Any]] = RESPONDERS,
) -> None:
    """Units and responders, those of the street if no others are given."""
    for unit in units:
        desk.post("/directory/units", unit)
    for responder in responders:
        desk.post("/directory/responders", responder)


def settle_equipment(desk: Desk, keys: Keys) -> None:
    """Phones and field devices; their secrets are shown once and go into `keys`."""
    settle_phones(desk, keys, PHONES)
    settle_devices(desk, keys)


def settle_phones(desk: Desk, keys: Keys, phones: Sequence[Phone]) -> None:
    for phone in phones:
        made = desk.post(
            "/fleet/phones",
            {
                "name": phone.name,
                "display_name": phone.display_name,
                "responder_id": phone.responder_id,
            },
        )
        keys.phones[phone.name] = made["password"]


def settle_exports(desk: Desk, exports: Sequence[dict[str, Any]]) -> None:
    """What neighbouring hubs may address."""
    for export in exports:
        desk.post("/tiers/exports", export)


def settle_devices(desk: Desk, keys: Keys) -> None:
    for device in DEVICES:
        made = desk.post(
            "/fleet",
            {
                "id": device.id,
                "kind": device.kind,
                "name": device.name,
                "responder_id": device.responder_id,
                "groups": [device.group] if device.group else [],
            },
        )
        keys.devices[device.id] = made["secret"]


def add_admin(hub: HubProcess) -> Keys:
    """The administrator who settles the rest; may be added while the hub is still starting."""
    return Keys(people=add_people(hub, {ADMIN: (Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN)}))


def first_admin(hub: HubProcess) -> Keys:
    """The administrator whom a hub makes by itself when it starts without anybody, and names in its log once. It is ready."""
    told = re.search(
        r"^commhub: first_admin name=(\S+) password=(\S+)$", hub.log.read_text(), re.MULTILINE
    )
    if told is None:
        raise HubError(f"the hub names no first administrator:\n{hub.log_tail()}")
    return Keys(people={told[1]: told[2]})


def settle_dispatcher(desk: Desk, keys: Keys) -> None:
    """Who sits at the console; the password goes into `keys`."""
    password = keys.people[DISPATCHER] = new_secret(9)
    roles = [Role.DISPATCHER, Role.DUTY_LEADER]
    desk.post("/accounts/users", {"name": DISPATCHER, "password": password, "roles": roles})


def settle(hub: HubProcess, keys: Keys) -> None:
    """People, equipment and accounts of the demo's town, on a hub that is ready and has its administrator."""
    with Desk(hub.url, ADMIN, keys.people[ADMIN]) as admin:
        settle_dispatcher(admin, keys)
        settle_people(admin)
        settle_equipment(admin, keys)
        settle_exports(admin, STREET_EXPORTS)
