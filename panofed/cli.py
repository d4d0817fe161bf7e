"""The command line: `panofed --help` says what there is. A command's module is imported when it is called."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

#: By name, in the order of the help: the module, and what in it is the command or the group of commands.
COMMANDS = {
    "run": ("panofed.run_cli", "run"),
    "serve": ("panofed.run_cli", "serve"),
    "harvest": ("panofed.harvest_cli", "harvest"),
    "worker": ("panofed.worker_cli", "worker"),
    "runs": ("panofed.runs_cli", "runs"),
    "demo": ("panofed.run_cli", "demo"),
    "doctor": ("panofed.run_cli", "doctor"),
    "instances": ("panofed.instances_group", "instances_app"),
    "takedowns": ("panofed.takedowns_cli", "takedowns_app"),
    "registrations": ("panofed.registrations_cli", "registrations_app"),
    "admin": ("panofed.admin_cli", "admin_app"),
    "export": ("panofed.export_cli", "export_app"),
    "db": ("panofed.db_cli", "db_app"),
}


def _panofed() -> None:
    """Federation harvester and meta-catalog for Panoramax: every registered instance in one STAC API."""


class Commands(TyperGroup):
    """All of them, none imported before its turn: a server that starts needs no tables, a table no server."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; where there is none, the error names those that are like it."""
        if cmd_name not in COMMANDS:
            like = " or ".join(map(repr, get_close_matches(cmd_name, COMMANDS)))
            ctx.fail(f"No such command {cmd_name!r}." + (f" Did you mean {like}?" if like else ""))
        module, name = COMMANDS[cmd_name]
        made, holder = getattr(import_module(module), name), typer.Typer(add_completion=False)
        holder.callback()(_panofed)
        if isinstance(made, typer.Typer):
            holder.add_typer(made, name=cmd_name)
        else:
            holder.command(cmd_name)(made)
        return get_group(holder).commands[cmd_name]


app = typer.Typer(
    name="panofed",
    cls=Commands,
    help="Federation harvester and meta-catalog for Panoramax: every registered instance in one STAC API.",
    no_args_is_help=True,
    add_completion=False,
)


app.callback()(_panofed)


def main() -> None:
    """Entry point of the `panofed` program."""
    app()
