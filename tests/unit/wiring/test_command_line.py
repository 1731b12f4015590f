"""The command line: data on standard output, people's text on standard error, exit codes that mean something."""

import json
from importlib.resources import files

import pytest
from typer.testing import CliRunner

from commhub import __version__
from commhub.cli import app

RULES = files("rules") / "sets" / "street-dispatch.yaml"


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments, stdin=None):
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return call


def test_the_version_is_data(run):
    assert run("--version").stdout.strip() == __version__


def test_a_wrong_setting_is_one_line_and_exit_code_two(run, monkeypatch):
    monkeypatch.setenv("COMMHUB_HTTP__PORT", "many")
    told = run("doctor")
    assert told.exit_code == 2
    assert told.stdout == ""
    assert told.stderr.count("\n") == 1
    assert "http.port" in told.stderr


def test_the_doctor_speaks_json_and_names_a_hint_for_what_failed(run, monkeypatch):
    monkeypatch.setenv("COMMHUB_DATABASE_URL", "postgresql+asyncpg://nobody@127.0.0.1:1/none")
    told = run("doctor", "--json")
    findings = {finding["check"]: finding for finding in json.loads(told.stdout)}
    assert told.exit_code == 1
    assert findings["database"]["verdict"] == "failed"
    assert findings["database"]["hint"]
    assert findings["python"]["verdict"] == "ok"


def test_a_hub_that_does_not_run_has_no_status(run, monkeypatch):
    monkeypatch.setenv("COMMHUB_HTTP__PORT", "1")
    told = run("status")
    assert told.exit_code == 1
    assert "is `commhub up` running?" in told.stderr


def test_a_person_is_added_with_a_password_from_standard_input(run):
    arguments = ("user", "add", "li", "--role", "dispatcher", "--password-stdin")
    assert run(*arguments, stdin="a long enough secret\n").exit_code == 0
    again = run(*arguments, stdin="a long enough secret\n")
    assert again.exit_code == 1
    assert "there already" in again.stderr


@pytest.mark.parametrize(
    ("role", "password", "reason"),
    [("king", "a long enough secret", "no such role: king"), ("dispatcher", "short", "10")],
)
def test_a_wrong_person_is_refused_with_the_reason(run, role, password, reason):
    told = run("user", "add", "li", "--role", role, "--password-stdin", stdin=f"{password}\n")
    assert told.exit_code == 1
    assert reason in told.stderr


def test_the_shipped_rules_pass_and_decide_on_an_event(run, tmp_path):
    told = run("rules", "test", str(RULES))
    assert told.exit_code == 0, told.stderr
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"category": "sos", "source": "device", "level": 1}))
    decided = json.loads(run("rules", "test", str(RULES), "--event", str(event)).stdout)
    assert (decided["team"], decided["level"]) == ("patrol", 1)
    assert decided["trace"]


def test_a_broken_rule_file_says_where(run, tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text(RULES.read_text().replace('"sos"', ">= >= 3", 1))
    told = run("rules", "test", str(broken))
    assert told.exit_code == 1
    assert "row 1" in told.stderr
