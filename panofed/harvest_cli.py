"""`panofed harvest`: visits instances, once with a progress bar or as a service."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from federation.settings import load_settings
from panofed.messages import told
from panofed.parent import end_with_parent
from panofed.ready import ready_database

console = Console(highlight=False)

Once = Annotated[bool, typer.Option("--once", help="Visit every enabled instance once, then end.")]
Only = Annotated[str, typer.Option("--instance", "-i", help="Only this one, with --once or --reconcile.")]
Reconcile = Annotated[bool, typer.Option("--reconcile", help="Once, and read every sequence again, changed or not.")]
#: for the parts of `panofed run`, which must not outlive it
WithParent = Annotated[bool, typer.Option("--with-parent", hidden=True)]


def harvest(
    once: Once = False, reconcile: Reconcile = False, instance: Only = "", with_parent: WithParent = False
) -> None:
    """Visit the enabled instances and bring the index up to date; without --once, for ever."""
    # these take a third of a second to import, which no other command should wait for
    import uvloop

    from panofed.harvesting import harvest_once, serve_harvests
    from panofed.logs import configure_logs

    once = once or reconcile
    if instance and not once:
        raise typer.BadParameter("goes with --once or --reconcile", param_hint="--instance")
    with told():
        if with_parent:
            end_with_parent()
        settings = load_settings()
        dsn = ready_database(settings, report=console.print)
        configure_logs(settings, quiet=once)
        if once:
            work = harvest_once(dsn, settings, instance, thorough=reconcile)
        else:
            work = serve_harvests(dsn, settings, alone=not with_parent)
        try:
            failed = uvloop.run(work)
        except KeyboardInterrupt:
            console.print("stopped; the next harvest goes on from here")
            raise typer.Exit(130) from None
    if failed:
        raise typer.Exit(1)
