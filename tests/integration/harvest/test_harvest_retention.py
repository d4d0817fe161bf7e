"""Nothing grows without end: every table that grows with time has a term, and rows go when it is over."""

from __future__ import annotations

import pytest

from harvester.purge import purge, terms
from tests.harvest_world import World

#: By statement: a table, and how a row of so many days ago gets into it (1: the instance).
ROWS = {
    "purge_changes": ("changes", "INSERT INTO changes (instance, sequence, kind, at) VALUES (1, {id}, 'upsert', {at})"),
    "purge_quarantine": (
        "quarantine",
        "INSERT INTO quarantine (instance, sequence, id, field, problem, at)"
        " VALUES (1, {id}, 'x', 'geometry', 'none', {at})",
    ),
    "purge_runs": (
        "runs",
        "INSERT INTO runs (instance, started_at, outcome, sequences_failed) VALUES (1, {at}, 'partial', 1)",
    ),
    "purge_idle_runs": ("runs", "INSERT INTO runs (instance, started_at, outcome) VALUES (1, {at}, 'partial')"),
    "purge_events": (
        "events",
        "INSERT INTO events (kind, instance, actor, public, at) VALUES ('down', 1, 'harvester', true, {at});"
        " DELETE FROM notices",
    ),
    "purge_days": ("days", "INSERT INTO days (instance, day) VALUES (1, ({at})::date)"),
    "purge_checks": ("checks", "INSERT INTO checks (kind, url, place, ended_at) VALUES ('first', 'x', 'x', {at})"),
    "purge_registrations": (
        "registrations",
        "INSERT INTO registrations (url, place, name, contact, proof, state, changed_at)"
        " VALUES ('x', 'x', 'x', 'x', {id}::text, 'refused', {at})",
    ),
    "purge_sessions": (
        "sessions",
        "WITH link AS (INSERT INTO links (hash, scope, instance, made_by, expires_at)"
        " VALUES (uuid_send({id}), 'operator', 1, 'command line', now()) RETURNING n)"
        " INSERT INTO sessions (hash, scope, instance, link, expires_at)"
        " SELECT uuid_send({id}), 'operator', 1, n, {at} FROM link",
    ),
    "purge_links": (
        "links",
        "INSERT INTO links (hash, scope, made_by, expires_at) VALUES (uuid_send({id}), 'admin', 'command line', {at})",
    ),
    "purge_notices": (
        "notices",
        "INSERT INTO events (kind, actor, public, at) VALUES ('down', 'harvester', true, {at});"
        " DELETE FROM notices WHERE channel = 'mail'",
    ),
    "purge_freshness": ("freshness", "INSERT INTO freshness VALUES (1, ({at})::date, 60, 1)"),
    "purge_absences": ("absences", "INSERT INTO absences VALUES (1, {at}, 1, 1)"),
    "purge_tombstones": (
        "sequences",
        "INSERT INTO sequences (id, instance, state, removed_at) VALUES ({id}, 1, 'removed', {at})",
    ),
}

#: Why the others need none: what there is of the world, sums that are folded, what ends with what it is about.
BOUNDED = {
    "accounts", "cameras", "check_steps", "cell_counts", "compactions", "count_deltas", "dictionaries", "epochs",
    "followups",
    "grid_scales", "health", "instances", "leaf_deltas", "leaf_set", "leaves", "licenses", "locator", "migrations",
    "month_counts", "month_deltas", "paces", "pictures", "ranges", "retries", "sequence_lines", "slots",
    "recalls", "stale_counts", "takedown_copies", "takedowns", "tile_deltas", "tile_versions", "tokens",
}  # fmt: skip


@pytest.mark.parametrize("statement", sorted(ROWS))
async def test_rows_go_when_their_term_is_over_and_not_before(world: World, statement: str) -> None:
    await world.register("north", "http://127.0.0.1:1/api")
    table, insert = ROWS[statement]
    kept = terms(world.settings)[statement]
    for days in (kept.days + 2, kept.days - 1):
        at = f"now() - interval '{days} days'"
        await world.admin.execute(insert.format(id="gen_random_uuid()", at=at))
    assert await purge(world.pool, world.settings) == 1
    assert await world.admin.fetchval(f"SELECT count(*) FROM {table}") == 1
    assert await purge(world.pool, world.settings) == 0


async def test_every_table_has_a_term_or_a_reason_to_need_none(world: World) -> None:
    assert set(ROWS) == set(terms(world.settings))
    rows = await world.admin.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace AND relname <> 'spatial_ref_sys'"
    )
    tables = {row["relname"] for row in rows}
    unknown = tables - BOUNDED - {table for table, _ in ROWS.values()}
    assert unknown == set(), "give it a term in harvester/purge.py, or say here that it cannot grow"
