"""The console's hand-written types say what the hub's views say: the same fields, null where they may be null."""

import re
from pathlib import Path
from types import NoneType
from typing import get_args

import pytest
from pydantic import BaseModel

from commhub.http import call_views, room_views, views

API = Path(__file__).parents[3] / "console" / "src" / "api"
TYPES = (API / "types.ts", API / "calls.ts", API / "rooms.ts")
INTERFACE = re.compile(r"^export interface (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^  (\w+): (.+)$", re.MULTILINE)


def written() -> dict[str, dict[str, bool]]:
    """Interface → field → whether it may be null."""
    return {
        name: {field: "| null" in kind for field, kind in FIELD.findall(body)}
        for path in TYPES
        for name, body in INTERFACE.findall(path.read_text(encoding="utf-8"))
    }


def served(model: type[BaseModel]) -> dict[str, bool]:
    return {
        name: NoneType in get_args(field.annotation) for name, field in model.model_fields.items()
    }


def view(name: str) -> type[BaseModel] | None:
    """The hub's view of that name."""
    models = (getattr(page, name, None) for page in (views, call_views, room_views))
    return next((model for model in models if model is not None), None)


VIEWS = {name: model for name in written() if (model := view(name)) is not None}


def test_the_console_has_types_for_what_the_desk_shows() -> None:
    known = {
        "RoomView",
        "ParticipantView",
        "SourceView",
        "RollCallView",
        "WallLayoutView",
        "IncidentView",
        "CallView",
        "LegView",
        "DutyCallView",
        "TimelineEntryView",
        "DeviceView",
    }
    assert known <= VIEWS.keys()


@pytest.mark.parametrize("name", [name for name in VIEWS if name != "Page"])
def test_a_type_of_the_console_has_the_fields_of_the_view(name: str) -> None:
    assert written()[name] == served(VIEWS[name])
