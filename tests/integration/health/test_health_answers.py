"""What the catalog tells of a federation with a past: as JSON and CSV, as events of visits, as feeds, as metrics."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import asyncpg
import httpx2
import orjson
import pytest
import yaml

from bench.history import Past, seed

INSTANCES, DAYS = 12, 40
ATOM = "{http://www.w3.org/2005/Atom}"
DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.fixture
async def admin(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def past(admin: asyncpg.Connection) -> list[Past]:
    return await seed(admin, instances=INSTANCES, days=DAYS)


async def get(client: httpx2.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(client: httpx2.AsyncClient, path: str) -> tuple[int, str]:
    answer = await client.get(path)
    return answer.status_code, answer.json()["message"]


async def test_the_federation_is_told_at_once(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    told = await get(client, "/api/health")
    whole = told["federation"]
    assert whole["instances"] == INSTANCES == len(told["instances"])
    assert whole["nb_pictures"] == sum(each.pictures for each in past)
    assert whole["states"] == {"braked": 1, "failing": 1, "fresh": 9, "paused": 1}
    assert whole["visits_running"] == 0 and whole["last_sign_of_harvester"]
    # who needs somebody comes first
    assert [each["state"] for each in told["instances"]][:2] == ["failing", "braked"]
    worst = told["instances"][0]
    row = await admin.fetchrow(
        "SELECT sum(up_s) / sum(up_s + down_s) AS up, sum(answering_s) / sum(requests) AS latency,"
        " sum(d.failures)::float8 / sum(d.visits + d.failures) AS errors"
        " FROM days d JOIN instances i ON i.n = d.instance WHERE i.id = $1 AND day > now()::date - 7", worst["id"],
    )  # fmt: skip
    assert row is not None
    assert worst["uptime"]["days_7"] == pytest.approx(row["up"], abs=1e-5)
    assert worst["latency_s"] == pytest.approx(row["latency"], abs=1e-3)
    assert worst["error_rate"] == pytest.approx(row["errors"], abs=1e-4)
    assert worst["reason"] and worst["errors"][0]["error"] and worst["certificate_until"]


async def test_an_instance_has_its_health_with_it(client: httpx2.AsyncClient, past: list[Past]) -> None:
    one = await get(client, f"/api/instances/{past[3].name}")
    assert one["health"]["state"] == "fresh" and one["nb_pictures"] == past[3].pictures
    every = (await get(client, "/api/instances"))["instances"]
    assert {each["name"]: each["health"]["state"] for each in every}[past[3].name] == "fresh"


async def test_the_numbers_behind_the_charts_add_up(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    together = await get(client, "/api/health/days?days=30")
    rows = [dict(zip(together["columns"], row, strict=True)) for row in together["rows"]]
    assert len(rows) == 30 and rows == sorted(rows, key=lambda row: row["day"])
    sums = await admin.fetchrow("SELECT sum(visits) v, sum(failures) f FROM days WHERE day > now()::date - 30")
    assert sums is not None
    assert (sum(row["visits"] for row in rows), sum(row["failures"] for row in rows)) == (sums["v"], sums["f"])
    held = await admin.fetchval(
        "SELECT sum(pictures) FROM (SELECT DISTINCT ON (instance) pictures FROM days ORDER BY instance, day DESC) x"
    )
    assert rows[-1]["pictures"] == held
    one = await get(client, f"/api/health/days?instance={past[2].name}")
    assert {row[0] for row in one["rows"]} == {past[2].name}
    months = await get(client, "/api/health/months")
    assert sum(row[2] for row in months["rows"]) == await admin.fetchval("SELECT sum(pictures) FROM month_counts")
    await admin.execute("INSERT INTO freshness VALUES ($1, now()::date, 60, 9)", past[2].n)
    assert (await get(client, "/api/health/freshness"))["rows"] == [[past[2].name, 60, 9]]


async def test_a_day_without_a_count_has_the_one_before(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    await admin.execute("UPDATE days SET pictures = NULL WHERE day = now()::date AND instance = $1", past[0].n)
    told = await get(client, "/api/health/days?days=2")
    held = [row[told["columns"].index("pictures")] for row in told["rows"]]
    assert len(held) == 2 and held[1] >= held[0]


async def test_a_table_is_a_file_too(client: httpx2.AsyncClient, past: list[Past]) -> None:
    answer = await client.get("/api/health/days?instance=*&format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="days.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["instance"] for row in rows} == {each.name for each in past}
    told = await get(client, "/api/health/days?instance=*")
    assert len(rows) == len(told["rows"]) and list(rows[0]) == told["columns"]


async def test_what_cannot_be_asked_is_named(client: httpx2.AsyncClient, past: list[Past]) -> None:
    assert await refused(client, "/api/health/weeks") == (
        404, "there is no table 'weeks': only days, months, freshness",
    )  # fmt: skip
    assert (await refused(client, "/api/health/days?format=xml"))[1] == "format: is neither json nor csv"
    for days in ("0", "x", "99999", "-1", "\N{SUPERSCRIPT TWO}"):
        assert (await refused(client, f"/api/health/days?days={days}"))[0] == 400
    assert (await refused(client, "/api/health/days?instance=nobody"))[0] == 404
    assert (await refused(client, "/api/runs/0"))[1] == "n: is not the number of a visit"
    assert (await refused(client, "/api/runs/99999999999999999999"))[0] == 400
    assert (await refused(client, "/api/runs/999999"))[0] == 404
    assert (await refused(client, f"/api/runs?instance={past[0].name}&before=x"))[0] == 400


async def begin(admin: asyncpg.Connection, instance: int, **columns: object) -> int:
    """A visit under way."""
    values = {"sequences_expected": 0, "pictures_expected": 0, "pictures_seen": 0, "phase": "reading changes"} | columns
    names = ", ".join(values)
    places = ", ".join(f"${place}" for place in range(2, len(values) + 2))
    number: int = await admin.fetchval(
        f"INSERT INTO runs (instance, started_at, {names}) VALUES ($1, now() - interval '60 s', {places}) RETURNING n",
        instance, *values.values(),
    )  # fmt: skip
    await admin.execute("UPDATE instances SET run = $2 WHERE n = $1", instance, number)
    return number


async def test_a_visit_tells_how_far_it_is(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    number = await begin(admin, past[1].n, pictures_expected=4_000, pictures_seen=1_000)
    (run,) = (await get(client, "/api/runs"))["runs"]
    assert run["n"] == number and run["instance"] == {"id": past[1].name, "name": past[1].name}
    assert run["progress"]["share"] == 0.25 and not run["progress"]["open_ended"]
    # a quarter in a minute: three minutes are left
    assert run["progress"]["left_s"] == pytest.approx(180, abs=20)
    assert (await get(client, f"/api/runs/{number}"))["outcome"] == "running"
    # whoever gives no sign of life is not under way
    await admin.execute("UPDATE runs SET alive_at = now() - interval '10 min' WHERE n = $1", number)


async def test_past_visits_are_listed_page_by_page(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    path, seen = f"/api/runs?instance={past[1].name}&limit=100", list[int]()
    before: int | None = None
    for _ in range(5):
        page = await get(client, path + (f"&before={before}" if before else ""))
        seen += [run["n"] for run in page["runs"]]
        before = page["before"]
        if before is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == await admin.fetchval("SELECT count(*) FROM runs WHERE instance = $1", past[1].n) == DAYS * 6


async def test_what_goes_on_is_told_as_it_changes(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    """A stream, so that nobody has to ask again."""
    async with client.stream("GET", "/api/runs/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        told = _events(answer)
        assert await anext(told) == ("runs", [])
        kind, states = await anext(told)
        assert kind == "states" and states[past[2].name] == "fresh"
        assert await anext(told) == ("happened", await admin.fetchval("SELECT max(n) FROM events"))
        await begin(admin, past[2].n)
        kind, runs = await anext(told)
        assert kind == "runs" and [run["instance"]["name"] for run in runs] == [past[2].name]
        await admin.execute("UPDATE instances SET state = 'paused' WHERE n = $1", past[2].n)
        while kind != "states":
            kind, states = await anext(told)
        assert states[past[2].name] == "paused"


async def _events(answer: httpx2.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for text in answer.aiter_lines():
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data: "):
            yield name, orjson.loads(text.removeprefix("data: "))


async def test_events_are_feeds(client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]) -> None:
    hostile = orjson.dumps({"reason": "]]><script>alert(1)</script>\x0b", "failures": 3}).decode()
    await admin.execute(
        "INSERT INTO events (kind, instance, actor, public, details) VALUES ('down', $1, 'harvester', true, $2)",
        past[4].n, hostile,
    )  # fmt: skip
    await admin.execute("INSERT INTO events (kind, actor, public) VALUES ('token-made', 'command line', false)")
    answer = await client.get("/events.atom")
    assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    feed = ElementTree.fromstring(answer.content)
    entries = feed.findall(f"{ATOM}entry")
    assert entries[0].findtext(f"{ATOM}title") == f"{past[4].name} does not answer"
    assert entries[0].findtext(f"{ATOM}summary") == "]]><script>alert(1)</script>\N{REPLACEMENT CHARACTER}"
    assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == len(entries)
    assert feed.findtext(f"{ATOM}updated") == entries[0].findtext(f"{ATOM}updated")
    told = await get(client, "/events.json?lang=fr")
    assert told["version"] == "https://jsonfeed.org/version/1.1" and told["language"] == "fr"
    assert told["items"][0]["title"] == f"{past[4].name} ne répond pas"
    assert {item["_panofed"]["kind"] for item in told["items"]} <= {"down", "back", "joined"}
    # the same event has the same id in every language
    assert [item["id"] for item in told["items"]] == [entry.findtext(f"{ATOM}id") for entry in entries]
    only = await get(client, f"/events.json?instance={past[4].name}")
    assert {item["_panofed"]["name"] for item in only["items"]} == {past[4].name}
    # it goes, and what happened to it stays
    await admin.execute("UPDATE events SET instance = NULL WHERE instance = $1", past[4].n)
    assert (await get(client, "/events.json"))["items"][0]["_panofed"]["instance"] is None


async def test_the_map_of_coverage_has_a_hexagon_for_every_cell(
    client: httpx2.AsyncClient, admin: asyncpg.Connection, past: list[Past]
) -> None:
    answer = await client.get("/coverage.svg")
    assert answer.headers["content-type"] == "image/svg+xml; charset=utf-8"
    assert "script" not in answer.headers["content-security-policy"]
    of_resolution_3 = "SELECT count(DISTINCT cell) FROM cell_counts WHERE (cell >> 52) & 15 = 3"
    assert hexagons(answer.text) == await admin.fetchval(of_resolution_3)
    only = await client.get(f"/coverage.svg?instance={past[7].name}")
    cells = await admin.fetch(
        "SELECT count(DISTINCT cell) AS cells FROM cell_counts WHERE instance = $1 GROUP BY (cell >> 52) & 15",
        past[7].n,
    )
    assert hexagons(only.text) in {row["cells"] for row in cells}
    await admin.execute("UPDATE leaf_set SET hidden = ARRAY[$1]::smallint[]", past[7].n)
    assert hexagons((await client.get(f"/coverage.svg?instance={past[7].name}")).text) == 0
    assert (await client.get("/coverage.svg?instance=nobody")).status_code == 404


def hexagons(svg: str) -> int:
    root = ElementTree.fromstring(svg)
    paths = [each.get("d", "") for each in root if re.fullmatch(r"c\d", each.get("class", ""))]
    return sum(path.count("M") for path in paths)


async def test_an_empty_catalog_has_a_map_and_a_feed(client: httpx2.AsyncClient) -> None:
    assert hexagons((await client.get("/coverage.svg")).text) == 0
    assert len(ElementTree.fromstring((await client.get("/events.atom")).content).findall(f"{ATOM}entry")) == 0
    assert (await get(client, "/api/health"))["federation"]["instances"] == 0
    assert (await get(client, "/api/health/days"))["rows"] == []


async def test_every_metric_the_dashboard_reads_is_told(client: httpx2.AsyncClient, past: list[Past]) -> None:
    await client.get("/api/instances")
    text = (await client.get("/metrics")).text
    told = set(re.findall(r"^(panofed_\w+)", text, re.MULTILINE))
    dashboard = (DEPLOY / "grafana/panofed.json").read_text(encoding="utf-8")
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8"))
    read = " ".join([*re.findall(r'"expr": "(.*)"', dashboard),
                     *(rule["expr"] for group in rules["groups"] for rule in group["rules"])])  # fmt: skip
    wanted = set(re.findall(r"\bpanofed_\w+", read))
    assert len(wanted) > 15
    # there is nothing to tell before somebody waits, or before a change came
    assert wanted - told <= {"panofed_instance_changes_within_seconds"}
    assert f'panofed_instance_health{{health="fresh",instance="{past[3].name}"}} 1.0' in text
    assert f'panofed_instance_pictures{{instance="{past[3].name}"}} ' in text
    assert 'panofed_notices_waiting{channel="webhook"}' in text
