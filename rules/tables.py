"""The model of a rule file: one YAML per rule set, parsed and checked for shape.

What the cells say is `cells`' and `compiler`'s business; here a file becomes typed data, and every fault is
collected with its place so that the author mends all of them at once.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

import yaml

from commhub.ports.decisions import EscalationStep
from rules.errors import Flaw, RuleFileError

MAX_BYTES = 256 * 1024
CHANNELS = frozenset({"wecom", "sip", "sip_text", "ptt", "sms", "tel", "video"})
# What the hub performs when a clock runs out. A file that asks for more is refused: a promise that nobody keeps is
# worse than none.
ESCALATIONS: Mapping[str, frozenset[str]] = {
    "clock": frozenset({"accept"}),
    "do": frozenset({"next_responder"}),
    "to": frozenset({"duty_leader"}),
}

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,63}")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}

Cell = str
Value = str | int | float | bool


class InputType(StrEnum):
    """The type an input is declared with; a report that does not fit is refused, not guessed at."""

    TEXT = "text"
    INT = "int"
    NUMBER = "number"
    BOOL = "bool"

    def admits(self, value: object) -> bool:
        match self:
            case InputType.TEXT:
                return isinstance(value, str)
            case InputType.BOOL:
                return isinstance(value, bool)
            case InputType.INT:
                return isinstance(value, int) and not isinstance(value, bool)
            case InputType.NUMBER:
                return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Input:
    """`default` stands in for what a report does not say; None: the report must say it."""

    type: InputType
    default: Value | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` hold one cell per column, `when` before `then`; an empty `when` cell matches everything."""

    name: str
    when: tuple[str, ...]
    then: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def conditions(self, row: int) -> tuple[Cell, ...]:
        return self.rows[row][: len(self.when)]

    def results(self, row: int) -> tuple[Cell, ...]:
        return self.rows[row][len(self.when) :]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A parsed file. `text` is what was parsed, byte for byte."""

    name: str
    version: str
    inputs: Mapping[str, Input]
    tables: Mapping[str, Table]
    escalation: tuple[EscalationStep, ...]
    file: str
    text: str = field(repr=False)


class _StrictLoader(yaml.SafeLoader):
    """Plain data only: no aliases (they can blow a small file up), no key twice (the first would vanish)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases are not allowed here",
                problem_mark=self.get_mark(),
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is there twice", problem_mark=node.start_mark
                )
        return super().construct_mapping(node, deep)


def read_yaml(text: str, file: str) -> Mapping[str, Any]:
    """Parse YAML into a mapping. Raises RuleFileError with line and column."""
    if len(text.encode()) > MAX_BYTES:
        raise RuleFileError((Flaw(file, f"the file is larger than {MAX_BYTES // 1024} KiB"),))
    try:
        data = yaml.load(text, _StrictLoader)  # noqa: S506 - _StrictLoader is a SafeLoader
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise RuleFileError((Flaw(file, f"{place}{problem}"),)) from error
    if not isinstance(data, dict):
        raise RuleFileError((Flaw(file, "the file must be a mapping of keys to values"),))
    return data


def parse_ruleset(text: str, file: str) -> RuleSet:
    """Read a rule file. Raises RuleFileError naming every flaw of its shape."""
    reader = _Reader(file)
    rules = reader.read(read_yaml(text, file), text)
    if reader.flaws:
        raise RuleFileError(tuple(reader.flaws))
    return rules


