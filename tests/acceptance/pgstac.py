"""A real stac-fastapi-pgstac: an environment kept in the tests' cache, a database of its own, changed over its API."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from panofed.cluster import Cluster
from panofed.demo.server import free_port

PACKAGES = ("pypgstac[psycopg]==0.10.0", "stac-fastapi-pgstac==7.2.0", "uvicorn==0.54.0")
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class StacServer:
    """A server at `url` that takes changes as well (its transaction extension)."""

    url: str

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request; the JSON it answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def stac_server(cluster: Cluster, cache: Path, directory: Path) -> Iterator[StacServer]:
    """It runs while the context lasts, with an empty database in this cluster."""
    environment = _installed(cache)
    database = f"pgstac_{secrets.token_hex(6)}"
    cluster.ensure_database(database)
    variables = _variables(cluster, database)
    try:
        _run([environment / "bin/pypgstac", "migrate"], variables)
        yield from _served(environment, variables, directory)
    finally:
        _psql(cluster, f"DROP DATABASE {database} WITH (FORCE)")


def _served(environment: Path, variables: Mapping[str, str], directory: Path) -> Iterator[StacServer]:
    port = free_port()
    command = [str(environment / "bin/uvicorn"), "stac_fastapi.pgstac.app:create_app", "--factory", f"--port={port}"]
    with (directory / "stac.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=_escaped(variables), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait(f"http://127.0.0.1:{port}/", server, directory / "stac.log")
        yield StacServer(f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(20)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"stac-fastapi-pgstac did not start: {log.read_text()[-2_000:]}") from None
            time.sleep(0.1)


def _installed(cache: Path) -> Path:
    """Made once: half a minute."""
    digest = hashlib.sha256(f"{PACKAGES} {sys.version_info[:2]}".encode()).hexdigest()[:12]
    directory, mark = cache / f"pgstac-{digest}", cache / f"pgstac-{digest}" / "installed"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"pgstac-{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists():
            shutil.rmtree(directory, ignore_errors=True)
            venv.create(directory, with_pip=True)
            _run([directory / "bin/pip", "install", "--quiet", *PACKAGES], os.environ)
            mark.touch()
    return directory


def _run(command: list[Any], variables: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=variables, capture_output=True, check=False, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-2_000:]}")
    return done.stdout


def _variables(cluster: Cluster, database: str) -> dict[str, str]:
    status = cluster.status()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PANOFED_", "PG"))}
    return kept | {
        "PGHOST": str(status.socket_dir), "PGPORT": str(status.port), "PGUSER": "postgres", "PGPASSWORD": "x",
        "PGDATABASE": database, "ENABLE_TRANSACTIONS_EXTENSIONS": "TRUE", "USE_API_HYDRATE": "true",
        "DB_MIN_CONN_SIZE": "1", "DB_MAX_CONN_SIZE": "4",
    }  # fmt: skip


def _psql(cluster: Cluster, statement: str) -> None:
    _run(["psql", cluster.dsn("postgres"), "-v", "ON_ERROR_STOP=1", "-c", statement], os.environ)


def _escaped(variables: Mapping[str, str]) -> dict[str, str]:
    """The same for the application, which builds an address of them: a socket's folder is escaped in it."""
    return {**variables, "PGHOST": quote(variables["PGHOST"], safe="")}
