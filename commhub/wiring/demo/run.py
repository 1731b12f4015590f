"""The two ways to see the demo: keep it running for a person, or play the script and stop."""

import signal
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from commhub.wiring.demo.cast import StoryError
from commhub.wiring.demo.stage import NOTE, Note, Stage, cast_of, introduction
from commhub.wiring.demo.story import tell
from commhub.wiring.demo.story_above import tell_above
from commhub.wiring.hub_process import HubError
from devices.errors import BrokerError


def run_demo(folder: Path, port: int, console: Console) -> int:
    """Run until Ctrl+C or SIGTERM; returns the exit code."""
    told_to_stop = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: told_to_stop.set())
    try:
        with (
            console.status("starting") as status,
            Stage(folder, port, lambda text: console.print(f"  · {text}")) as note,
        ):
            status.stop()
            _introduce(console, note)
            told_to_stop.wait()
            console.print("stopping …")
    except (HubError, BrokerError) as error:
        console.print(f"[red]commhub:[/] {error}", soft_wrap=True, markup=True)
        return 1
    return 0


def _introduce(console: Console, note: Note) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for label, value in introduction(note):
        table.add_row(f"[bold]{label}[/]", value)
    console.print("\n[bold green]commhub is running[/]\n")
    console.print(table)
    console.print(
        "\nPress SOS at the body camera's page and watch the desk. Ctrl+C stops everything."
    )
    console.print("The story by itself: commhub demo --script --url " + note.url)


def play_script(url: str | None, folder: Path, console: Console) -> int:
    """Play the story on a demo of our own, or on the running one at `url` that keeps its data in `folder`;
    returns the exit code."""
    began = time.monotonic()
    try:
        if url is not None:
            _play(Note.read(folder / NOTE, url.rstrip("/")), console)
        else:
            with (
                tempfile.TemporaryDirectory(prefix="commhub-demo-") as own,
                Stage(Path(own) / "demo", 0, lambda text: console.print(f"  · {text}")) as note,
            ):
                console.print(f"  [dim]{time.monotonic() - began:5.1f} s  the demo is up[/]")
                _play(note, console)
    except (StoryError, HubError, BrokerError) as error:
        console.print(f"[red]✗[/] {error}", soft_wrap=True, markup=False)
        return 1
    console.print(f"[green]✓[/] the whole story, {time.monotonic() - began:.1f} s")
    return 0


def _tell_step(console: Console, title: str, took: float) -> None:
    console.print(f"[green]✓[/] {took:5.1f} s  {title}", soft_wrap=True)


def _play(note: Note, console: Console) -> None:
    cast = cast_of(note, lambda title, took: _tell_step(console, title, took))
    with ExitStack() as stack:
        for desk in cast.desks:
            stack.enter_context(desk)
        tell(cast)
        if cast.above is not None:
            tell_above(cast, cast.above)
        else:
            console.print("  - a street alone: what is between tiers is not part of this story")