class _Reader:
    """Collects flaws while it reads, so that one parse reports all of them."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.flaws: list[Flaw] = []

    def _flaw(
        self,
        message: str,
        table: str | None = None,
        row: int | None = None,
        column: str | None = None,
    ) -> None:
        self.flaws.append(Flaw(self._file, message, table, row, column))

    def read(self, data: Mapping[str, Any], text: str) -> RuleSet:
        for key in sorted(
            set(data) - {"ruleset", "version", "inputs", "tables", "escalate"}, key=str
        ):
            self._flaw(f"unknown key {key!r}")
        return RuleSet(
            name=self._word(data.get("ruleset"), "ruleset", _NAME),
            version=self._word(data.get("version"), "version", _VERSION),
            inputs=self._inputs(data.get("inputs")),
            tables=self._tables(data.get("tables")),
            escalation=self._escalation(data.get("escalate", [])),
            file=self._file,
            text=text,
        )

    def _word(self, value: object, key: str, pattern: re.Pattern[str]) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self._flaw(
                f"{key} must be a text like {pattern.pattern} (put it in quotes), not {value!r}"
            )
            return ""
        return value

    def _inputs(self, data: object) -> dict[str, Input]:
        if not isinstance(data, dict) or not data:
            self._flaw("inputs must map each name to its type, for example {level: int = 4}")
            return {}
        found = {}
        for name, spec in data.items():
            kind, _, default = (part.strip() for part in str(spec).partition("="))
            try:
                type_ = InputType(kind)
                found[str(name)] = Input(type_, _default(type_, default) if default else None)
            except ValueError as error:
                self._flaw(f"input {name}: {error}")
        return found

    def _tables(self, data: object) -> dict[str, Table]:
        if not isinstance(data, dict):
            self._flaw("tables must be a mapping")
            return {}
        found = {}
        for name, body in data.items():
            if not isinstance(body, dict):
                self._flaw("a table must be a mapping with hit, when, then and rows", str(name))
                continue
            found[str(name)] = self._table(str(name), body)
        return found

    def _table(self, name: str, body: Mapping[str, Any]) -> Table:
        for key in sorted(set(body) - {"hit", "when", "then", "rows"}, key=str):
            self._flaw(f"unknown key {key!r}", name)
        if body.get("hit", "first") != "first":
            self._flaw(f"hit must be first, not {body['hit']!r}", name)
        when, then = self._columns(name, body, "when"), self._columns(name, body, "then")
        columns = when + then
        rows = body.get("rows")
        if not isinstance(rows, list) or not rows:
            self._flaw("a table needs rows, the last one being the catch-all", name)
            rows = []
        read = []
        for number, row in enumerate(rows, 1):
            if not isinstance(row, list) or len(row) != len(columns):
                count = len(row) if isinstance(row, list) else "no"
                self._flaw(f"{count} cells for {len(columns)} columns", name, number)
                continue
            read.append(
                tuple(
                    self._cell(cell, name, number, column)
                    for column, cell in zip(columns, row, strict=True)
                )
            )
        return Table(name, when, then, tuple(read))

    def _columns(self, table: str, body: Mapping[str, Any], key: str) -> tuple[str, ...]:
        names = body.get(key)
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            self._flaw(f"{key} must be a list of column names", table)
            return ()
        for name in sorted({n for n in names if names.count(n) > 1}):
            self._flaw(f"column {name} is in {key} twice", table)
        return tuple(names)

    def _cell(self, cell: object, table: str, row: int, column: str) -> Cell:
        match cell:
            case None:
                return ""
            case bool():
                return "true" if cell else "false"
            case str() | int() | float():
                return str(cell).strip()
            case _:
                self._flaw(
                    "a cell is a text or a number; put a list in quotes, for example '[\"wecom\"]'",
                    table,
                    row,
                    column,
                )
                return ""

    def _escalation(self, data: object) -> tuple[EscalationStep, ...]:
        if not isinstance(data, list):
            self._flaw("escalate must be a list of steps")
            return ()
        steps = []
        for number, step in enumerate(data, 1):
            try:
                steps.append(_step(step))
            except ValueError as error:
                self._flaw(f"step {number}: {error}", "escalate")
        return tuple(steps)


def _default(type_: InputType, text: str) -> Value:
    try:
        value: object = yaml.safe_load(text)
    except (yaml.YAMLError, TypeError, RecursionError) as error:
        raise ValueError(f"the default {text[:40]} cannot be read") from error
    if not (type_.admits(value) and isinstance(value, Value)):
        raise ValueError(f"the default {text} is no {type_}")
    return value


def _step(data: object) -> EscalationStep:
    if not isinstance(data, dict):
        raise ValueError("must be a mapping")  # noqa: TRY004 - collected with its place by the caller
    if unknown := set(data) - {"clock", "after", "do", "to", "via", "repeat", "every"}:
        raise ValueError(f"unknown key {', '.join(sorted(map(str, unknown)))}")
    wanted = {"do": "next_responder", **data}
    for key, performed in ESCALATIONS.items():
        if wanted.get(key) not in performed:
            raise ValueError(
                f"{key} {wanted.get(key)!r} is not performed; there is {', '.join(sorted(performed))}"
            )
    after = _PERCENT.fullmatch(str(data.get("after")))
    via, repeat, every = data.get("via", []), data.get("repeat", 1), data.get("every")
    span = _SPAN.fullmatch(str(every)) if every is not None else None
    if after is None or float(after[1]) != 100:
        raise ValueError(f"after must be 100% of the clock, not {data.get('after')!r}")
    if not isinstance(via, list) or not set(map(str, via)) <= CHANNELS:
        raise ValueError(f"via must be a list of channels among {', '.join(sorted(CHANNELS))}")
    if not InputType.INT.admits(repeat) or not 1 <= repeat <= 100:
        raise ValueError("repeat must be a whole number from 1 to 100")
    if every is not None and span is None:
        raise ValueError(f"every must be a span such as 2m or 30s, not {every!r}")
    return EscalationStep(
        clock=wanted["clock"],
        after=float(after[1]) / 100,
        act=wanted["do"],
        to=wanted["to"],
        via=tuple(via),
        repeat=repeat,
        every=timedelta(seconds=float(span[1]) * _SECONDS[span[2]]) if span else None,
    )
