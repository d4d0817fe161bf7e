"""`panofed worker`: takes harvest jobs from the database, on this machine or any other."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from federation.settings import load_settings
from panofed.messages import told
from panofed.ready import working_url

console = Console(highlight=False)

Concurrency = Annotated[
    int,
    typer.Option("--concurrency", "-c", min=2, max=100, help="Jobs at once; without it PANOFED_WORKER_JOBS."),
]


def worker(concurrency: Concurrency = None) -> None:  # type: ignore[assignment]  # typer shows no default for None
    """Take harvest jobs until Ctrl-C: PANOFED_DATABASE_URL says from which database.

    Any number of workers share the work, whichever of them is killed. Somebody has to run `panofed run` or
    `panofed harvest`, which also reads instances.yaml.
    """
    # these take a third of a second to import, which no other command should wait for
    import uvloop

    from panofed.harvesting import serve_jobs
    from panofed.logs import configure_logs

    with told():
        settings = load_settings(**({} if concurrency is None else {"worker_jobs": concurrency}))
        configure_logs(settings)
        try:
            uvloop.run(serve_jobs(working_url(settings), settings))
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
