"""`panofed instances token`: a token is shown once, lets in until it is revoked, and never appears in a list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from federation.tokens import Token, is_secret, use_token
from panofed.tokens_cli import tokens_app

Run = Callable[..., Result]


@pytest.fixture
def run(database: str, tmp_path: Path) -> Run:
    file = tmp_path / "instances.yaml"
    file.write_text("instances: [{id: a, name: small, url: 'https://a.example/api'}]\n")
    env = {"PANOFED_DATABASE_URL": database, "PANOFED_INSTANCES_FILE": str(file), "COLUMNS": "200"}

    def invoke(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(tokens_app, arguments, env=env)
        assert result.exit_code == code, result.output
        return result

    return invoke


def token_of(dsn: str, secret: str) -> Token | None:
    async def go() -> Token | None:
        connection = await asyncpg.connect(dsn)
        try:
            return await use_token(connection, secret)
        finally:
            await connection.close()

    return asyncio.run(go())


def test_a_token_is_shown_once_and_lets_in_until_it_is_revoked(run: Run, database: str) -> None:
    secret = run("create", "small", "--expires-days", "1", "--label", "Zoé").stdout.strip()
    assert is_secret(secret)
    token = token_of(database, secret)
    assert token is not None
    assert (token.scope, token.label) == ("ping", "Zoé")
    assert token.expires_at is not None
    listed = run("list").output
    assert "small" in listed
    assert "Zoé" in listed
    assert secret not in listed
    run("revoke", str(token.n))
    assert token_of(database, secret) is None
    assert "revoked" in run("list", "small").output
    assert "no token" in run("revoke", str(token.n), code=1).output


def test_an_instance_that_is_not_there_is_told(run: Run) -> None:
    assert "small" in run("create", "smal", code=1).output
    assert run("create", "anybody", "--scope", "admin").stdout.startswith("panofed_")
    assert "all" in run("list").output
