"""The duty number as these settings have it."""

from commhub.domain.duty import DutyLine, DutyLines, Overflow
from commhub.domain.errors import InvalidError
from commhub.domain.people import Endpoint
from commhub.settings import Settings, SettingsError
from commhub.settings_parts import DutyLineSettings


def duty_lines(settings: Settings) -> DutyLines:
    """All lines. Raises SettingsError for a number or a name that two of them have, or a bad address."""
    lines = [_line(one) for one in settings.duty.lines]
    _refuse_twice("number", [number for line in lines for number in line.numbers])
    _refuse_twice("name", [line.name for line in lines])
    return DutyLines(lines)


def _line(given: DutyLineSettings) -> DutyLine:
    try:
        overflow = tuple(
            Overflow(after_s=one.after_s, to=Endpoint.parse(one.to)) for one in given.overflow
        )
    except InvalidError as error:
        raise SettingsError(f"setting duty.lines: {given.name}: {error}") from error
    return DutyLine(
        name=given.name,
        numbers=given.numbers,
        category=given.category,
        overflow=tuple(sorted(overflow, key=lambda one: one.after_s)),
    )


def _refuse_twice(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"setting duty.lines: the {what} {', '.join(twice)} is there twice")
