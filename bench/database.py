"""The SQL of the measuring tools: files run by psql, which speaks to the peer's database too, and named statements."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from federation.queries import parse_queries
from panofed.cluster import Cluster

SQL = Path(__file__).parent / "sql"


class StatementError(Exception):
    """A statement failed; the message is the server's."""


@cache
def _statements() -> dict[str, str]:
    return {name: text for path in SQL.glob("*.sql") for name, text in parse_queries(path.read_text())}


def statement(name: str, /, **names: str) -> str:
    """A named statement of bench/sql with the names of its tables put in; KeyError when there is none."""
    text = _statements()[name]
    return text.format(**names) if names else text


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
