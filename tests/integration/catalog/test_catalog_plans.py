"""Plans: every statement of the catalog that names leaves opens those and no other, shown by EXPLAIN."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from federation.database import point_ewkb
from federation.leaves import load_leaves
from federation.queries import load_queries
from tests.catalog_factory import Factory, line

#: A value for each type of parameter; which one does not matter to pruning, only the cells do.
VALUES: dict[str, Any] = {
    "int2": 1,
    "int4": 5,
    "int8": 1,
    "float8": 2.35,
    # JSON too: tags are given as such
    "text": '"x"',
    "bool": True,
    "uuid": "dc0820d3-7c2b-483e-bda1-ed6b79a2118f",
    "timestamptz": datetime(2024, 5, 2, tzinfo=UTC),
    "geometry": point_ewkb(2.35, 48.85),
}
NAMING_LEAVES = sorted(
    name
    for name, statement in load_queries().items()
    if name.startswith("catalog_") and re.search(r"\bcell = ANY\(\$1", statement)
)


def argument(kind: str) -> Any:
    return (
        [VALUES[kind.removesuffix("[]").removeprefix("_")]] if kind.endswith("[]") or kind[0] == "_" else VALUES[kind]
    )


def relations(plan: Any) -> set[str]:
    """Names of all tables a plan reads."""
    if isinstance(plan, list):
        return {name for each in plan for name in relations(each)}
    if not isinstance(plan, dict):
        return set()
    named = {plan["Relation Name"]} if "Relation Name" in plan else set()
    return named | relations(list(plan.values()))


def test_the_statements_are_found() -> None:
    assert {
        "catalog_nearest_seen",
        "catalog_nearest_within",
        "catalog_sorted",
        "catalog_tagged",
        "catalog_of_sequence",
    } <= {*NAMING_LEAVES}


@pytest.mark.parametrize("name", NAMING_LEAVES)
async def test_a_statement_opens_only_the_leaves_it_names(factory: Factory, name: str) -> None:
    factory.leaf_resolution = 1
    for number in range(8):
        await factory.sequence(line(-170 + number * 40, number * 10 - 40, 2))
    connection: asyncpg.Connection = factory.connection
    await connection.execute("SET plan_cache_mode = force_custom_plan")
    leaves, statement = await load_leaves(connection), load_queries()[name]
    assert len(leaves.cells) >= 8
    kinds = [each.name for each in (await connection.prepare(statement)).get_parameters()]
    wanted = list(leaves.cells[2:4])
    arguments = [wanted, leaves.version, *(argument(kind) for kind in kinds[2:])]
    plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments))
    opened = {each for each in relations(plan) if re.fullmatch(r"pictures_[0-9a-f]+", each)}
    assert opened == {f"pictures_{cell:x}" for cell in wanted}
