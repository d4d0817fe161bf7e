"""CQL2's functions and comparisons (OGC 21-065r2, annex A) on pictures whose places and moments are known."""

from __future__ import annotations

import httpx2
import pytest

from tests.conformance.conftest import Judged

#: The first street: 15 pictures going east from 2.34 along a line, one a second from here on.
DAY = "2023-03-01T08:00:"
RING = "(2.34025 48, 2.34085 48, 2.34085 49, 2.34025 49, 2.34025 48)"
#: Holds six of them.
POLYGON = f"POLYGON({RING})"
ALONG = "LINESTRING(2.34 48.85, 2.3421 48.85)"

TEMPORAL = [
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
    ("T_AFTER(datetime, DATE('2023-02-28'))", 15),
    ("T_INTERSECTS(datetime, DATE('2023-03-01'))", 15),
]
#: Of intervals that begin with each picture and end at 08:00:20: function, the other interval's seconds, how many.
INTERVALS = [
    ("T_AFTER", "04", "10", 4), ("T_BEFORE", "21", "30", 15), ("T_CONTAINS", "04", "10", 4),
    ("T_DISJOINT", "04", "10", 4), ("T_DISJOINT", "21", "30", 15), ("T_DURING", "04", "30", 10),
    ("T_EQUALS", "04", "20", 1), ("T_FINISHEDBY", "04", "20", 4), ("T_FINISHES", "04", "20", 10),
    ("T_INTERSECTS", "04", "10", 11), ("T_MEETS", "20", "30", 15), ("T_METBY", "04", "10", 1),
    ("T_OVERLAPPEDBY", "04", "10", 5), ("T_OVERLAPS", "04", "30", 4), ("T_STARTEDBY", "04", "10", 1),
    ("T_STARTS", "04", "30", 1),
]  # fmt: skip
SPATIAL = [
    ("S_INTERSECTS(geometry, BBOX(2.34025, 48, 2.34085, 49))", 6),
    ("S_INTERSECTS(geometry, POINT(2.34 48.85))", 1),
    ("S_INTERSECTS(geometry, MULTIPOINT((2.34 48.85), (10 10)))", 1),
    (f"S_INTERSECTS(geometry, {ALONG})", 15),
    ("S_INTERSECTS(geometry, MULTILINESTRING((2.34 48, 2.34 49), (1 1, 2 2)))", 1),
    (f"S_INTERSECTS(geometry, {POLYGON})", 6),
    (f"S_INTERSECTS(geometry, MULTIPOLYGON(({RING})))", 6),
    (f"S_INTERSECTS(geometry, GEOMETRYCOLLECTION(POINT(2.34 48.85), {POLYGON}))", 7),
    ("NOT S_INTERSECTS(geometry, BBOX(2.34025, 48, 2.34085, 49))", 9),
    (f"S_WITHIN(geometry, {POLYGON})", 6),
    (f"S_DISJOINT(geometry, {POLYGON})", 9),
    (f"S_CONTAINS({POLYGON}, geometry)", 6),
    ("S_CONTAINS(geometry, POINT(2.34 48.85))", 1),
    ("S_EQUALS(geometry, POINT(2.34 48.85))", 1),
    # an end of the line is its boundary; points have none, so they cross and overlap nothing
    (f"S_TOUCHES(geometry, {ALONG})", 1),
    (f"S_CROSSES(geometry, {ALONG})", 0),
    ("S_OVERLAPS(geometry, MULTIPOINT((2.34 48.85), (10 10)))", 0),
]
COMPARISONS = [
    # property-property
    ("created > datetime", 15), ("created <= datetime", 0), ("datetime = datetime", 15), ("instance = type", 0),
    # case- and accent-insensitive: the instance is north
    ("CASEI(instance) = CASEI('NORTH')", 15), ("instance = 'NORTH'", 0), ("CASEI(instance) LIKE CASEI('NO%')", 15),
    ("ACCENTI(instance) = ACCENTI('nörth')", 15), ("instance = 'nörth'", 0),
    ("ACCENTI(CASEI(instance)) = ACCENTI(CASEI('NÖRTH'))", 15), ("CASEI(instance) IN (CASEI('NORTH'))", 15),
    # advanced comparisons
    ("instance LIKE 'n_rt%'", 15), ("instance NOT LIKE 'no%'", 0),
    ("geovisio:rank_in_collection BETWEEN 2 AND 4", 3), ("geovisio:rank_in_collection IN (1, 2, 99)", 2),
    ("geovisio:rank_in_collection NOT IN (1, 2, 99)", 13),
    # basic
    ("instance = 'north' AND NOT geovisio:rank_in_collection > 3", 3), ("instance IS NULL", 0),
    ("instance IS NOT NULL", 15), ("geovisio:rank_in_collection = 1 OR geovisio:rank_in_collection = 15", 2),
    (f"datetime = TIMESTAMP('{DAY}04Z')", 1), ("datetime > DATE('2023-03-01')", 0),
]  # fmt: skip


def found(judged: Judged, expression: str) -> int:
    asked = {"collections": judged.sequences[0].id, "filter": expression, "limit": "100"}
    answer = httpx2.get(f"{judged.url}/search", params=asked)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["numberReturned"])


@pytest.mark.parametrize(("expression", "count"), TEMPORAL)
def test_temporal_functions_of_instants(judged: Judged, expression: str, count: int) -> None:
    assert found(judged, expression) == count


@pytest.mark.parametrize(("function", "start", "end", "count"), INTERVALS)
def test_temporal_functions_of_intervals(judged: Judged, function: str, start: str, end: str, count: int) -> None:
    own, other = f"INTERVAL(datetime, '{DAY}20Z')", f"INTERVAL('{DAY}{start}Z', '{DAY}{end}Z')"
    assert found(judged, f"{function}({own}, {other})") == count


@pytest.mark.parametrize(("expression", "count"), SPATIAL)
def test_spatial_functions(judged: Judged, expression: str, count: int) -> None:
    assert found(judged, expression) == count


@pytest.mark.parametrize(("expression", "count"), COMPARISONS)
def test_comparisons(judged: Judged, expression: str, count: int) -> None:
    assert found(judged, expression) == count


def test_collections_are_filtered_by_what_their_queryables_name(judged: Judged) -> None:
    """Where they are, the list itself says."""
    listed = httpx2.get(f"{judged.url}/collections", params={"filter": "title = 'Rue de Rivoli'"}).json()
    assert [each["id"] for each in listed["collections"]] == [judged.sequences[0].id]
    (link,) = (link for link in listed["links"] if link["rel"].endswith("/queryables"))
    assert "title" in httpx2.get(link["href"]).json()["properties"]
    tree = '{"op":"t_before","args":[{"property":"datetime"},{"timestamp":"2024-01-01T00:00:00Z"}]}'
    asked = {"filter": tree, "filter-lang": "cql2-json"}
    listed = httpx2.get(f"{judged.url}/collections", params=asked).json()
    assert [each["id"] for each in listed["collections"]] == [judged.sequences[0].id]
    assert httpx2.get(f"{judged.url}/collections", params={"filter": "nothing = 1"}).status_code == 400
