"""`panofed db` as a newcomer meets it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from federation.settings import load_settings
from panofed.cluster import Cluster, cluster_config
from panofed.db_cli import db_app

Db = Callable[..., Result]


@pytest.fixture
def db(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Db]:
    """Runs `panofed db ...` on a data folder of its own."""
    monkeypatch.setenv("PANOFED_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("PANOFED_PG_SHARED_BUFFERS", "16MB")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("PANOFED_DATABASE_URL", raising=False)
    yield lambda *words: CliRunner().invoke(db_app, words, catch_exceptions=False)
    Cluster(cluster_config(load_settings(database_url=""))).remove()


def test_the_database_is_started_looked_at_and_stopped(db: Db) -> None:
    absent = db("status")
    assert (absent.exit_code, "not made yet" in absent.output) == (3, True)
    assert "The database runs." in db("start").output
    assert "was running already" in db("start").output
    assert db("status").exit_code == 0
    assert "is stopped" in db("stop").output
    assert "is not running" in db("stop").output
    assert db("status").exit_code == 3


def test_migrating_twice_changes_nothing(db: Db) -> None:
    assert "migrations applied" in db("migrate").output
    assert "Nothing to do" in db("migrate").output


def test_a_dump_can_be_restored(db: Db, folder: Path) -> None:
    db("migrate")
    file = str(folder / "one.dump")
    assert f"panofed db restore {file}" in db("dump", file).output
    refused = CliRunner().invoke(db_app, ["restore", file], input="n\n")
    assert refused.exit_code == 1
    assert "Restored." in db("restore", file, "--yes").output


def test_psql_takes_further_arguments(db: Db, folder: Path) -> None:
    db("start")
    code = "from panofed.db_cli import db_app; db_app()"
    command = [sys.executable, "-c", code, "psql", "-XAtc", "SELECT 6 * 7"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "42\n"


@pytest.mark.parametrize("verb", ["start", "stop", "upgrade"])
def test_somebody_elses_server_is_left_alone(db: Db, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setenv("PANOFED_DATABASE_URL", "postgresql://me:secret@127.0.0.1:15706/one")
    refused = db(verb)
    assert refused.exit_code == 1
    assert "PANOFED_DATABASE_URL is set: that server is somebody else's" in refused.output


def test_somebody_elses_server_can_be_dumped_and_asked(db: Db, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db("start")
    url = Cluster(cluster_config(load_settings())).dsn()
    monkeypatch.setenv("PANOFED_DATABASE_URL", url)
    assert "It answers: PostgreSQL" in db("status").output
    assert db("migrate").exit_code == 0
    assert db("dump", str(folder / "one.dump")).exit_code == 0
    assert db("restore", str(folder / "one.dump"), "--yes").exit_code == 0
    monkeypatch.delenv("PANOFED_DATABASE_URL")


def test_a_password_is_not_shown(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANOFED_DATABASE_URL", "postgresql://me:secret@127.0.0.1:15706/one")
    failed = db("status")
    assert failed.exit_code == 1
    assert "Connection refused" in failed.output
    assert "secret" not in failed.output
