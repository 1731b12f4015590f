"""What hubs say to each other of joined rooms: kinds, and bodies that are read as what a stranger sends.

Rooms are named by their ids at the hub that is spoken to, so nobody has to know the other's table of joins.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from commhub.domain.errors import InvalidError
from commhub.domain.room import MAX_NAME, clean_name
from commhub.ports.tiers import Body
from commhub.ports.video import Layer

JOIN: Final = "room.join"
JOINS: Final = "room.joins"
LEFT: Final = "room.left"
INVITE: Final = "room.invite"
SOURCES: Final = "room.sources"
REFUSED: Final = "room.source_refused"
START: Final = "picture.start"
STOP: Final = "picture.stop"
SPEAKING: Final = "room.speaking"
SPEAKER: Final = "room.speaker"
ROLL_CALL: Final = "room.roll_call"
ROLL: Final = "room.roll"

SOURCES_LIMIT: Final = 200
_HUBS_LIMIT = 64
_VIA_LIMIT = 16
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_ORIGIN = re.compile(r"[a-z0-9][a-z0-9-]{0,31}/[A-Za-z0-9_.:-]{1,64}")
_HUB = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_WHEP = re.compile(r"/whep/[A-Za-z0-9_-]{1,64}/[A-Za-z0-9_-]{1,64}")
_TOKEN_LIMIT = 2000
_WHIP = re.compile(r"/whip/[A-Za-z0-9_-]{1,64}\?source=[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinAsk:
    """«Join a room of yours with ours»: `room` is the asking side's, `hubs` all that are on its side, `beyond` the neighbours of the
    asked hub that are to be joined in turn, one behind the other."""

    room: str
    name: str
    hubs: tuple[str, ...]
    incident_id: str | None = None
    beyond: tuple[str, ...] = ()

    def body(self) -> Body:
        return {
            "room": self.room,
            "name": self.name,
            "hubs": list(self.hubs),
            "incident": self.incident_id,
            "beyond": list(self.beyond),
        }

    @classmethod
    def read(cls, body: Body) -> "JoinAsk":
        """Raises InvalidError."""
        incident = body.get("incident")
        return cls(
            room=id_of(body, "room"),
            name=name_of(body, "name"),
            hubs=hubs_of(body, "hubs"),
            incident_id=None if incident is None else id_of(body, "incident"),
            beyond=hubs_of(body, "beyond"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldSource:
    """One picture of the telling side's half. `via` are the hubs it passed, its own first and the telling one last."""

    source: str
    origin: str
    via: tuple[str, ...]
    label: str
    muted: bool = False

    def body(self) -> Body:
        return {
            "source": self.source,
            "origin": self.origin,
            "via": list(self.via),
            "label": self.label,
            "muted": self.muted,
        }

    @classmethod
    def read(cls, told: object, peer: str) -> "ToldSource":
        """Raises InvalidError, also for a picture that came another way than it says."""
        if not isinstance(told, Mapping):
            raise InvalidError("a picture is an object")
        origin, via = told.get("origin"), told.get("via")
        if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
            raise InvalidError("a picture's origin is HUB/ID")
        if not isinstance(via, list) or not 0 < len(via) <= _VIA_LIMIT:
            raise InvalidError("a picture says which way it came")
        way = tuple(_hub(one) for one in via)
        if way[-1] != peer or way[0] != origin.partition("/")[0]:
            raise InvalidError("a picture comes from its own hub, by whoever tells of it")
        return cls(
            source=id_of(told, "source"),
            origin=origin,
            via=way,
            label=name_of(told, "label"),
            muted=told.get("muted") is True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAsk:
    """«Send us that picture». `whip` is where, as a path at our address, with its token; without it we fetch it ourselves. `watchers` how many look, `focus`: it is who speaks, or in the
    spotlight; `has`: it arrives already, and only this much has changed."""

    room: str
    source: str
    layer: Layer
    whip: str | None = None
    token: str | None = None
    watchers: int = 1
    focus: bool = False
    has: bool = False

    def body(self) -> Body:
        return {
            "room": self.room,
            "source": self.source,
            "whip": self.whip,
            "token": self.token,
            "layer": int(self.layer),
            "watchers": self.watchers,
            "focus": self.focus,
            "has": self.has,
        }

    @classmethod
    def read(cls, body: Body) -> "StartAsk":
        """Raises InvalidError."""
        whip, token = body.get("whip"), body.get("token")
        if whip is not None and (not isinstance(whip, str) or not _WHIP.fullmatch(whip)):
            raise InvalidError("a picture goes to /whip/ROOM?source=ID")
        if whip is not None:
            token = token_of(body)
        layer, watchers = body.get("layer"), body.get("watchers", 1)
        if not isinstance(layer, int) or layer not in set(map(int, Layer)):
            raise InvalidError("a layer is 0 (main), 1 (sub) or 2 (low)")
        if not isinstance(watchers, int):
            raise InvalidError("watchers are counted")
        return cls(
            room=id_of(body, "room"),
            source=id_of(body, "source"),
            whip=whip,
            token=token if isinstance(token, str) else None,
            layer=Layer(layer),
            watchers=max(0, watchers),
            focus=body.get("focus") is True,
            has=body.get("has") is True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a join is at the telling side, told when a link comes up: `room` is its half, `theirs` that of whoever hears it, `wants` the
    pictures of theirs that are to come, `voice`: it has a leg for the voices."""

    room: str
    theirs: str | None
    wants: tuple[str, ...] = ()
    voice: bool = False

    def body(self) -> Body:
        return {
            "room": self.room,
            "theirs": self.theirs,
            "wants": list(self.wants),
            "voice": self.voice,
        }

    @classmethod
    def read_all(cls, body: Body) -> "Sequence[Standing]":
        """Raises InvalidError."""
        told = body.get("joins")
        if not isinstance(told, list) or not all(isinstance(one, Mapping) for one in told):
            raise InvalidError("joins are a list")
        return [
            cls(
                room=id_of(one, "room"),
                theirs=None if one.get("theirs") is None else id_of(one, "theirs"),
                wants=tuple(_id(wanted) for wanted in list_of(one, "wants", SOURCES_LIMIT)),
                voice=one.get("voice") is True,
            )
            for one in told
        ]


def id_of(body: Mapping[str, object], name: str) -> str:
    """Raises InvalidError."""
    return _id(body.get(name), name)


def name_of(body: Mapping[str, object], name: str) -> str:
    """What people read; one that is none of ours is put right rather than refused. Raises InvalidError."""
    text = body.get(name)
    if not isinstance(text, str):
        raise InvalidError(f"{name} is a text")
    return clean_name(text[:MAX_NAME])


def hubs_of(body: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Raises InvalidError."""
    return tuple(_hub(one) for one in list_of(body, name, _HUBS_LIMIT))


def list_of(body: Mapping[str, object], name: str, limit: int) -> list[object]:
    """Raises InvalidError for what is no list, or too long a one; one that is not there is empty."""
    told = body.get(name, [])
    if not isinstance(told, list) or len(told) > limit:
        raise InvalidError(f"{name} is a list of at most {limit}")
    return told


def token_of(body: Mapping[str, object]) -> str:
    """Raises InvalidError."""
    token = body.get("token")
    if not isinstance(token, str) or not 0 < len(token) <= _TOKEN_LIMIT:
        raise InvalidError("a picture goes with a token")
    return token


def whep_of(body: Mapping[str, object]) -> str | None:
    """Where a picture may be viewed, as a path at the other's address; None while it is not there. Raises InvalidError."""
    whep = body.get("whep")
    if whep is None:
        return None
    if not isinstance(whep, str) or not _WHEP.fullmatch(whep):
        raise InvalidError("a picture is viewed at /whep/ROOM/SOURCE")
    return whep


def origin_of(body: Mapping[str, object]) -> str | None:
    """A picture's or a speaker's name over all hubs; None for nobody. Raises InvalidError."""
    origin = body.get("origin")
    if origin is None:
        return None
    if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
        raise InvalidError("an origin is HUB/ID")
    return origin


def _id(text: object, name: str = "an id") -> str:
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise InvalidError(f"{name} is a short text")
    return text


def _hub(text: object) -> str:
    if not isinstance(text, str) or not _HUB.fullmatch(text):
        raise InvalidError("a hub's name has small letters, digits and hyphens")
    return text
