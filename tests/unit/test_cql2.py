"""Filters before they reach the database: what is refused, that no text becomes SQL, what follows for sequences."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import cql2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_api.edge.responses import BadRequest
from catalog_api.query.cql2 import TERMS_MAX, read_filter
from catalog_api.query.filters import compile_filter, compile_tree
from catalog_api.query.narrowing import narrowing
from catalog_api.query.predicates import Predicate, both
from catalog_api.query.vocabulary import PICTURES, SEQUENCES, queryables_schema

WORDS = [
    "type", "=", "'flat'", "AND", "OR", "NOT", "(", ")", "IN", "LIKE", "BETWEEN", "1", "-", "IS NULL", ",", "datetime",
    "TIMESTAMP('2024-01-01T00:00:00Z')", "S_INTERSECTS", "geometry", "POINT(1 2)",
    "CASEI", "''", '"', "é", "<", "INTERVAL",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join))
@settings(max_examples=300, deadline=2_000)
def test_any_text_is_compiled_or_refused(text: str) -> None:
    try:
        found = compile_filter(text, None, PICTURES)
    except BadRequest as error:
        assert error.details["parameter"] == "filter"
    else:
        assert len(found.arguments) == len(set(re.findall(r"\$\d+", found.sql)))


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=2_000)
def test_values_never_become_sql(value: str) -> None:
    tree = {"op": "or", "args": [{"op": op, "args": [{"property": "semantics.x"}, value]} for op in ("=", "<>")]}
    try:
        found = compile_tree(tree, PICTURES)
    except BadRequest:
        assert "\x00" in value
        return
    assert value in found.arguments
    assert found.sql == compile_tree(_replaced(tree, value, "other"), PICTURES).sql


def _replaced(tree: Any, value: str, other: str) -> Any:
    if isinstance(tree, dict):
        return {key: _replaced(each, value, other) if key == "args" else each for key, each in tree.items()}
    if isinstance(tree, list):
        return [_replaced(each, value, other) for each in tree]
    return other if tree == value else tree


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1_600 + "type = 'flat'" + ")" * 1_600,
        "NOT " * 20_000 + "type = 'flat'",
        "-" * 5_000 + "1 = type",
        "(" * 20 + "type = " + ")" * 20,
        "(" * 20 + "type",
        "(" * 9 + "type IN (" + ",".join(["1"] * 3_000) + ") AND type = " + ")" * 9,
        ")" * 20 + "(" * 20,
        "'" * 8_001,
    ],
)
def test_what_would_stop_the_parser_is_refused_before_it(text: str) -> None:
    """Within seconds, in a process of its own: without the refusal it would crash or hang."""
    program = """
import sys
from catalog_api.query.cql2 import read_filter
from catalog_api.edge.responses import BadRequest
try:
    read_filter("filter", sys.stdin.read(), None)
except BadRequest:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], input=text, capture_output=True, text=True, timeout=20)
    assert done.stdout.strip() == "refused", done.stderr


def test_the_parser_still_has_its_traps() -> None:
    """When this fails the scan can be made more generous."""
    text = "(" * 1_600 + "type = 'flat'" + ")" * 1_600
    program = "import cql2, sys; cql2.parse_text(sys.stdin.read())"
    done = subprocess.run([sys.executable, "-c", program], input=text, capture_output=True, text=True, timeout=20)
    assert done.returncode < 0


def test_usual_filters_are_within_the_limits() -> None:
    many = " OR ".join(f"(type = 'flat' AND field_of_view > {number})" for number in range(20))
    assert compile_filter(many, None, PICTURES).arguments
    ids = ", ".join(["'dc0820d3-7c2b-483e-bda1-ed6b79a2118f'"] * 150)
    assert compile_filter(f"id IN ({ids})", None, PICTURES).arguments
    ring = ", ".join(f"{x / 1000} 0" for x in range(200)) + ", 0.2 1, 0 0"
    assert compile_filter(f"S_WITHIN(geometry, POLYGON(({ring})))", None, PICTURES).arguments
    deep: Any = {"op": "=", "args": [{"property": "type"}, "flat"]}
    for _ in range(28):
        deep = {"op": "not", "args": [deep]}
    assert compile_filter(deep, "cql2-json", PICTURES).arguments == ("flat",)


def test_a_tree_has_limits_too() -> None:
    one = {"op": "=", "args": [{"property": "type"}, "flat"]}
    with pytest.raises(BadRequest, match=f"more than {TERMS_MAX} terms"):
        read_filter("filter", {"op": "or", "args": [one] * TERMS_MAX}, None)
    deep: Any = one
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(BadRequest, match="nested more than"):
        read_filter("filter", {"op": "or", "args": deep}, None)
    with pytest.raises(BadRequest, match="up to 1000 values"):
        compile_filter({"op": "in", "args": [{"property": "type"}, ["x"] * 1_001]}, None, PICTURES)


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("type = 'equirectangular' AND license = 'x'", "(s.pictures_360 > 0)"),
        ("license = 'x'", None),
        ("NOT collection = 'dc0820d3-7c2b-483e-bda1-ed6b79a2118f'", None),
        ("type = 'flat' OR license = 'x'", None),
        ("type = 'flat' OR field_of_view = 360", "(s.pictures_360 < s.pictures) OR (s.pictures_360 > 0)"),
        ("TIMESTAMP('2024-01-01T00:00:00Z') < datetime",
         "(s.datetime_max >= $1::timestamptz AND s.datetime_min <= 'infinity')"),
        ("T_BEFORE(datetime, TIMESTAMP('2024-01-01T00:00:00Z'))",
         "(s.datetime_max >= '-infinity' AND s.datetime_min <= $1::timestamptz)"),
        ("S_INTERSECTS(geometry, POINT(1 2))", "s.extent && $1::geometry"),
        ("S_DISJOINT(geometry, POINT(1 2))", None),
        ("datetime < created", None),
    ],
)  # fmt: skip
def test_what_a_filter_says_of_sequences(text: str, sql: str | None) -> None:
    found = narrowing(cql2.parse_text(text).to_json())
    assert (None if found is None else found.sql) == sql


def test_predicates_are_numbered_together() -> None:
    one, two = Predicate("a = $1 OR a = $2", (1, 2)), Predicate("b = $1", (3,))
    joined = both([one, None, two])
    assert joined is not None
    assert joined.at(11).sql == "(a = $11 OR a = $12) AND (b = $13)"
    assert joined.arguments == (1, 2, 3)
    assert compile_filter("type = 'flat' AND license = 'x'", None, PICTURES, first=4).sql.count("$4::text") == 1


def test_sequences_are_filtered_by_what_they_know() -> None:
    text = "T_INTERSECTS(datetime, INTERVAL('..', '2024-01-01')) AND S_INTERSECTS(geometry, BBOX(1,2,3,4))"
    text += " AND title LIKE 'a%'"
    assert len(compile_filter(text, None, SEQUENCES).arguments) == 3
    for wrong in (
        "datetime > TIMESTAMP('2024-01-01T00:00:00Z')",
        "semantics.x = 'y'",
        "S_TOUCHES(geometry, POINT(1 2))",
    ):
        with pytest.raises(BadRequest):
            compile_filter(wrong, None, SEQUENCES)


@pytest.mark.parametrize("vocabulary", [PICTURES, SEQUENCES])
def test_every_queryable_has_a_type_and_a_description(vocabulary: Any) -> None:
    properties: Any = queryables_schema(vocabulary)["properties"]
    for name, said in properties.items():
        assert said["description"] and ("type" in said or "$ref" in said), name
