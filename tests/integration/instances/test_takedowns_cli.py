"""`panofed takedowns` and `panofed instances leave`: what they do, and what they say."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from panofed.cli import app

Run = Callable[..., Result]
ID = str(uuid.uuid4())


@pytest.fixture
def run(database: str, tmp_path: Path) -> Run:
    file = tmp_path / "instances.yaml"
    file.write_text("instances: [{id: a, name: small, url: 'https://a.example/api', enabled: true}]\n")
    env = {"PANOFED_DATABASE_URL": database, "PANOFED_INSTANCES_FILE": str(file), "COLUMNS": "240"}

    def invoke(*arguments: str, typed: str = "", code: int = 0) -> Result:
        result = CliRunner().invoke(app, arguments, input=typed, env=env)
        assert result.exit_code == code, result.output
        return result

    return invoke


def sql(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    async def go() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(dsn)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(go())


def test_a_takedown_is_made_listed_and_ended(run: Run, database: str) -> None:
    assert "Takedown 1: 0 copies" in run("takedowns", "add", ID, "--reason", "a [red]face[/]").output
    assert "taken down before" in run("takedowns", "add", ID, "--reason", "again").output
    listed = run("takedowns", "list").output
    assert ID in listed
    assert "a [red]face[/]" in listed
    assert "nobody yet" in listed
    run("takedowns", "add", ID, "--sequence", "--reason", "all of it")
    assert sql(database, "SELECT kind FROM takedowns ORDER BY n") == [("picture",), ("sequence",)]
    run("takedowns", "end", "1")
    assert "no takedown 1 stands" in run("takedowns", "end", "1", code=1).output
    assert "face" not in run("takedowns", "list").output
    assert "face" in run("takedowns", "list", "--ended").output
    actors = sql(database, "SELECT DISTINCT actor FROM events WHERE kind IN ('taken-down', 'takedown-ended')")
    assert actors == [("command line",)]


def test_what_is_wrong_with_a_takedown_is_told(run: Run) -> None:
    assert "'x' is no UUID" in run("takedowns", "add", "x", "--reason", "r", code=1).output
    assert "reason" in run("takedowns", "add", ID, "--reason", " ", code=1).output


def test_an_instance_leaves_when_that_is_confirmed(run: Run, database: str) -> None:
    run("instances", "leave", "small", typed="n\n", code=1)
    assert sql(database, "SELECT state FROM instances") == []
    assert "is leaving" in run("instances", "leave", "small", "--yes").output
    assert sql(database, "SELECT state FROM instances") == [("leaving",)]
    assert "already" in run("instances", "leave", "small", "--yes", code=1).output
    assert "leaving" in run("instances", "list").output
    for command in ("pause", "resume"):
        assert "is leaving" in run("instances", command, "small", code=1).output
    assert "small" in run("instances", "leave", "smal", "--yes", code=1).output


def test_one_that_has_left_comes_back_when_its_entry_is_resumed(run: Run, database: str) -> None:
    run("instances", "leave", "small", "--yes")
    sql(database, "UPDATE instances SET state = 'left'")
    # its entry alone does not bring it back
    run("instances", "token", "list")
    assert sql(database, "SELECT state FROM instances") == [("left",)]
    run("instances", "resume", "small")
    assert sql(database, "SELECT state FROM instances") == [("enabled",)]
