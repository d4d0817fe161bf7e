"""Named queries: each has one name, and each that is named exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from federation.queries import load_queries, parse_queries, query
from federation.sqlfiles import sql_files

ROOT = Path(__file__).parents[2]


def named_in_code() -> set[str]:
    names = set()
    for room in ("federation", "harvester", "catalog_api", "panofed"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    names.add(node.value)
    return names


def test_every_query_asked_for_exists() -> None:
    for room in ("federation", "harvester", "catalog_api", "panofed"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                asked = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "query"
                if asked and isinstance(node, ast.Call) and isinstance(node.args[0], ast.Constant):
                    query(str(node.args[0].value))


def test_every_query_is_one_statement() -> None:
    several = {"create_stage"}
    for name, statement in load_queries().items():
        assert statement, name
        assert name in several or ";" not in statement, name


def test_a_name_that_is_used_twice_is_told() -> None:
    text = "-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;\n"
    assert [name for name, _ in parse_queries(text)] == ["one", "one"]
    with pytest.raises(KeyError):
        query("not there")


def test_the_schema_is_the_sum_of_the_first_migration() -> None:
    """As text, while there is one; a database is compared in the integration tests."""
    migrations = sql_files("migrations")
    if len(migrations) == 1:
        schema = "".join(path.read_text(encoding="utf-8") for path in sql_files("schema"))
        assert migrations[0].read_text(encoding="utf-8") == schema
