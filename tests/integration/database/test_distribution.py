"""The schema can be distributed by leaf as it is: what that asks of tables and statements is held here."""

from __future__ import annotations

import re

import asyncpg

from federation.queries import load_queries


async def test_every_unique_key_of_pictures_begins_with_the_leaf(database: str) -> None:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE i.indrelid = 'pictures'::regclass AND i.indisunique"
    )
    kind = await connection.fetchval("SELECT pg_get_partkeydef('pictures'::regclass)")
    await connection.close()
    assert rows
    assert {row["attname"] for row in rows} == {"cell"}
    assert kind == "LIST (cell)"


async def test_no_foreign_key_leads_across_leaves(database: str) -> None:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE contype = 'f'"
        " AND (conrelid IN ('pictures'::regclass, 'locator'::regclass)"
        " OR confrelid IN ('pictures'::regclass, 'locator'::regclass, 'leaves'::regclass))"
    )
    default = await connection.fetchval(
        "SELECT partdefid FROM pg_partitioned_table WHERE partrelid = 'pictures'::regclass"
    )
    triggers = await connection.fetchval("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'pictures'::regclass")
    await connection.close()
    assert rows == []
    assert (default, triggers) == (0, 0)


def updates(statement: str) -> list[str]:
    """What each UPDATE of pictures in a statement sets."""
    return re.findall(r"UPDATE pictures\s+\w*\s*SET(.*?)(?:\bFROM\b|\bWHERE\b|$)", statement, flags=re.DOTALL)


def test_no_statement_updates_the_leaf_of_a_picture() -> None:
    found = 0
    for name, statement in load_queries().items():
        for assignments in updates(statement):
            found += 1
            assert not re.search(r"(^|[\s,(])cell\s*[=,)]", assignments), name
    assert found >= 4


def test_every_write_of_pictures_names_its_leaves() -> None:
    for name, statement in load_queries().items():
        if re.search(r"(UPDATE pictures|DELETE FROM pictures)\b", statement):
            assert re.search(r"\bcell = (ANY\(\$|\$)", statement), name
