"""What facts leave to be done: the objects to render anew, and the events to tell. Pure.

A fact names what it touched in its own fields, so a new kind of fact needs nothing here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from commhub.domain.call_facts import FloorMoved
from commhub.domain.facts import Fact, LineAlarm, ServiceMoved, StageMoved
from commhub.domain.room_facts import SpeakerMoved
from commhub.domain.tier_facts import (
    CascadeMoved,
    LinkMoved,
    PeeringMoved,
    SharedMoved,
    TimelineMerged,
)
from commhub.live.model import About, Collection

NAMES: Mapping[str, Collection] = {
    "incident_id": Collection.INCIDENTS,
    "into": Collection.INCIDENTS,
    "absorbed": Collection.INCIDENTS,
    "call_id": Collection.CALLS,
    "device_id": Collection.FLEET,
    "account": Collection.PHONES,
    "duty_id": Collection.DUTY,
    "room_id": Collection.ROOMS,
    "about": Collection.SHARES,
}


@dataclass(slots=True)
class Gathered:
    """`timelines`: incidents with new lines, and the time of the earliest; `floor`: groups with their event as JSON text;
    `services`: the last word of each; `links`: a neighbour came, went or changed; `news`: other events by name, as JSON text, with the room they are about."""

    dirty: dict[Collection, set[str]] = field(default_factory=dict)
    timelines: dict[str, datetime] = field(default_factory=dict)
    floor: list[tuple[str, str]] = field(default_factory=list)
    services: dict[str, ServiceMoved] = field(default_factory=dict)
    links: bool = False
    news: list[tuple[str, str, About | None]] = field(default_factory=list)

    def take(self, fact: Fact) -> None:
        """Note what `fact` touched."""
        news = _news_of(fact)
        if news is not None:
            self.news.append(news)
        if isinstance(fact, SpeakerMoved):
            # It changes nothing of the room that is kept.
            return
        for collection, key in _touched(fact):
            self.dirty.setdefault(collection, set()).add(key)
        if (lines := _lines_of(fact)) is not None:
            incident_id, since = lines
            self.timelines[incident_id] = min(self.timelines.get(incident_id, since), since)
        match fact:
            case FloorMoved():
                self.floor.append((fact.group, floor_json(fact)))
            case ServiceMoved():
                self.services[fact.service] = fact
            case LinkMoved() | PeeringMoved():
                self.links = True
            case _:
                return

    @property
    def has_events(self) -> bool:
        return bool(self.timelines or self.floor or self.news)

    @property
    def has_state(self) -> bool:
        return bool(self.dirty or self.services or self.links)

    def take_events(self) -> tuple[Mapping[str, datetime], list[tuple[str, str]]]:
        """Hand over the events gathered so far."""
        events = self.timelines, self.floor
        self.timelines, self.floor = {}, []
        return events

    def take_news(self) -> list[tuple[str, str, About | None]]:
        """Hand over the other events gathered so far."""
        news, self.news = self.news, []
        return news

    def take_links(self) -> bool:
        """Whether neighbours are to be looked at anew."""
        links, self.links = self.links, False
        return links

    def take_state(self) -> tuple[Mapping[Collection, set[str]], Mapping[str, ServiceMoved]]:
        """Hand over what is to be rendered anew."""
        state = self.dirty, self.services
        self.dirty, self.services = {}, {}
        return state


def _news_of(fact: Fact) -> tuple[str, str, About | None] | None:
    match fact:
        case SpeakerMoved():
            return "speaker", _speaker_json(fact), About(fact.room_id, fact.source_id)
        case LineAlarm():
            return "alarm", _alarm_json(fact), None
        case SharedMoved():
            return "shared", json.dumps({"peer": fact.peer}), None
        case CascadeMoved():
            return "cascade", _cascade_json(fact), About(fact.room_id)
        case _:
            return None


def _touched(fact: Fact) -> Iterator[tuple[Collection, str]]:
    for name, collection in NAMES.items():
        touched = getattr(fact, name, None)
        if touched is not None:
            yield collection, touched
    if isinstance(fact, StageMoved) and fact.incident_id is not None:
        # What is shared of an incident is shown for as long as it is open.
        yield Collection.SHARES, fact.incident_id


def _lines_of(fact: Fact) -> tuple[str, datetime] | None:
    """The incident whose timeline is longer now, and the time of the first new line: of lines that were written at another hub
    it is before the fact's."""
    if isinstance(fact, TimelineMerged):
        return fact.about, fact.since
    return None if fact.incident_id is None else (fact.incident_id, fact.at)


def _speaker_json(fact: SpeakerMoved) -> str:
    return json.dumps(
        {
            "room_id": fact.room_id,
            "source_id": fact.source_id,
            "participant_id": fact.participant_id,
        }
    )


def _cascade_json(fact: CascadeMoved) -> str:
    return json.dumps({"room_id": fact.room_id, "peer": fact.peer, "state": fact.state})


def _alarm_json(fact: LineAlarm) -> str:
    return json.dumps(
        {
            "alarm": fact.alarm,
            "text": fact.text,
            "at": fact.at.isoformat(),
            "call_id": fact.call_id,
            "incident_id": fact.incident_id,
        },
        ensure_ascii=False,
    )


def floor_json(fact: FloorMoved) -> str:
    """Who has the floor of a group, as JSON text."""
    return json.dumps(
        {
            "group": fact.group,
            "event": fact.event,
            "talker": fact.talker,
            "call_id": fact.call_id,
            "cause": fact.cause,
            "queue": fact.queue,
        },
        ensure_ascii=False,
    )
