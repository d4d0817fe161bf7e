"""`panofed admin`: tokens and links are shown once, let in what they are for, and are taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from federation.sessions import Session, open_session, use_session
from federation.settings import load_settings
from federation.tokens import is_secret, use_token
from panofed.admin_cli import admin_app

Run = Callable[..., Result]
T = TypeVar("T")


@pytest.fixture
def run(database: str, tmp_path: Path) -> Run:
    file = tmp_path / "instances.yaml"
    file.write_text("instances: [{id: a, name: small, url: 'https://a.example/api'}]\n")
    env = {
        "PANOFED_DATABASE_URL": database, "PANOFED_INSTANCES_FILE": str(file), "COLUMNS": "200",
        "PANOFED_PUBLIC_URL": "https://catalog.example",
    }  # fmt: skip

    def invoke(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(admin_app, arguments, env=env)
        assert result.exit_code == code, result.output
        return result

    return invoke


def asked(dsn: str, what: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    async def go() -> T:
        connection = await asyncpg.connect(dsn)
        try:
            return await what(connection)
        finally:
            await connection.close()

    return asyncio.run(go())


def enter(dsn: str, secret: str) -> str | None:
    return asked(dsn, lambda connection: open_session(connection, secret, load_settings()))


def session(dsn: str, cookie: str) -> Session | None:
    return asked(dsn, lambda connection: use_session(connection, cookie, load_settings()))


def test_the_first_administrators_token(run: Run, database: str) -> None:
    secret = run("token", "create", "--label", "Zoé").stdout.strip()
    assert is_secret(secret)
    listed = run("token", "list").output
    assert "Zoé" in listed and "all" in listed and secret not in listed
    cookie = enter(database, secret)
    assert cookie is not None
    inside = session(database, cookie)
    assert inside is not None
    assert (inside.scope, inside.instance, inside.actor) == ("admin", None, "token 1")
    run("token", "revoke", "1")
    assert session(database, cookie) is None, "who it let in is signed out"
    assert asked(database, lambda connection: use_token(connection, secret)) is None
    assert "no token" in run("token", "revoke", "1", code=1).output


def test_a_link_lets_in_once(run: Run, database: str) -> None:
    address = run("link", "create", "small", "--label", "Ana").stdout.strip()
    base, secret = address.split("#")
    assert base == "https://catalog.example/sign-in"
    cookie = enter(database, secret)
    assert cookie is not None
    assert enter(database, secret) is None
    inside = session(database, cookie)
    assert inside is not None and inside.scope == "operator"
    listed = run("link", "list", "small").output
    assert "used" in listed and "Ana" in listed and secret not in listed
    run("link", "revoke", "1")
    assert session(database, cookie) is None
    assert "no link" in run("link", "revoke", "1", code=1).output


def test_everybody_is_signed_out(run: Run, database: str) -> None:
    secret = run("link", "create").stdout.strip().split("#")[1]
    cookie = enter(database, secret)
    assert cookie is not None and session(database, cookie) is not None
    assert "1 session is ended" in run("logout").output
    assert session(database, cookie) is None
    assert "0 sessions are" in run("logout").output


def test_an_instance_that_is_not_there_is_told(run: Run) -> None:
    assert "small" in run("link", "create", "smal", code=1).output
