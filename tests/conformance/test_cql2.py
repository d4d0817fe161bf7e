"""CQL2's spatial and temporal operators (OGC 21-065r2, annex A) on pictures whose places and moments are known."""

from __future__ import annotations

import httpx2
import pytest

from tests.conformance.conftest import Judged

#: the first street: 15 pictures going east from 2.34, one a second from here on
DAY = "2023-03-01T08:00:"


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        (f"T_AFTER(datetime, TIMESTAMP('{DAY}04Z'))", 10),
        (f"T_BEFORE(datetime, TIMESTAMP('{DAY}04Z'))", 4),
        (f"T_EQUALS(datetime, TIMESTAMP('{DAY}04Z'))", 1),
        (f"T_DISJOINT(datetime, TIMESTAMP('{DAY}04Z'))", 14),
        (f"T_INTERSECTS(datetime, TIMESTAMP('{DAY}04Z'))", 1),
        (f"T_INTERSECTS(datetime, INTERVAL('{DAY}04Z', '{DAY}06Z'))", 3),
        (f"T_DISJOINT(datetime, INTERVAL('{DAY}04Z', '{DAY}06Z'))", 12),
        (f"T_DURING(datetime, INTERVAL('{DAY}04Z', '{DAY}06Z'))", 1),
        (f"T_AFTER(datetime, INTERVAL('{DAY}04Z', '{DAY}06Z'))", 8),
        (f"T_BEFORE(datetime, INTERVAL('{DAY}04Z', '{DAY}06Z'))", 4),
        (f"T_INTERSECTS(datetime, INTERVAL('{DAY}10Z', '..'))", 5),
        ("S_INTERSECTS(geometry, BBOX(2.34025, 48, 2.34085, 49))", 6),
        ("S_WITHIN(geometry, POLYGON((2.34025 48, 2.34085 48, 2.34085 49, 2.34025 49, 2.34025 48)))", 6),
        ("S_DISJOINT(geometry, POLYGON((2.34025 48, 2.34085 48, 2.34085 49, 2.34025 49, 2.34025 48)))", 9),
        ("S_INTERSECTS(geometry, POINT(2.34 48.85))", 1),
        ("S_EQUALS(geometry, POINT(2.34 48.85))", 1),
        ("S_INTERSECTS(geometry, MULTIPOINT((2.34 48.85), (10 10)))", 1),
        ("NOT S_INTERSECTS(geometry, BBOX(2.34025, 48, 2.34085, 49))", 9),
    ],
)
def test_operators_find_what_the_standard_says(judged: Judged, expression: str, count: int) -> None:
    asked = {"collections": judged.sequences[0].id, "filter": expression, "limit": "100"}
    answer = httpx2.get(f"{judged.url}/search", params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["numberReturned"] == count
