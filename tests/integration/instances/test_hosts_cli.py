"""`panofed instances hosts`: shows where else pictures may lie and changes it; an entry's are changed in its file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from panofed.cli import app

FILE = """\
instances:
  - id: a
    name: listed
    url: https://a.example/api
    asset_hosts: [CDN.a.example, store.example:8443]
"""


@pytest.fixture
def registered(database: str) -> str:
    """The address of an index with an instance that registered itself, named `own`."""

    async def add() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute(
            "INSERT INTO instances (id, name, url, state, source)"
            " VALUES ('o', 'own', 'https://own.example/api', 'enabled', 'registered')"
        )
        await connection.close()

    asyncio.run(add())
    return database


def test_hosts_are_shown_changed_and_taken_back(registered: str, tmp_path: Path) -> None:
    path = tmp_path / "instances.yaml"
    path.write_text(FILE)
    env = {"PANOFED_DATABASE_URL": registered, "PANOFED_INSTANCES_FILE": str(path), "COLUMNS": "200"}

    def run(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["instances", "hosts", *arguments], env=env)
        assert result.exit_code == code, result.output
        return result.output.split("\n")[:-1] if code == 0 else " ".join(result.output.split())

    assert run("own") == ["own has its pictures on its own host only."]
    assert run("own", "CDN.example", "127.0.0.1:8001") == ["cdn.example", "127.0.0.1:8001"]
    assert run("own") == ["cdn.example", "127.0.0.1:8001"]
    assert "'https://cdn.example' must be a host without 'https://'" in run("own", "https://cdn.example", code=1)
    assert "give one of them" in run("own", "cdn.example", "--none", code=1)
    assert run("own") == ["cdn.example", "127.0.0.1:8001"], "nothing was changed"
    assert run("own", "--none") == ["own has its pictures on its own host only."]
    assert run("listed") == ["cdn.a.example", "store.example:8443"]
    assert "its entry in instances.yaml rules it" in run("listed", "other.example", code=1)
    assert "no instance is named 'owm': did you mean 'own'?" in run("owm", code=1)
