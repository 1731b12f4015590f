"""A rule file that could fall silently to the default row is refused, with the place of every flaw."""

from importlib.resources import files

import pytest
import yaml

from rules.cells import CellError, check_condition, constant
from rules.compiler import compile_rules
from rules.errors import RuleFileError
from rules.tables import Input, InputType, parse_ruleset

INPUTS = {
    "category": Input(InputType.TEXT),
    "level": Input(InputType.INT, 4),
    "casualties": Input(InputType.INT, 0),
    "ppm": Input(InputType.NUMBER),
    "drill": Input(InputType.BOOL),
}

GOOD = """
ruleset: small
version: v1
inputs: {category: text, level: int = 4}
tables:
  assign:
    hit: first
    when: [category, level]
    then: [loop, team, skills, alarm, channels]
    rows:
    - ['"fire"', '<= 2', '"street"', '"fire"', '["hazmat"]', 2, '["sip"]']
    - ['', '', '"community"', '"grid"', '[]', 1, '["wecom"]']
  sla:
    hit: first
    when: [level]
    then: [accept]
    rows: [[1, 0.05], ['', 15]]
escalate:
- {clock: accept, after: 100%, to: duty_leader, repeat: 3, every: 2m}
"""


def flaws_of(text: str) -> str:
    with pytest.raises(RuleFileError) as refused:
        compile_rules(parse_ruleset(text, "small.yaml"))
    return "\n".join(map(str, refused.value.flaws))


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("category", '"fire"'),
        ("category", '"fire","gas"'),
        ("category", "'fire'"),
        ("category", '"火灾"'),
        ("category", '!= "fire"'),
        ("category", 'not in ["fire", "gas"]'),
        ("level", "1"),
        ("level", "<= 2"),
        ("level", "[2..3]"),
        ("level", "(1..3)"),
        ("level", "1, >= 4"),
        ("level", "> 1 and < 4"),
        ("level", "not in [1, 2]"),
        ("level", "-1"),
        ("ppm", ">= 0.5"),
        ("drill", "true"),
    ],
)
def test_a_sound_condition_is_taken(column: str, cell: str) -> None:
    check_condition(cell, column, INPUTS)


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("level", '>= "x"', "is a text, but the input is int"),
        ("level", '"3"', "is a text, but the input is int"),
        ("level", "1.5", "no whole number"),
        ("level", "true", "truth value"),
        ("category", "3", "is a number, but the input is text"),
        ("category", '>= "a"', "orders numbers"),
        ("category", "fire", "unknown name 'fire'; a text must be in quotes"),
        ("level", "lvl > 2", "unknown name 'lvl'"),
        ("level", "casualties > 2", "belongs in its own column"),
        ("level", "$ > 2", "unknown name"),
        ("level", "now() > 3", "function"),
        ("level", "abs(3)", "function"),
        ("category", 'startsWith($, "a")', "function"),
        ("level", ">= >= 3", "does not compile"),
        ("level", "3..4", "does not compile"),
        ("level", "foo(", "function"),
        ("level", "1e3", "cannot read"),
        ("level", "0x3", "cannot read"),
        ("level", "3; 4", "cannot read"),
        ("category", '"fire', "cannot read"),
        ("category", "`fire`", "cannot read"),
        ("category", 'not "fire"', "fails on"),
        ("level", "> 5 and < 3", "can never match"),
        ("level", "[3..1]", "can never match"),
        ("level", ">= 2, <= 5", "always matches"),
        ("drill", "true, false", "always matches"),
        ("level", "-", ""),
    ],
)
def test_a_cell_that_would_fall_silently_is_refused(column: str, cell: str, reason: str) -> None:
    with pytest.raises(CellError) as refused:
        check_condition(cell, column, INPUTS)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('"fire"', "fire"),
        ("2", 2),
        ("0.05", 0.05),
        ('["a","b"]', ["a", "b"]),
        ("[]", []),
        ("true", True),
    ],
)
def test_a_result_is_a_constant(cell: str, value: object) -> None:
    assert constant(cell) == value


@pytest.mark.parametrize("cell", ["fire", "level + 1", "now()", "[", "", '"a', "{a: 1}"])
def test_a_result_that_is_no_constant_is_refused(cell: str) -> None:
    with pytest.raises(CellError):
        constant(cell)


def test_the_small_rule_set_compiles() -> None:
    rules = compile_rules(parse_ruleset(GOOD, "small.yaml")).rules
    assert (rules.name, rules.version) == ("small", "v1")
    [step] = rules.escalation
    assert (step.after, step.repeat, step.every) == (1.0, 3, step.every)
    assert step.every is not None
    assert step.every.total_seconds() == 120


