"""How the command line tells of errors: what we can explain, in one line and without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from federation.errors import PanofedError

errors = Console(stderr=True)


@contextmanager
def told() -> Iterator[None]:
    """Show an error of ours and end with exit code 1."""
    try:
        yield
    except PanofedError as error:
        errors.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from error
