"""The hubs above the street: district and city, processes of their own with databases of their own, paired as people pair hubs.

Each console has an address of its own (127.0.0.2, 127.0.0.3): a browser has one set of cookies for all ports of a host, and would
else be signed out of one console by signing in at another.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from commhub.accounts.service import FIRST_ADMIN
from commhub.wiring.demo.cast import until
from commhub.wiring.demo.settle import (
    DISPATCHER,
    Desk,
    Keys,
    first_admin,
    settle_dispatcher,
    settle_exports,
    settle_people,
    settle_phones,
)
from commhub.wiring.demo.town import CITY, DISTRICT, STREET, UpperHub
from commhub.wiring.hub_process import HubProcess

_LINKED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class UpperNote:
    """Where a hub above the street is, and how one signs in."""

    hub: str
    name: str
    tier: str
    url: str
    password: str


class Upper:
    """One hub above the street. `place` counts from 1, the tier next to the street."""

    def __init__(self, folder: Path, place: int, port: int, who: UpperHub) -> None:
        environment = {
            "COMMHUB_HUB": who.hub,
            "COMMHUB_NAME": who.name,
            "COMMHUB_TIER": who.tier,
            "COMMHUB_HTTP__HOST": f"127.0.0.{place + 1}",
            "COMMHUB_MQTT__ENABLED": "false",
            "COMMHUB_MEDIA__WORKERS": "1",
        }
        if port:
            environment["COMMHUB_HTTP__PORT"] = str(port + place)
        self.who = who
        self.hub = HubProcess(folder / who.hub, environment, place)
        self.keys = Keys()

    def set(self) -> None:
        """Start it, and bring its people in. Raises HubError."""
        self.hub.start()
        self.hub.wait_ready()
        self.keys = first_admin(self.hub)
        with self.admin() as admin:
            settle_dispatcher(admin, self.keys)
            settle_people(admin, self.who.units, self.who.responders)
            settle_phones(admin, self.keys, self.who.phones)
            settle_exports(admin, self.who.exports)

    def admin(self) -> Desk:
        return Desk(self.hub.url, FIRST_ADMIN, self.keys.people[FIRST_ADMIN])

    def note(self) -> UpperNote:
        who = self.who
        return UpperNote(who.hub, who.name, who.tier, self.hub.url, self.keys.people[DISPATCHER])


class Above:
    """All of them, from below to above. They start beside the street; `join` when both are there."""

    def __init__(self, folder: Path, port: int) -> None:
        self.hubs = [
            Upper(folder, place, port, who) for place, who in enumerate((DISTRICT, CITY), start=1)
        ]

    def set(self) -> None:
        """Raises HubError."""
        with ThreadPoolExecutor(len(self.hubs)) as pool:
            list(pool.map(Upper.set, self.hubs))

    def join(self, street: Desk) -> None:
        """Pair each hub with the one above it, the street's first. Returns when all links are up."""
        with self.hubs[0].admin() as district, self.hubs[1].admin() as city:
            pair(street, STREET.hub, district)
            pair(district, DISTRICT.hub, city)
            for desk in (street, district, city):
                until(f"the links of {desk.url} are up", partial(all_up, desk), _LINKED_WITHIN_S)

    def stop(self) -> None:
        with ThreadPoolExecutor(len(self.hubs)) as pool:
            list(pool.map(lambda upper: upper.hub.stop(), self.hubs))


def pair(lower: Desk, name: str, upper: Desk) -> None:
    """A ticket made at the upper hub for the lower one of that name, shown there; both by who manages tiers."""
    ticket = upper.post("/tiers/tickets", {"peer": name})["ticket"]
    lower.post("/tiers/peerings", {"ticket": ticket})


def all_up(desk: Desk) -> bool:
    """Whether there are neighbours, and every link to them is up."""
    peerings = desk.get("/tiers/peerings")
    return bool(peerings) and all(peering["up"] for peering in peerings)
