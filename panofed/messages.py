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


def read_again(accounts_renamed: int, terms_changed: int) -> str:
    """What moved no date at the instance and stands in its records all the same.

    >>> read_again(1, 0), read_again(0, 0)
    ('1 account has another name: its sequences are read again', '')
    >>> read_again(2, 1).split("; ")[1]
    '2 accounts have another name: their sequences are read again'
    """
    said = []
    if terms_changed:
        said.append("another licence or name of the instance: everything is read again")
    if accounts_renamed:
        whose = "account has another name: its" if accounts_renamed == 1 else "accounts have another name: their"
        said.append(f"{accounts_renamed:,} {whose} sequences are read again")
    return "; ".join(said)


def with_address(error: str, url: str) -> str:
    """An error and where it was met; most name their address themselves.

    >>> with_address("status 503", "https://a.example/api"), with_address("no answer from a.example", "a.example")
    ('status 503 (https://a.example/api)', 'no answer from a.example')
    """
    return f"{error} ({url})" if url and url not in error else error


def nothing_enabled(settings: Settings) -> str:
    """What to do when no instance is enabled."""
    return (
        f"No instance is enabled in {settings.instances_file}, so nothing is contacted.\n"
        "  see them:    panofed instances list\n"
        "  enable one:  panofed instances enable NAME"
    )
