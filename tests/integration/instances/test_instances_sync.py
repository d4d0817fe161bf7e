"""instances.yaml into the table: what is added, changed, paused and left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from federation.database import Connection, Role, connect
from federation.instances import VANISHED, InstanceEntry, sync_instances
from federation.settings import load_settings


def entry(name: str, id: str = "", *, enabled: bool = True, url: str = "", **more: object) -> InstanceEntry:
    address = url or f"https://{id or name}.example/api"
    return InstanceEntry(id=id or name, name=name, url=address, enabled=enabled, **more)  # type: ignore[arg-type]


@pytest.fixture
async def writer(database: str) -> AsyncIterator[Connection]:
    connection = await connect(database, Role.WRITER, load_settings())
    yield connection
    await connection.close()


async def states(connection: Connection) -> dict[str, str]:
    rows = await connection.fetch("SELECT name, state FROM instances ORDER BY n")
    return {row["name"]: row["state"] for row in rows}


async def set_state(connection: Connection, name: str, state: str, reason: str = "") -> None:
    await connection.execute("UPDATE instances SET state = $2, state_reason = $3 WHERE name = $1", name, state, reason)


async def test_new_entries_become_instances_in_the_state_they_ask_for(writer: Connection) -> None:
    report = await sync_instances(writer, [entry("a"), entry("b", enabled=False)])
    assert report.added == ("a", "b")
    assert await states(writer) == {"a": "enabled", "b": "disabled"}


async def test_the_same_file_again_changes_nothing(writer: Connection) -> None:
    entries = [entry("a", requests_per_s=0.1, concurrency=3, contact="a@a.example"), entry("b", enabled=False)]
    await sync_instances(writer, entries)
    before = await writer.fetch("SELECT xmin::text, * FROM instances ORDER BY n")
    assert not await sync_instances(writer, entries)
    assert await writer.fetch("SELECT xmin::text, * FROM instances ORDER BY n") == before


async def test_politeness_and_contact_are_kept_with_the_instance(writer: Connection) -> None:
    await sync_instances(writer, [entry("a", requests_per_s=0.5, concurrency=3, contact="a@a.example")])
    row = await writer.fetchrow("SELECT requests_per_s, concurrency, contact, source FROM instances")
    assert row is not None and tuple(row) == (0.5, 3, "a@a.example", "file")


async def test_hosts_of_pictures_are_kept_and_their_changes_reported(writer: Connection) -> None:
    await sync_instances(writer, [entry("a", asset_hosts=("cdn.example", "s.example:8443")), entry("b")])
    kept = "SELECT asset_hosts FROM instances ORDER BY n"
    assert [row[0] for row in await writer.fetch(kept)] == [["cdn.example", "s.example:8443"], []]
    assert not await sync_instances(writer, [entry("a", asset_hosts=("cdn.example", "s.example:8443")), entry("b")])
    report = await sync_instances(writer, [entry("a"), entry("b", asset_hosts=("cdn.example",))])
    assert [(c.id, c.field, c.before, c.after) for c in report.changed] == [
        ("a", "asset_hosts", "cdn.example, s.example:8443", ""), ("b", "asset_hosts", "", "cdn.example"),
    ]  # fmt: skip
    assert [row[0] for row in await writer.fetch(kept)] == [[], ["cdn.example"]]


async def test_a_changed_address_is_applied_reported_and_probed_again(writer: Connection) -> None:
    await sync_instances(writer, [entry("a")])
    await writer.execute('UPDATE instances SET capabilities = \'{"listing": "id"}\', failures = 4')
    report = await sync_instances(writer, [entry("a", url="https://new.example/api")])
    (change,) = report.changed
    assert (change.field, change.before, change.after) == ("url", "https://a.example/api", "https://new.example/api")
    row = await writer.fetchrow("SELECT url, capabilities, failures FROM instances")
    assert row is not None and tuple(row) == ("https://new.example/api", "{}", 0)


async def test_two_names_can_be_swapped(writer: Connection) -> None:
    await sync_instances(writer, [entry("a", "1"), entry("b", "2")])
    report = await sync_instances(writer, [entry("b", "1"), entry("a", "2")])
    assert {(c.id, c.before, c.after) for c in report.changed} == {("1", "a", "b"), ("2", "b", "a")}
    rows = await writer.fetch("SELECT id, name FROM instances ORDER BY id")
    assert [tuple(row) for row in rows] == [("1", "b"), ("2", "a")]


async def test_three_names_can_go_round(writer: Connection) -> None:
    await sync_instances(writer, [entry("a", "1"), entry("b", "2"), entry("c", "3")])
    await sync_instances(writer, [entry("b", "1"), entry("c", "2"), entry("a", "3")])
    rows = await writer.fetch("SELECT id, name FROM instances ORDER BY id")
    assert [tuple(row) for row in rows] == [("1", "b"), ("2", "c"), ("3", "a")]


async def test_a_vanished_entry_pauses_its_instance_and_deletes_nothing(writer: Connection) -> None:
    await sync_instances(writer, [entry("a"), entry("b", enabled=False)])
    report = await sync_instances(writer, [])
    assert report.paused == ("a", "b")
    rows = await writer.fetch("SELECT state, state_reason FROM instances")
    assert [tuple(row) for row in rows] == [("paused", VANISHED)] * 2


@pytest.mark.parametrize(("enabled", "state"), [(True, "enabled"), (False, "disabled")])
async def test_an_entry_that_comes_back_lifts_that_pause(writer: Connection, enabled: bool, state: str) -> None:
    await sync_instances(writer, [entry("a")])
    await sync_instances(writer, [])
    report = await sync_instances(writer, [entry("a", enabled=enabled)])
    assert report.resumed == ("a",)
    row = await writer.fetchrow("SELECT state, state_reason FROM instances")
    assert row is not None and tuple(row) == (state, "")


@pytest.mark.parametrize("state", ["paused", "braked"])
async def test_what_a_person_or_the_brake_stopped_stays_stopped(writer: Connection, state: str) -> None:
    await sync_instances(writer, [entry("a")])
    await set_state(writer, "a", state, "because")
    for entries in ([entry("a")], [entry("a", enabled=False)], [], [entry("a")]):
        await sync_instances(writer, entries)
        row = await writer.fetchrow("SELECT state, state_reason FROM instances")
        assert row is not None and tuple(row) == (state, "because")


async def test_an_instance_that_did_not_come_from_the_file_is_not_paused_by_it(writer: Connection) -> None:
    await sync_instances(writer, [entry("a")])
    await writer.execute("UPDATE instances SET source = 'registration'")
    assert not await sync_instances(writer, [])
    report = await sync_instances(writer, [entry("a")])
    assert [(c.field, c.after) for c in report.changed] == [("source", "file")]


async def test_an_instance_without_an_entry_gives_its_name_up(writer: Connection) -> None:
    await sync_instances(writer, [entry("a", "1"), entry("a-2", "2")])
    report = await sync_instances(writer, [entry("a", "3"), entry("a-2", "2")])
    assert report.added == ("a",)
    assert [(c.id, c.before, c.after) for c in report.changed] == [("1", "a", "a-3")]
    assert await states(writer) == {"a-3": "paused", "a-2": "enabled", "a": "enabled"}


async def test_two_processes_at_once_are_safe(database: str) -> None:
    connections = [await connect(database, Role.WRITER, load_settings()) for _ in range(4)]
    entries = [entry(f"i{i}") for i in range(20)]
    reports = await asyncio.gather(*[sync_instances(connection, entries) for connection in connections])
    assert sorted(len(report.added) for report in reports) == [0, 0, 0, 20]
    for connection in connections:
        await connection.close()
