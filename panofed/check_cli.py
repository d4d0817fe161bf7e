"""`panofed instances check`: whether an instance can be harvested, asked from here, step by step."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from federation.check_words import check_words
from federation.checks import State, Step, outcome_of
from federation.database import Pool, Role, check_schema, open_pool
from federation.errors import ConfigurationError, DatabaseError
from federation.instances_fields import clean_url
from federation.settings import Settings, load_settings
from panofed.cluster import Cluster, cluster_config
from panofed.messages import told
from panofed.ready import working_url

console = Console(highlight=False, soft_wrap=True)

_MARKS = {
    State.OK: "[green]ok[/]     ",
    State.WARNING: "[yellow]warning[/]",
    State.FAILED: "[red]failed[/] ",
    State.SKIPPED: "[dim]skipped[/]",
}
_OUTCOMES = {
    "passed": "[green]It can be harvested.[/]",
    "warned": "[yellow]It can be harvested; what is amiss stands above.[/]",
    "failed": "[red]It cannot be harvested like this.[/]",
}

Address = Annotated[str, typer.Argument(help="The landing page of its API, for example https://panoramax.example/api")]
Full = Annotated[bool, typer.Option("--full", help="Also read a thousand pictures, and look at files and map tiles.")]


def check(url: Address, full: Full = False) -> None:
    """Check whether an instance can be harvested: about a dozen small requests, each step told as it ends."""
    with told():
        settings = load_settings()
        try:
            address = clean_url(url)
        except ValueError as error:
            raise ConfigurationError(f"{url!r} {error}") from error
        outcome = asyncio.run(_check(address, settings, full))
        console.print(_OUTCOMES[outcome])
    if outcome == "failed":
        raise typer.Exit(1)


async def _check(url: str, settings: Settings, full: bool) -> str:
    # a third of a second to import: only this command waits for it
    from harvester.checking import KnownInstances
    from harvester.probe.run import run_check

    if not settings.database_url and Cluster(cluster_config(settings)).status().state != "running":
        return outcome_of((await run_check(url, settings, _tell, full=full)).steps)
    try:
        async with open_pool(working_url(settings), Role.READER, settings, size=1) as pool:
            await _check_database(pool)
            result = await run_check(url, settings, _tell, full=full, known=KnownInstances(pool))
    except DatabaseError as error:
        console.print(f"[dim]Not compared with known instances: {escape(str(error))}[/]")
        result = await run_check(url, settings, _tell, full=full)
    return outcome_of(result.steps)


async def _check_database(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await check_schema(connection)


async def _tell(step: Step) -> None:
    if step.state is State.RUNNING:
        return
    words = check_words("en")
    seen = " ".join(words.seen(finding) for finding in step.findings)
    console.print(f"{_MARKS[step.state]} {words.title(step.name)}. {escape(seen)}")
    for finding in step.findings:
        if advice := words.advice(finding):
            console.print(f"        [dim]->[/] {escape(advice)}")
