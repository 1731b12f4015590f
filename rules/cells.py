"""The safety of one cell: whatever zen-engine would swallow and let fall to the default row is refused here.

Measured on zen-engine 2.1: a cell that does not parse, names a field that is not there, compares a number with
a text or calls a function matches nothing, silently. So a condition is cut into tokens, every literal is held
against the column's declared type, and the compiled cell is tried on values around its own literals: one that
raises, never matches or always matches is a mistake of its author.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import zen

from rules.tables import Input, InputType, Value

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"[^"]*"|'[^']*')
    | (?P<number>\d+(?:\.\d+)?)(?![\w.]*[A-Za-z_])
    | (?P<name>[A-Za-z_$\#][\w.]*)
    | (?P<mark>\.\.|<=|>=|==|!=|<|>|[\[\](),+-])
    )""",
    re.VERBOSE,
)
_WORDS = frozenset({"and", "or", "not", "in"})
_ORDERING = frozenset({"<", "<=", ">", ">=", ".."})
_FAR = 10**9
# Far more than people write. zen-engine recurses natively: a few thousand brackets in a cell would end the process, and
# a condition is tried on several values around each of its literals.
MAX_LENGTH = 4000
MAX_LITERALS = 400
MAX_NESTING = 32


class CellError(ValueError):
    """What is wrong with one cell, without its place."""


class _Compiled(Protocol):
    """What zen makes of a condition; `$` is the value of the cell's own column."""

    def evaluate(self, context: dict[str, Any]) -> object: ...


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def check_condition(cell: str, column: str, inputs: Mapping[str, Input]) -> None:
    """Refuse a condition that cannot mean what its author meant. Raises CellError."""
    type_ = inputs[column].type
    tokens = _read(cell)
    _check_names(tokens, column, inputs)
    _check_types(tokens, type_)
    try:
        compiled = zen.compile_unary_expression(cell)
    except RuntimeError as error:
        raise CellError(f"{cell!r} does not compile: {_reason(error)}") from error
    _try_out(cell, compiled, _probes(tokens, type_))


def constant(cell: str) -> object:
    """The value of a result cell, which is a constant: a text in quotes, a number, true, false, a list of them.

    Raises CellError; whole numbers come back as int.
    """
    for token in _read(cell):
        if token.kind == "name" and token.text not in ("true", "false"):
            raise CellError(f"a result is a constant; put the text {token.text!r} in quotes")
    try:
        value = zen.compile_expression(cell).evaluate({})
    except RuntimeError as error:
        raise CellError(f"{cell!r} does not compile: {_reason(error)}") from error
    return _whole(value)


def _whole(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value


def _reason(error: RuntimeError) -> str:
    found = re.search(r'"source":"((?:[^"\\]|\\.)*)"', str(error))
    return found[1] if found else str(error).partition("\n")[0]


def _read(cell: str) -> list[_Token]:
    """Cut a cell into tokens, of a size the engine can bear. Raises CellError."""
    if len(cell) > MAX_LENGTH:
        raise CellError(f"a cell has at most {MAX_LENGTH} characters, not {len(cell)}")
    tokens = list(_tokens(cell))
    depth = deepest = literals = 0
    for token in tokens:
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        deepest = max(deepest, depth)
        literals += token.kind in ("text", "number")
        if token.kind == "number" and float(token.text) >= _FAR:
            raise CellError(f"the number {token.text[:20]} is too large; {_FAR - 1} is the largest")
    if deepest > MAX_NESTING:
        raise CellError(f"brackets are nested deeper than {MAX_NESTING} levels")
    if literals > MAX_LITERALS:
        raise CellError(f"a cell compares with at most {MAX_LITERALS} values; use a row of its own")
    return tokens


def _tokens(cell: str) -> Iterator[_Token]:
    position = 0
    text = cell.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise CellError(f"cannot read {text[position:].strip()[:20]!r} in {cell!r}")
        yield _Token(found.lastgroup, found[found.lastgroup])
        position = found.end()


def _check_names(tokens: list[_Token], column: str, inputs: Mapping[str, Input]) -> None:
    for position, token in enumerate(tokens):
        if token.kind != "name" or token.text in _WORDS | {"true", "false"}:
            continue
        after = tokens[position + 1] if position + 1 < len(tokens) else None
        if after is not None and after.text == "(":
            raise CellError(f"{token.text}() is a function; a cell compares with constants only")
        if token.text in inputs:
            raise CellError(
                f"this cell tests {column}; a condition on {token.text} belongs in its own column"
            )
        raise CellError(f"unknown name {token.text!r}; a text must be in quotes")


def _check_types(tokens: list[_Token], type_: InputType) -> None:
    for token in tokens:
        if token.kind == "text" and type_ is not InputType.TEXT:
            raise CellError(f"{token.text} is a text, but the input is {type_}")
        if token.kind == "number" and type_ in (InputType.TEXT, InputType.BOOL):
            raise CellError(f"{token.text} is a number, but the input is {type_}")
        if token.kind == "number" and type_ is InputType.INT and "." in token.text:
            raise CellError(f"{token.text} is no whole number, but the input is int")
        if token.text in ("true", "false") and token.kind == "name" and type_ is not InputType.BOOL:
            raise CellError(f"{token.text} is a truth value, but the input is {type_}")
        if token.text in _ORDERING and type_ in (InputType.TEXT, InputType.BOOL):
            raise CellError(f"{token.text} orders numbers, but the input is {type_}")


def _probes(tokens: list[_Token], type_: InputType) -> list[Value]:
    """Values on, beside and far from every literal: enough to see both sides of each comparison."""
    match type_:
        case InputType.BOOL:
            return [True, False]
        case InputType.TEXT:
            literals = [token.text[1:-1] for token in tokens if token.kind == "text"]
            return [*literals, "\N{WHITE SQUARE} none of them"]
        case InputType.INT | InputType.NUMBER:
            steps = (-1, 0, 1) if type_ is InputType.INT else (-1, -0.001, 0, 0.001, 1)
            read = int if type_ is InputType.INT else float
            literals_n = [read(token.text) for token in tokens if token.kind == "number"]
            near = [sign * n + step for n in literals_n for sign in (1, -1) for step in steps]
            return [-_FAR, *near, _FAR]


def _try_out(cell: str, compiled: _Compiled, probes: list[Value]) -> None:
    matched = 0
    for probe in probes:
        try:
            matched += bool(compiled.evaluate({"$": probe}))
        except RuntimeError as error:
            raise CellError(f"{cell!r} fails on {probe!r}: {_reason(error)}") from error
    if not matched:
        raise CellError(f"{cell!r} can never match")
    if matched == len(probes):
        raise CellError(
            f"{cell!r} always matches; a comma means «or», a range is [2..5]; leave the cell empty for «any»"
        )