@pytest.mark.parametrize(
    ("old", "new", "flaw"),
    [
        (
            "'<= 2', '\"street\"'",
            "'>= \"x\"', '\"street\"'",
            "small.yaml, table assign, row 1, cell level: ",
        ),
        ("[category, level]", "[category, grid]", "table assign: column grid is no declared input"),
        ("category: text,", "category: text, weather: text,", "weather is nothing a report offers"),
        ("category: text,", "category: int,", "input category is text, not int"),
        ("level: int = 4", "level: int = four", "the default four is no int"),
        ("level: int = 4", "level: whole", "'whole' is not a valid InputType"),
        ("'\"street\"', '\"fire\"'", "'\"moon\"', '\"fire\"'", "row 1, cell loop: "),
        ("'[\"sip\"]'", "'[\"spi\"]'", "row 1, cell channels: "),
        ("'[\"sip\"]'", "[sip]", "put a list in quotes"),
        ("'[\"hazmat\"]', 2,", "'[\"hazmat\"]', '\"two\"',", "row 1, cell alarm: "),
        ("[1, 0.05]", "[1, 0]", "table sla, row 1, cell accept: '0' must be minutes"),
        ("[1, 0.05]", "[1, 2, 3]", "table sla, row 1: 3 cells for 2 columns"),
        ("['', 15]", "[2, 15]", "table sla, row 2: the last row must be the catch-all"),
        ("[1, 0.05]", "['', 1]", "table sla, row 2: never reached: row 1"),
        (
            "hit: first\n    when: [category",
            "hit: collect\n    when: [category",
            "hit must be first",
        ),
        ("  sla:", "  clocks:", "the table sla is missing"),
        ("then: [accept]", "then: [arrive]", "the clock accept is missing"),
        ("alarm, channels]", "alarm, chanels]", "the result chanels is unknown"),
        ("ruleset: small", "ruleset: Small Rules", "ruleset must be"),
        ("version: v1", "version: 2026-11-20", "version must be"),
        ("version: v1", "version: v1\nvesion: v2", "unknown key 'vesion'"),
        ("version: v1", "version: v1\nversion: v2", "is there twice"),
        ("clock: accept", "clock: acept", "table escalate: step 1: clock 'acept' is not performed"),
        ("100%", "80%", "after must be 100%"),
        ("repeat: 3", "via: [pigeon]", "via must be a list of channels"),
        ("repeat: 3", "loud: true", "unknown key loud"),
        ("every: 2m", "every: soon", "every must be a span"),
        ("repeat: 3", "repeat: 0", "repeat must be"),
        (
            "to: duty_leader",
            "do: explode, to: x",
            "do 'explode' is not performed; there is next_responder",
        ),
        ("tables:", "tables: [", "line"),
    ],
)
def test_every_flaw_names_its_place(old: str, new: str, flaw: str) -> None:
    assert old in GOOD
    assert flaw in flaws_of(GOOD.replace(old, new, 1))


def test_all_flaws_are_told_at_once() -> None:
    text = GOOD.replace("'<= 2'", "'lvl > 2'").replace("[1, 0.05]", "[1, 0]")
    assert len(flaws_of(text).splitlines()) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list",
        "just text",
        "a: &x [1]\nb: *x",
        "a: !!python/object/apply:os.system ['true']",
        "? [1, 2]\n: x",
        "\x00",
        "[" * 5000,
        "x: " + "y" * 300_000,
        "tables: {assign: 5, sla: {rows: 7}}",
        "inputs: []\ntables: {}\nescalate: 5",
        "tables: {assign: {when: [1], then: category, rows: [5]}}",
    ],
)
def test_whatever_is_no_rule_file_is_refused_and_nothing_else_happens(text: str) -> None:
    assert flaws_of(text)


def test_the_shipped_rules_name_all_the_categories_of_a_street() -> None:
    text = (files("rules") / "sets" / "street-dispatch.yaml").read_text("utf-8")
    named = {
        row[0].strip('"') for row in yaml.safe_load(text)["tables"]["assign"]["rows"] if row[0]
    }
    assert named == {
        *("sos", "duty_call", "fire", "gas", "flood", "fight", "medical"),
        *("noise", "parking", "waste", "facility", "other"),
    }


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("[" * 20_000 + "1" + "]" * 20_000, "characters"),
        ("[" * 200 + "1" + "]" * 200, "nested deeper"),
        ("(" * 200 + "1" + ")" * 200, "nested deeper"),
        (",".join(["1"] * 1000), "at most 400 values"),
        ("< 9223372036854775808", "too large"),
        ("-9223372036854775809", "too large"),
        ("9" * 400, "too large"),
    ],
)
def test_a_cell_the_engine_could_not_bear_is_refused_before_it_gets_there(
    cell: str, reason: str
) -> None:
    with pytest.raises(CellError, match=reason):
        check_condition(cell, "level", INPUTS)
    with pytest.raises(CellError, match=reason):
        constant(cell.removeprefix("< "))


@pytest.mark.parametrize(
    "default", ["[", "[" * 5000, "*nobody", "{[1]: 2}", "!!python/name:os.system"]
)
def test_a_default_that_is_no_value_is_a_flaw_of_its_input(default: str) -> None:
    text = GOOD.replace(
        "inputs: {category: text, level: int = 4}",
        f"inputs: {{category: text, level: 'int = {default}'}}",
    )
    assert "input level" in flaws_of(text)
