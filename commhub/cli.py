"""The command line. Text for people goes to standard error, data to standard output.

A wrong setting is one line and exit code 2. What a command needs is imported when it runs, so that `--help` and
small commands answer at once.
"""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from commhub import __version__, cli_tiers
from commhub.cli_shell import REFUSED, SAY, WRONG_USE, complain, ending_on, read_settings
from commhub.kit.loops import LoopFactory, fast_loop
from commhub.settings import Settings, SettingsError

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")
user_app = typer.Typer(no_args_is_help=True, help="People who sign in.")
rules_app = typer.Typer(no_args_is_help=True, help="Rule sets.")
app.add_typer(user_app, name="user")
app.add_typer(rules_app, name="rules")
app.add_typer(cli_tiers.app, name="tier")


def _run(
    work: Coroutine[Any, Any, Any],
    *,
    process: str,
    settings: Settings,
    loop: LoopFactory = asyncio.new_event_loop,
) -> Any:
    from commhub.wiring.logs import configure_logs

    configure_logs(settings.log_format, process=process)
    with ending_on(SettingsError, WRONG_USE), asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """commhub: the communication and dispatch hub of a command centre."""


@app.command()
def up() -> None:
    """Run the hub: broker, media workers and control, each restarted when it dies."""
    from commhub.wiring.up import run_up

    settings = read_settings()
    _run(run_up(settings), process="up", settings=settings)


@app.command(hidden=True)
def control() -> None:
    """Run the control process alone: API, signalling, rules, device control."""
    from commhub.wiring.hub import run_control

    settings = read_settings()
    _run(run_control(settings), process="control", settings=settings, loop=fast_loop())


@app.command()
def worker(
    name: Annotated[
        str, typer.Argument(help="Names its socket and journal; w0 has the radios.")
    ] = "w0",
) -> None:
    """Run one media worker: the audio engine (w0, with the voice connection, w1 …), or the picture engine (v0)."""
    from commhub.wiring.worker import run_worker_process

    settings = read_settings()
    _run(run_worker_process(settings, name), process=f"worker-{name}", settings=settings)


@app.command()
def demo(
    script: Annotated[
        bool,
        typer.Option("--script", help="Play the story of an incident, print each step, and stop."),
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="With --script: use the running demo at this address.")
    ] = None,
    port: Annotated[int, typer.Option(help="The console's port; 0 takes a free one.")] = 8000,
    data: Annotated[
        Path, typer.Option(help="Where the demo keeps its data; emptied at every start.")
    ] = Path(".demo"),
) -> None:
    """Start a hub with simulated phones, radios, cameras and WeChat Work."""
    from commhub.wiring.demo import play_script, run_demo

    if script:
        raise typer.Exit(play_script(url, data, SAY))
    raise typer.Exit(run_demo(data, port, SAY))


@app.command()
def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Findings as JSON on standard output.")
    ] = False,
) -> None:
    """Look for what this machine and these settings lack, and say what to do about it."""
    from commhub.wiring.doctor import examine
    from commhub.wiring.findings import Verdict

    findings = asyncio.run(examine(read_settings()))
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {"check": f.check, "verdict": f.verdict, "found": f.found, "hint": f.hint}
                    for f in findings
                ],
                ensure_ascii=False,
                indent=2,
            )
        )
    else:
        marks = {
            Verdict.OK: "[green]✓[/]",
            Verdict.WARNING: "[yellow]![/]",
            Verdict.FAILED: "[red]✗[/]",
        }
        table = Table(box=None, show_header=False)
        for finding in findings:
            hint = f"\n[dim]→ {finding.hint}[/]" if finding.hint else ""
            table.add_row(marks[finding.verdict], finding.check, finding.found + hint)
        SAY.print(table)
    raise typer.Exit(any(finding.verdict is Verdict.FAILED for finding in findings))


@app.command()
def status(
    url: Annotated[
        str | None, typer.Option(help="The hub's address; default: from the settings.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Ask a running hub how its parts are."""
    import httpx

    settings = read_settings()
    base = (url or f"http://{settings.http.host}:{settings.http.port}").rstrip("/")
    try:
        answer = httpx.get(f"{base}/readyz", timeout=5)
        parts = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        complain(f"no hub answers at {base}; is `commhub up` running?")
        raise typer.Exit(REFUSED) from error
    if as_json:
        typer.echo(json.dumps(parts, ensure_ascii=False, indent=2))
    else:
        SAY.print_json(data=parts)
    raise typer.Exit(0 if answer.status_code == httpx.codes.OK else 1)


@user_app.command("add")
def add_user(
    name: str,
    role: Annotated[list[str], typer.Option(help="May be given several times.")],
    display_name: Annotated[str, typer.Option(help="As others see it.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Add a person. The password is asked for, or read from standard input; it is never an argument."""
    from commhub.domain.errors import DomainError
    from commhub.wiring.people import add_person

    settings = read_settings()
    password = (
        sys.stdin.readline().rstrip("\n")
        if password_stdin
        else typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    )
    with ending_on(DomainError, REFUSED):
        asyncio.run(add_person(settings, name, password, role, display_name))
    SAY.print(f"[green]✓[/] {name} may sign in")


@rules_app.command("test")
def check_rules(
    file: Annotated[Path, typer.Argument(help="The rule set, YAML.")],
    event: Annotated[
        Path | None,
        typer.Option(help="A report as JSON; without it, only the file and its own cases."),
    ] = None,
) -> None:
    """Compile a rule file and run its test cases; with --event, show what it would decide."""
    from commhub.wiring.rules_trial import decide_on_file

    ok, shown = decide_on_file(file, event)
    (typer.echo if ok else complain)(shown)
    raise typer.Exit(0 if ok else 1)


def main() -> None:
    """Console script entry."""
    app()
