"""PostgreSQL's client programs against any database, ours or somebody else's: psql, pg_dump, pg_restore."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from federation.errors import BinariesMissing, ClusterError
from panofed.cluster.binaries import install_advice, installed_folders
from panofed.cluster.command import ServerUser, clean_environment, run

SQL = Path(__file__).parent / "sql"
SCRIPT_TIMEOUT_S = 600.0
POLL_S = 0.2

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Programs, and the database they work on. The password travels in the environment: `ps` shows command lines."""

    url: str
    bindir: Path
    env: Mapping[str, str] = field(default_factory=dict)
    user: ServerUser | None = None

    @property
    def database(self) -> str:
        """The name of the database."""
        return unquote(urlsplit(self.url).path.lstrip("/"))

    def on(self, database: str) -> Client:
        """The same server, another database."""
        return Client(url=with_database(self.url, database), bindir=self.bindir, env=self.env, user=self.user)

    def command(self, program: str, *options: str) -> list[str]:
        """The command line of `program` on this database, without the password."""
        return [str(self.bindir / program), *options, "-d", split_password(self.url)[0]]

    def environment(self) -> dict[str, str]:
        """What the programs need beside their command line."""
        password = split_password(self.url)[1]
        return {**self.env, "PGCONNECT_TIMEOUT": "10", **({"PGPASSWORD": password} if password else {})}

    def script(self, name: str, /, **variables: str) -> str:
        """Run one of this package's scripts (sql/NAME.sql); returns what it printed."""
        return self.text((SQL / f"{name}.sql").read_text(encoding="utf-8"), **variables)

    def text(self, script: str, /, **variables: str) -> str:
        """Run a psql script with `variables`; raises ClusterError with psql's words."""
        names = [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
        command = self.command("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *names)
        outcome = run(command, user=self.user, env=self.environment(), stdin=script, timeout_s=SCRIPT_TIMEOUT_S)
        if outcome.code:
            raise ClusterError(f"Database {self.database}: {outcome.err}")
        return outcome.out

    def long_command(self, command: Sequence[str], tick: Tick) -> None:
        """Run a dump or restore to its end, calling `tick` five times a second; raises ClusterError with its words."""
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                command, env=clean_environment(self.environment()), stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
            try:
                while _is_running(process):
                    tick()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            if process.returncode:
                said.seek(0)
                lines = said.read().strip().splitlines()
                raise ClusterError(f"{Path(command[0]).name} failed: {' / '.join(lines[-3:])}")


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(POLL_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def client_of(url: str, bindir: str = "") -> Client:
    """A client for a database that is not ours, with whatever client programs this machine has."""
    if bindir:
        return Client(url=url, bindir=Path(bindir))
    # newest first: pg_dump refuses servers newer than itself; Debian's wrappers in /usr/bin come last
    for folder in installed_folders():
        if (folder / "pg_dump").is_file():
            return Client(url=url, bindir=folder)
    program = shutil.which("pg_dump")
    if program is None:
        raise BinariesMissing(f"PostgreSQL's client programs (psql, pg_dump) are not here. {install_advice()}")
    return Client(url=url, bindir=Path(program).parent)


def with_database(url: str, database: str) -> str:
    """The URL of another database on the same server.

    >>> with_database("postgresql://me:pw@db.example.org/one?sslmode=require", "two")
    'postgresql://me:pw@db.example.org/two?sslmode=require'
    >>> with_database("postgresql://postgres@/one?host=/srv/pg/sock&port=5432", "two")
    'postgresql://postgres@/two?host=/srv/pg/sock&port=5432'
    """
    parts = urlsplit(url)
    tail = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{quote(database, safe='')}{tail}"


def split_password(url: str) -> tuple[str, str]:
    """The URL without its password, and the password ("" without one).

    >>> split_password("postgresql://me:p%40w@db.example.org:5433/one")
    ('postgresql://me@db.example.org:5433/one', 'p@w')
    >>> split_password("postgresql://db.example.org/one?password=x&sslmode=require")
    ('postgresql://db.example.org/one?sslmode=require', 'x')
    """
    parts = urlsplit(url)
    login, at, server = parts.netloc.rpartition("@")
    name, _, password = login.partition(":")
    query = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, value) for key, value in query if key != "password"]
    password = unquote(password) or dict(query).get("password", "")
    tail = f"?{urlencode(kept, safe='/', quote_via=quote)}" if kept else ""
    return f"{parts.scheme}://{name}{at}{server}{parts.path}{tail}", password


def full_environment(client: Client) -> dict[str, str]:
    """The environment of an interactive psql: everything the user has, and what the client adds."""
    return {**os.environ, **client.environment()}
