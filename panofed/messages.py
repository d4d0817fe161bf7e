"""What several commands say alike: errors in one line and without a traceback, and what to do with nothing enabled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from federation.errors import PanofedError
from federation.settings import Settings

errors = Console(stderr=True)

#: of a visit
OUTCOME_COLOURS = {"done": "green", "partial": "yellow", "failed": "red"}


@contextmanager
def told() -> Iterator[None]:
    """Show an error of ours and end with exit code 1."""
    try:
        yield
    except PanofedError as error:
        errors.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from error


def nothing_enabled(settings: Settings) -> str:
    """What to do when no instance is enabled."""
    return (
        f"No instance is enabled in {settings.instances_file}, so nothing is contacted.\n"
        "  see them:    panofed instances list\n"
        "  enable one:  panofed instances enable NAME"
    )
