"""`panofed runs`: visits under way and ended, and what waits of one instance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from federation.database import Role, open_pool
from federation.settings import load_settings
from harvester.purge import purge, terms
from panofed.cli import app

SEED = """
INSERT INTO instances (id, name, url, state) VALUES ('a', 'small', 'https://a.example/api', 'enabled');
INSERT INTO runs (instance, started_at, ended_at, outcome, sequences_changed, pictures_seen) VALUES
    (1, now() - interval '200 days', now() - interval '200 days', 'partial', 3, 75),
    (1, now() - interval '5 days', now() - interval '5 days', 'done', 0, 0),
    (1, now() - interval '2 hours', now() - interval '1 hour', 'done', 0, 0);
INSERT INTO runs (instance, started_at, phase, pictures_seen, pictures_expected, last_error, last_error_url)
VALUES (1, now() - interval '10 seconds', 'first crawl', 1000, 4000, 'no answer', 'https://a.example/api/x');
UPDATE instances SET run = 4;
INSERT INTO sequences (id, instance, origin_id) VALUES ('00000000-0000-4000-8000-000000000001', 1, 'street 1');
INSERT INTO retries (instance, sequence, attempts, next_at, error)
VALUES (1, '00000000-0000-4000-8000-000000000001', 2, now() + interval '1 hour', 'the items come back');
INSERT INTO followups (instance, sequence, next_at) VALUES (1, '00000000-0000-4000-8000-000000000002', now());
INSERT INTO quarantine (instance, sequence, id, field, problem)
VALUES (1, '00000000-0000-4000-8000-000000000001', 'x1', 'geometry', 'longitude 200 is outside');
"""

Shown = Callable[..., str]


@pytest.fixture
def shown(database: str, tmp_path: Path) -> Shown:
    async def seed() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute(SEED)
        await connection.close()

    asyncio.run(seed())
    env = {"PANOFED_DATABASE_URL": database, "PANOFED_DATA_DIR": str(tmp_path), "COLUMNS": "200"}

    def show(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["runs", *arguments], env=env)
        assert result.exit_code == 0, result.output
        return result.output

    return show


def test_a_visit_under_way_tells_how_far_it_is_and_what_went_wrong(shown: Shown) -> None:
    output = shown()
    assert "first crawl, 25 %," in output and "s left" in output
    assert "run 4: no answer (https://a.example/api/x)" in output


def test_what_no_date_told_of_is_mentioned_with_its_visit(shown: Shown, database: str) -> None:
    async def change() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute("UPDATE runs SET accounts_renamed = 2, terms_changed = 1 WHERE n = 3")
        await connection.close()

    assert "read again" not in shown()
    asyncio.run(change())
    output = shown()
    assert "run 3: another licence or name of the instance: everything is read again; 2 accounts have another" in output


def test_visits_that_found_nothing_are_shown_on_request(shown: Shown) -> None:
    assert len([line for line in shown().splitlines() if "small" in line]) == 2
    assert len([line for line in shown("--all").splitlines() if "small" in line]) == 4


def test_of_one_instance_it_tells_what_waits_and_what_was_set_aside(shown: Shown) -> None:
    output = shown("small")
    assert "street 1: tried 2 times, again in 59 min: the items come back" in output
    assert "Still being processed there, and read again: 1 sequence" in output
    assert "1 x geometry: longitude 200 is outside (such as x1)" in output


async def test_visits_are_forgotten_when_their_term_is_over(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(SEED)
    await connection.close()
    async with open_pool(database, Role.WRITER, load_settings(), size=1) as pool:
        assert await purge(pool, load_settings()) == 2
        left = [row["n"] for row in await pool.fetch("SELECT n FROM runs ORDER BY n")]
    assert left == [3, 4]


def test_every_term_is_a_setting_or_a_constant_above_zero() -> None:
    assert all(kept.total_seconds() > 0 for kept in terms(load_settings()).values())
