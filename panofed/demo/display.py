"""What the demonstration shows: progress while it starts, then where everything is and what to try."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from panofed.demo.geovisio import Instance


class StartDisplay:
    """One line an instance while they start; plain lines where there is no terminal. May be called from any thread."""

    def __init__(self, console: Console) -> None:
        self._console, self._lock = console, threading.Lock()
        self._said: dict[str, str] = {}
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.fields[whose]:15}"), TextColumn("{task.description}"), BarColumn(24),
            TextColumn("{task.fields[count]}"), TimeElapsedColumn(), console=console, transient=True,
            disable=not console.is_terminal,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, whose: str, text: str, done: int, total: int) -> None:
        """Show a step of `whose`; `total` 0 = unknown."""
        with self._lock:
            if not self._console.is_terminal:
                self._say_once(whose, text)
                return
            if whose not in self._tasks:
                self._tasks[whose] = self._progress.add_task(text, total=None, whose=whose, count="")
            count = f"{done}/{total}" if total > 1 else ""
            self._progress.update(
                self._tasks[whose], description=escape(text), completed=done, total=total or None, count=count
            )

    def _say_once(self, whose: str, text: str) -> None:
        if self._said.get(whose) != text:
            self._said[whose] = text
            self._console.print(f"{whose}: {text}", markup=False, highlight=False)


def show_ready(console: Console, catalog: str, link: str, instances: Sequence[Instance], seconds: float) -> None:
    """Say where everything is and what to try.

    `catalog` is the address of its landing page, `link` lets an administrator in.
    """
    where = Table.grid(padding=(0, 2))
    where.add_row("catalog", f"[bold]{catalog}[/]")
    for instance in instances:
        where.add_row(instance.config.name, f"{instance.url}  [dim]{escape(instance.config.title)}[/]")
    title = f"Two real Panoramax servers, one catalog [dim]({seconds:.0f} s)[/]"
    console.print(Panel(where, title=title, subtitle="Ctrl-C stops everything", expand=False))
    console.print(things_to_try(catalog, link, instances[0]), markup=False, highlight=False, soft_wrap=True)


def things_to_try(catalog: str, link: str, instance: Instance) -> str:
    """Addresses to open and commands to copy: search, use a STAC client, change something and see it followed."""
    token, site = instance.state.tokens["alice"], catalog.removesuffix("/api")
    return f"""
In a browser:
  {site}/  the map; {site}/instances  how the federation is doing; {site}/register  how to join
  {link}
    lets you in as its administrator, once

Or by hand:
  curl -s {catalog}
  curl -s {catalog}/collections

Pictures of both servers in one street of Paris:
  curl -s '{catalog}/search?bbox=2.340,48.857,2.348,48.861&limit=5'

With any STAC client (pip install pystac-client):
  python -c "from pystac_client import Client; [print(i.id, i.datetime, i.geometry['coordinates']) for i in \\
    Client.open('{catalog}').search(bbox=[2.340, 48.857, 2.348, 48.861], max_items=5).items()]"

Change something on {instance.config.name} and see the catalog follow within seconds:
  TOKEN={token}
  SEQUENCE=$(curl -s '{catalog}/search?bbox=2.343,48.851,2.345,48.854&limit=1' | python3 -c \\
    "import json, sys; print(json.load(sys.stdin)['features'][0]['collection'])")
  curl -s -X PATCH -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
    -d '{{"title": "Renamed by hand"}}' {instance.url}/collections/$SEQUENCE -o /dev/null
  sleep 5; curl -s {catalog}/collections/$SEQUENCE | python3 -c "import json, sys; print(json.load(sys.stdin)['title'])"
"""
