"""`commhub tier`: which hubs are neighbours. Part of `commhub/cli.py`."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from commhub.cli_shell import REFUSED, SAY, ending_on, read_settings

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Neighbouring hubs: pair, list, revoke, renew keys.")


def _run(work: Coroutine[Any, Any, T]) -> T:
    from commhub.domain.errors import DomainError

    with ending_on(DomainError, REFUSED):
        return asyncio.run(work)


@app.command()
def invite(
    peer: Annotated[str, typer.Argument(help="The lower hub's name, as its settings have it.")],
    hours: Annotated[float, typer.Option(help="How long the ticket is good for.")] = 24.0,
) -> None:
    """Make a ticket, at the upper hub. Hand it to whoever runs the lower one; it is good once."""
    from commhub.wiring import neighbours

    typer.echo(_run(neighbours.invite(read_settings(), peer, hours)))


@app.command()
def pair(
    ticket: Annotated[str, typer.Argument(help="From `commhub tier invite` at the upper hub.")],
) -> None:
    """Show a ticket to the upper hub, at the lower one. They exchange keys, once."""
    from commhub.wiring import neighbours

    who = _run(neighbours.pair(read_settings(), ticket))
    SAY.print(f"[green]✓[/] paired with {who}; a running hub connects within seconds")


@app.command("list")
def list_peers(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Show all neighbours, revoked ones too."""
    from commhub.wiring import neighbours

    rows = _run(neighbours.neighbours(read_settings()))
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    if not rows:
        SAY.print("no neighbours; begin with `commhub tier invite NAME` at the upper hub")
        return
    table = Table(box=None)
    for name in rows[0]:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(*row.values())
    SAY.print(table)


@app.command()
def revoke(peer: Annotated[str, typer.Argument(help="The neighbour's name.")]) -> None:
    """Know a neighbour no more: its link ends within seconds, and what it says is refused."""
    from commhub.wiring import neighbours

    _run(neighbours.revoke(read_settings(), peer))
    SAY.print(f"[green]✓[/] {peer} is revoked; whoever is to come back is paired anew")


@app.command()
def rotate() -> None:
    """Begin to use a new key. The old one is forgotten once every neighbour has heard of the new one."""
    from commhub.wiring import neighbours

    key = _run(neighbours.renew_keys(read_settings()))
    SAY.print(f"[green]✓[/] the new key is {key}; neighbours learn it as they connect")
