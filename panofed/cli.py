"""The command line: `panofed --help` says what there is."""

from __future__ import annotations

import typer

from panofed.admin_cli import admin_app
from panofed.check_cli import check
from panofed.db_cli import db_app
from panofed.export_cli import export_app
from panofed.harvest_cli import harvest
from panofed.instances_cli import instances_app
from panofed.leaving_cli import leave_command
from panofed.moving_cli import move_command
from panofed.registrations_cli import registrations_app
from panofed.run_cli import demo, doctor, run, serve
from panofed.runs_cli import runs
from panofed.takedowns_cli import takedowns_app
from panofed.tokens_cli import tokens_app
from panofed.worker_cli import worker

app = typer.Typer(
    name="panofed",
    help="Federation harvester and meta-catalog for Panoramax: every registered instance in one STAC API.",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(run)
app.command()(serve)
app.command()(harvest)
app.command()(worker)
app.command()(runs)
app.command()(demo)
app.command()(doctor)
instances_app.command("check")(check)
instances_app.command("leave")(leave_command)
instances_app.command("move")(move_command)
instances_app.add_typer(tokens_app, name="token")
app.add_typer(instances_app, name="instances")
app.add_typer(takedowns_app, name="takedowns")
app.add_typer(registrations_app, name="registrations")
app.add_typer(admin_app, name="admin")
app.add_typer(export_app, name="export")
app.add_typer(db_app, name="db")


def main() -> None:
    """Entry point of the `panofed` program."""
    app()
