"""`panofed instances`: what each command does to the file and to the table, and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from federation.database import Pool
from federation.errors import DatabaseUnavailable
from federation.instances import load_instances
from federation.settings import load_settings
from panofed.instances_cli import Registry, _remove, instances_app

TEXT = """\
instances:
  - id: a
    name: small
    url: https://a.example/api
    enabled: true  # mine
  - id: b
    name: large
    url: https://b.example/api
    enabled: false
    pictures: 58000000
"""

Run = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "instances.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def run(database: str, path: Path, tmp_path: Path) -> Run:
    env = {
        "PANOFED_DATABASE_URL": database,
        "PANOFED_INSTANCES_FILE": str(path),
        "PANOFED_DATA_DIR": str(tmp_path / "data"),
        "COLUMNS": "200",
    }

    def invoke(*arguments: str, typed: str = "", code: int = 0, **more: str) -> Result:
        result = CliRunner().invoke(instances_app, arguments, input=typed, env=env | more)
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


def state(dsn: str, id: str) -> tuple[Any, ...]:
    return sql(dsn, f"SELECT state, state_reason FROM instances WHERE id = '{id}'")[0]


def test_list_shows_the_file_before_anything_was_harvested(run: Run) -> None:
    said = run("list").output
    assert "small" in said and "~58,000,000" in said and "never" in said


def test_list_starts_no_database(run: Run, tmp_path: Path) -> None:
    said = run("list", PANOFED_DATABASE_URL="").output
    assert "large" in said and "the database is not running" in said
    assert not (tmp_path / "data").exists()


def test_list_works_without_a_database_that_answers(run: Run) -> None:
    said = run("list", PANOFED_DATABASE_URL="postgresql://127.0.0.1:9/x").output
    assert "large" in said and "does not answer" in said


def test_list_shows_what_is_held(run: Run, database: str) -> None:
    run("pause", "small", "--reason", "moving house")
    sql(
        database,
        """UPDATE instances SET version = '2.15.1', last_success_at = now() - interval '90 minutes',
           configuration = '{"license": {"id": "etalab-2.0"}}' WHERE id = 'a'""",
    )
    sql(
        database,
        """INSERT INTO sequences (id, instance, state, pictures)
           SELECT gen_random_uuid(), n, 'merged', 1234 FROM instances WHERE id = 'a'""",
    )
    said = run("list").output
    for text in ("paused: moving house", "1,234", "90 min", "2.15.1", "etalab-2.0"):
        assert text in said


def test_enable_shows_the_size_and_asks(run: Run, path: Path) -> None:
    said = run("enable", "large", typed="n\n", code=1).output
    assert "58,000,000 pictures" in said and "52 GB" in said
    assert path.read_text() == TEXT
    run("enable", "large", typed="y\n")
    assert path.read_text() == TEXT.replace("enabled: false", "enabled: true")
    assert "enabled already" in run("enable", "large").output


def test_enable_yes_does_not_ask_and_disable_undoes_it(run: Run, path: Path) -> None:
    run("enable", "large", "--yes")
    run("disable", "large")
    assert path.read_text() == TEXT


def test_an_unknown_name_lists_near_names(run: Run) -> None:
    assert "no instance is named 'smal': did you mean 'small'?" in run("enable", "smal", code=1).output
    assert "there are large, small" in run("pause", "zzz", code=1).output


def test_a_broken_file_is_told_by_line(run: Run, path: Path) -> None:
    path.write_text(TEXT.replace("enabled: false", "enabled: maybe"))
    assert f"{path}:9: enabled: must be true or false" in run("list", code=1).output.replace("\n", "")


def test_add_asks_for_a_name_and_appends_a_disabled_entry(run: Run, path: Path) -> None:
    run("add", "https://panoramax.osm.example/api/", typed="\n")
    assert path.read_text().startswith(TEXT)
    entry = load_instances(path)[-1]
    assert (entry.name, entry.url, entry.enabled) == ("osm", "https://panoramax.osm.example/api", False)
    assert "is there already, named osm" in run("add", "https://panoramax.osm.example/api", code=1).output
    assert "is taken by" in run("add", "https://x.example", "--name", "osm", code=1).output
    assert "must be lower-case" in run("add", "https://x.example", "--name", "O S M", code=1).output
    assert "not an http(s) address" in run("add", "x.example", code=1).output


def test_pause_and_resume_change_the_table_alone(run: Run, database: str, path: Path) -> None:
    run("pause", "small")
    assert state(database, "a") == ("paused", "paused by hand")
    run("resume", "small")
    assert state(database, "a") == ("enabled", "")
    assert "is not paused" in run("resume", "small").output
    assert "panofed instances enable large" in run("resume", "large").output
    assert path.read_text() == TEXT


def test_resume_closes_the_circuit_breaker_and_pause_does_not(run: Run, database: str) -> None:
    run("pause", "small")
    sql(
        database,
        "INSERT INTO paces (instance, faults, open_until) SELECT n, 7, now() + interval '1 hour' FROM instances",
    )
    run("pause", "small")
    assert sql(database, "SELECT faults FROM paces") == [(7,), (7,)]
    run("resume", "small")
    rows = sql(database, "SELECT i.name FROM paces p JOIN instances i ON i.n = p.instance WHERE p.open_until > now()")
    assert rows == [("large",)]


@pytest.mark.parametrize(("option", "decision"), [("--confirm", "confirmed"), ("--refuse", "refused")])
def test_resume_after_a_brake_explains_and_needs_a_decision(
    run: Run, database: str, option: str, decision: str
) -> None:
    run("pause", "small")
    sql(database, "UPDATE instances SET state = 'braked', state_reason = '900 of its 1,000 pictures are missing'")
    assert "by the brake" in run("pause", "small").output
    told = run("resume", "small", code=1).output
    for said in ("900 of its 1,000 pictures are missing", "resume small --confirm", "resume small --refuse"):
        assert said in told
    assert state(database, "a")[0] == "braked"
    assert "opposites" in run("resume", "small", "--confirm", "--refuse", code=1).output
    run("resume", "small", option)
    assert state(database, "a") == ("enabled", "")
    (row,) = sql(database, "SELECT absence_decided, listed_at FROM instances WHERE id = 'a'")
    assert tuple(row) == (decision, None)
    assert "no longer lists" in run("list").output


def test_the_list_tells_in_words_what_an_instance_can_signal(run: Run, database: str) -> None:
    run("pause", "small")
    sql(database, """UPDATE instances SET capabilities = '{"kind": "stac", "listing": "links", "dated": false}'""")
    assert "other STAC API; deletions are not signalled" in run("list").output


def test_an_instance_whose_entry_is_gone_cannot_be_resumed(run: Run, database: str, path: Path) -> None:
    run("pause", "large")
    run("resume", "large")
    path.write_text("instances: []\n")
    assert "add it back first" in run("resume", "small", code=1).output
    assert state(database, "a")[0] == "paused"


async def withdraw_nothing(pool: Pool, instance: int, on_progress: Callable[[int], None]) -> int:
    """The index is empty here: what there is to delete is in other tables."""
    on_progress(0)
    return 0


async def withdraw_in_vain(pool: Pool, instance: int, on_progress: Callable[[int], None]) -> int:
    raise DatabaseUnavailable("the database went away")


def registry(database: str, path: Path) -> Registry:
    return Registry(load_settings(database_url=database, instances_file=path), load_instances(path))


def test_remove_deletes_the_row_what_names_it_and_the_entry(run: Run, database: str, path: Path) -> None:
    run("pause", "large")
    for table, columns, values in (
        ("runs", "", ""),
        ("accounts", ", id, name", ", gen_random_uuid(), 'x'"),
        ("dictionaries", ", content, trained_on", ", 'x', 1"),
        ("sequences", ", id", ", gen_random_uuid()"),
        ("retries", ", sequence, next_at, error", ", gen_random_uuid(), now(), 'x'"),
        ("quarantine", ", sequence, id, field, problem", ", gen_random_uuid(), 'x', 'x', 'x'"),
    ):
        sql(database, f"INSERT INTO {table} (instance{columns}) SELECT n{values} FROM instances")
    asyncio.run(_remove(registry(database, path), "small", True, withdraw_nothing))
    assert sql(database, "SELECT id FROM instances") == [("b",)]
    for table in ("runs", "accounts", "dictionaries", "sequences", "retries", "quarantine"):
        assert sql(database, f"SELECT count(*) FROM {table}") == [(1,)]
    assert [entry.name for entry in load_instances(path)] == ["large"]


def test_a_removal_that_breaks_off_is_not_visited_and_can_be_repeated(run: Run, database: str, path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        asyncio.run(_remove(registry(database, path), "small", True, withdraw_in_vain))
    run("pause", "large")
    assert state(database, "a") == ("leaving", "")
    assert sql(database, "SELECT run FROM instances WHERE id = 'a'") == [(1,)]
    asyncio.run(_remove(registry(database, path), "small", True, withdraw_nothing))
    assert sql(database, "SELECT id FROM instances") == [("b",)]


def test_an_instance_whose_entry_is_gone_can_be_removed(run: Run, database: str, path: Path) -> None:
    run("pause", "large")
    path.write_text("instances: []\n")
    asyncio.run(_remove(registry(database, path), "small", True, withdraw_nothing))
    assert sql(database, "SELECT id FROM instances") == [("b",)]


@pytest.mark.parametrize("typed", ["n\n", "y\nlarge\n", "y\n\n"])
def test_remove_asks_twice(run: Run, database: str, path: Path, typed: str) -> None:
    run("remove", "small", typed=typed, code=1)
    assert state(database, "a") == ("enabled", "")
    assert path.read_text() == TEXT


def test_remove_goes_on_when_the_name_is_typed(run: Run, database: str, path: Path) -> None:
    pytest.importorskip("harvester.withdraw")
    assert "small is removed: 0 pictures deleted" in run("remove", "small", typed="y\nsmall\n").output
    assert sql(database, "SELECT id FROM instances") == [("b",)]
