"""SQL run by psql: the measuring tools need no driver of their own, and psql speaks to the peer's database too."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from panofed.cluster import Cluster

SQL = Path(__file__).parent / "sql"


class StatementError(Exception):
    """A statement failed; the message is the server's."""


def run_sql(cluster: Cluster, database: str, script: str, names: Mapping[str, str] | None = None) -> str:
    """Run a script as superuser, outside a transaction; returns what it printed: columns by |, no header."""
    variables = [part for name, value in (names or {}).items() for part in ("-v", f"{name}={value}")]
    command = [*cluster.psql_command(database), "-XAtq", "-v", "ON_ERROR_STOP=1", *variables]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StatementError(f"{database}: {done.stderr.strip()}")
    return done.stdout


def run_file(cluster: Cluster, database: str, name: str, names: Mapping[str, str] | None = None) -> list[list[str]]:
    """Run bench/sql/<name>.sql; returns its rows as text."""
    output = run_sql(cluster, database, (SQL / f"{name}.sql").read_text(), names)
    return [line.split("|") for line in output.splitlines()]
