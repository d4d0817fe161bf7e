"""`panofed instances`, put together of its parts."""

from __future__ import annotations

from panofed.check_cli import check
from panofed.hosts_cli import hosts_command
from panofed.instances_cli import instances_app
from panofed.leaving_cli import leave_command
from panofed.moving_cli import move_command
from panofed.tokens_cli import tokens_app

instances_app.command("check")(check)
instances_app.command("hosts")(hosts_command)
instances_app.command("leave")(leave_command)
instances_app.command("move")(move_command)
instances_app.add_typer(tokens_app, name="token")
