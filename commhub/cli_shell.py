"""What all commands share: where words for people go, and how a command that cannot go on ends.

An error that was foreseen is one line on standard error and an exit code, never a traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer
from rich.console import Console

from commhub.settings import Settings, SettingsError, load_settings

SAY: Final = Console(stderr=True, highlight=False)
REFUSED: Final = 1
"""Exit code of a command whose wish the hub refused."""
WRONG_USE: Final = 2
"""Exit code of wrong settings or arguments."""


def complain(what: object) -> None:
    """Say in one line what went wrong."""
    SAY.print(f"[red]commhub:[/] {what}", soft_wrap=True)


@contextmanager
def ending_on(foreseen: type[Exception], code: int) -> Iterator[None]:
    """Complain of a foreseen error and end the command with `code`."""
    try:
        yield
    except foreseen as error:
        complain(error)
        raise typer.Exit(code) from error


def read_settings() -> Settings:
    """Read the settings; a wrong one ends the command with WRONG_USE."""
    with ending_on(SettingsError, WRONG_USE):
        return load_settings()
