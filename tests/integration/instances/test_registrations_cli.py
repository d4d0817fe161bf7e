"""`panofed registrations`: who wants to join is shown, let in once it is proved, or refused with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from panofed.cli import app
from panofed.registrations_cli import registrations_app

Run = Callable[..., Result]


def sql(dsn: str, statement: str, *arguments: Any) -> Any:
    async def go() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    return asyncio.run(go())


@pytest.fixture
def run(database: str, tmp_path: Path) -> Run:
    env = {
        "PANOFED_DATABASE_URL": database, "PANOFED_INSTANCES_FILE": str(tmp_path / "instances.yaml"), "COLUMNS": "250",
    }  # fmt: skip
    (tmp_path / "instances.yaml").write_text("")

    def invoke(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(registrations_app, arguments, env=env)
        assert result.exit_code == code, result.output
        return result

    return invoke


def ask(database: str, name: str, state: str) -> None:
    sql(
        database,
        "INSERT INTO registrations (url, place, name, contact, proof, state, blurring)"
        " VALUES ('https://' || $1 || '.example/api', $1, $1, 'ana@a.example', $1, $2, 'automatic')",
        name, state,
    )  # fmt: skip


def test_registrations_are_listed_approved_and_refused(run: Run, database: str) -> None:
    assert "Nobody wants to join." in run("list").output
    ask(database, "south", "awaiting-approval")
    ask(database, "east", "awaiting-proof")
    listed = run("list").output
    for said in ("south", "https://east.example/api", "awaiting-proof", "automatic", "ana@a.example"):
        assert said in listed
    assert "only what is proved" in run("approve", "2", code=1).output
    run("approve", "1")
    row = sql(database, "SELECT array[name, url, state, source] FROM instances")
    assert row == ["south", "https://south.example/api", "enabled", "registered"]
    run("refuse", "2", "--reason", "no blurring")
    assert "already" in run("refuse", "2", "--reason", "no", code=1).output
    assert "Nobody wants to join." in run("list").output
    assert "refused: no blurring" in run("list", "--all").output
    assert sql(database, "SELECT array_agg(DISTINCT actor) FROM events") == ["command line"]
    assert "no registration 9" in run("approve", "9", code=1).output


def test_a_registered_instance_is_moved(run: Run, database: str, tmp_path: Path) -> None:
    ask(database, "south", "awaiting-approval")
    run("approve", "1")
    env = {"PANOFED_DATABASE_URL": database, "PANOFED_INSTANCES_FILE": str(tmp_path / "instances.yaml")}
    told = CliRunner().invoke(app, ["instances", "move", "south", "https://NEW.example/api/"], env=env)
    assert told.exit_code == 0, told.output
    assert sql(database, "SELECT url FROM instances") == "https://new.example/api"
    sql(database, "UPDATE instances SET source = 'file'")
    told = CliRunner().invoke(app, ["instances", "move", "south", "https://other.example/api"], env=env)
    assert told.exit_code == 1 and "instances.yaml" in told.output
