"""Who plays in the story, and how it waits and complains."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from commhub.wiring.demo.settle import Desk
from commhub.wiring.hub_process import HubError


class StoryError(Exception):
    """A step that did not come true, with what was seen instead."""


class Simulated(Protocol):
    """A simulator's page."""

    def state(self) -> dict[str, Any]: ...

    def do(self, command: str, **arguments: object) -> Any: ...


class Talker(Protocol):
    """A phone or radio that speaks with a tone of its own and tells what it hears."""

    @property
    def endpoint(self) -> str: ...

    @property
    def tone(self) -> float: ...

    def talk(self, on: bool) -> None: ...

    def levels(self) -> Mapping[str, float]:
        """dBFS of each tone (`440`) and of the `floor`, over the last second heard."""
        ...


@dataclass(frozen=True, slots=True)
class PhoneTalker:
    """A simulated phone."""

    page: Simulated
    endpoint: str
    tone: float

    def talk(self, on: bool) -> None:
        self.page.do("talk", on=on)

    def levels(self) -> Mapping[str, float]:
        levels: Mapping[str, float] = self.page.state()["heard"]
        return levels


@dataclass(frozen=True, slots=True)
class RadioTalker:
    """A simulated radio; to talk is to press its key."""

    page: Simulated
    endpoint: str
    tone: float

    def talk(self, on: bool) -> None:
        self.page.do("ptt", down=on)

    def levels(self) -> Mapping[str, float]:
        levels: Mapping[str, float] = self.page.state()["levels"]
        return levels


@dataclass(frozen=True, slots=True)
class CastAbove:
    """Who plays at the district and in the city; `phone` is on the city's desk."""

    district: Desk
    city: Desk
    phone: PhoneTalker


@dataclass(slots=True)
class Cast:
    """Who plays. `say` prints a finished step with the seconds it took. `above` is None on the stage of a street alone."""

    desk: Desk
    wecom: Simulated
    bodycam: Simulated
    viewer: Simulated
    phones: Sequence[Talker]
    radio: RadioTalker
    say: Callable[[str, float], None]
    above: CastAbove | None = None

    @property
    def desks(self) -> list[Desk]:
        """Everybody who is signed in."""
        return [self.desk, *([self.above.district, self.above.city] if self.above else [])]


def until(what: str, look: Callable[[], Any], within_s: float = 30.0) -> Any:
    """Return the first true answer of `look`. Raises StoryError with its last answer."""
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise StoryError(f"not within {within_s:g} s: {what}")
        time.sleep(0.05)


@contextmanager
def step(cast: Cast, title: str) -> Iterator[None]:
    """A step of the story: told of when it came true, and by its title when it did not."""
    began = time.monotonic()
    try:
        yield
    except (HubError, httpx.HTTPError, KeyError) as error:
        raise StoryError(f"{title}: {type(error).__name__}: {error}") from error
    except StoryError as error:
        raise StoryError(f"{title}: {error}") from error
    cast.say(title, time.monotonic() - began)


def expect(true: object, what: str) -> None:
    """Raise StoryError unless it is true."""
    if not true:
        raise StoryError(what)
