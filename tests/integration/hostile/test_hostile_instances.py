"""Whatever an instance does: its visit ends in bounded time and memory, its record says why, the others go on."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import psutil
import pytest

from harvester.progress import Progress
from tests.harvest_world import World
from tests.hostile import (
    Behaviour,
    Exchange,
    answer,
    cut,
    drip,
    drip_headers,
    endless,
    endless_interim,
    gzip_bomb,
    raw,
    redirect,
    reset,
    silence,
)
from tests.liar import Liar

#: Short enough to wait for. The body ceiling is far below what the bodies here would be.
LIMITS: dict[str, Any] = {
    "outbound_connect_timeout_s": 0.5,
    "outbound_first_byte_timeout_s": 0.5,
    "outbound_read_timeout_s": 0.5,
    "outbound_total_timeout_s": 1.0,
    "outbound_body_max_bytes": 4_000_000,
    "listing_pages_max": 12,
    "sequence_pages_max": 12,
    "brake_pictures": 5,
}
#: No visit here may last longer, whatever the instance does: a few requests of a second each, on a busy machine.
VISIT_LAST_S = 20.0
MEMORY_GROWTH_MAX_BYTES = 150_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the hostile instance's visit ended, and what is written about it."""

    progress: Progress
    run: asyncpg.Record
    retries: list[str]


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    async with Liar() as running:
        yield running


@asynccontextmanager
async def little_memory(most_bytes: int) -> AsyncIterator[None]:
    process = psutil.Process()
    before = most = process.memory_info().rss

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
    assert most - before <= most_bytes, f"{(most - before) / 1e6:.0f} MB more than before"


async def besieged(world: World, url: str, *, memory_bytes: int = MEMORY_GROWTH_MAX_BYTES, **limits: Any) -> Ended:
    """Harvest the hostile instance and an honest one at once, in one process; what must hold whatever happens."""
    if "hostile" not in {row["name"] for row in await world.admin.fetch("SELECT name FROM instances")}:
        await world.register("hostile", url)
    north = world.origins.get("north") or await world.origin("north")
    for _ in range(3):
        north.add_sequence(7)
    started = time.monotonic()
    async with little_memory(memory_bytes), asyncio.timeout(VISIT_LAST_S):
        hostile, honest = await asyncio.gather(
            world.visit("hostile", **{**LIMITS, **limits}), world.visit("north", **{**LIMITS, **limits})
        )
    assert honest.outcome == "done", honest.last_error
    assert honest.elapsed_s < VISIT_LAST_S and time.monotonic() - started < VISIT_LAST_S
    await world.check()
    run = await world.admin.fetchrow(
        "SELECT r.* FROM runs r JOIN instances i ON i.n = r.instance WHERE i.name = 'hostile' ORDER BY r.n DESC LIMIT 1"
    )
    assert run is not None and run["ended_at"] is not None
    rows = await world.admin.fetch("SELECT error FROM retries")
    return Ended(progress=hostile, run=run, retries=[row["error"] for row in rows])


def failed_with(ended: Ended, text: str) -> None:
    assert (ended.run["outcome"], ended.progress.outcome) == ("failed", "failed")
    assert text in ended.run["last_error"]


# the listing: the visit fails


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        pytest.param(silence(), "no first byte within 0.5 s", id="silence"),
        pytest.param(drip(b"x" * 1_000, every_s=0.05), "the whole answer took over 1 s", id="drip"),
        pytest.param(drip(b"x" * 1_000, every_s=5, sent=10), "idle for 0.5 s", id="idle"),
        pytest.param(drip_headers(every_s=0.05), "the whole answer took over 1 s", id="endless headers"),
        pytest.param(endless_interim(), "the whole answer took over 1 s", id="endless 1xx"),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), "not an HTTP answer", id="huge header"
        ),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n"), "not an HTTP answer", id="many headers"
        ),
        pytest.param(endless(), "more than 4,000,000 bytes", id="endless body"),
        pytest.param(gzip_bomb(500), "more than 4,000,000 bytes after decompression", id="gzip bomb"),
        pytest.param(redirect("/api/collections"), "more than 5 redirects", id="redirect loop"),
        pytest.param(answer(b"<html><body>Welcome!</body></html>"), "not the JSON expected", id="HTML"),
        pytest.param(answer(b'{"collections": [{"id": "4c6'), "not the JSON expected", id="half a JSON"),
        pytest.param(answer({"collections": "many"}), "not the JSON expected", id="another shape"),
        pytest.param(cut(b'{"collections": []}', announced=1_000), "before its announced length", id="wrong length"),
        pytest.param(reset(), "connection closed before an answer", id="reset"),
        pytest.param(answer(b"[" * 1_000_000), "not the JSON expected", id="deep JSON"),
        pytest.param(answer({}, status=503), "status 503", id="storm of 503"),
        pytest.param(answer({}, status=429, headers={"Retry-After": "3600"}), "status 429", id="long Retry-After"),
        pytest.param(answer({}, status=404), "status 404", id="404"),
    ],
)
async def test_a_listing_that_is_none_ends_the_visit(world: World, liar: Liar, behaviour: Behaviour, text: str) -> None:
    liar.on("/collections", behaviour)
    failed_with(await besieged(world, liar.url), text)
    assert len(liar.server.requests) < 30


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/api/collections",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "https://panoramax.example.org/api/collections",
        "http://127.0.0.1:1/",
        "http://somebody:secret@127.0.0.1/",
        "file:///etc/passwd",
    ],
)
async def test_a_redirect_elsewhere_ends_the_visit_before_a_socket_is_made(
    world: World, liar: Liar, connected: list[str], location: str
) -> None:
    liar.on("/collections", redirect(location))
    ended = await besieged(world, liar.url)
    assert ended.run["outcome"] == "failed"
    assert "secret" not in ended.run["last_error"] + ended.run["last_error_url"]
    assert set(connected) == {liar.server.url[7:], world.origins["north"].url[7:].removesuffix("/api")}


async def test_a_server_that_never_ends_its_handshake_ends_the_visit(world: World) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        failed_with(await besieged(world, f"https://127.0.0.1:{port}/api"), "no connection within 0.5 s")


async def test_a_server_that_is_not_there_ends_the_visit(world: World) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        failed_with(await besieged(world, f"http://127.0.0.1:{unused.getsockname()[1]}/api"), "connection refused")


async def test_a_listing_without_end_is_cut(world: World, liar: Liar) -> None:
    """Every page has a sequence of its own, so 10 million items are a matter of patience only."""

    async def more(exchange: Exchange) -> None:
        if "limit=1&" in exchange.request.target:  # how it can be asked
            await answer({"collections": [], "links": []})(exchange)
            return
        number = len(liar.truth.sequences) + 1
        made = liar.truth.add_sequence(1, id=f"{number:08x}-0000-4000-8000-000000000000")
        await answer({"collections": [liar.truth.collection(made)], "links": []})(exchange)

    liar.on("/collections", more)
    failed_with(await besieged(world, liar.url), "has no end")
    assert len(liar.server.asked("/api/collections")) < 20


async def test_a_listing_that_is_its_own_next_page_is_cut(world: World) -> None:
    async with Liar(version="plain") as liar:
        sequence = liar.truth.add_sequence(2)
        page = {
            "collections": [liar.truth.collection(sequence)],
            "links": [{"rel": "next", "href": f"{liar.url}/collections?limit=4"}],
        }
        liar.on("/collections", answer(page))
        failed_with(await besieged(world, liar.url), "comes back to")


# a sequence: it goes to retries, its neighbours are merged


Make = Callable[[Liar, str], Behaviour]


def endless_pages(liar: Liar, sequence: str) -> Behaviour:
    """New items under new ids, and always a next page."""

    async def behave(exchange: Exchange) -> None:
        there = liar.truth.sequences[sequence]
        there.pictures = [liar.truth.new_picture(2.0, 48.0 + n / 1_000) for n in range(5)]
        page = len(liar.server.requests)
        await answer(liar.items(sequence, link=f"{liar.url}/collections/{sequence}/items?page={page}"))(exchange)

    return behave


def endless_same(liar: Liar, sequence: str) -> Behaviour:
    """The same items on every page."""

    async def behave(exchange: Exchange) -> None:
        page = len(liar.server.requests)
        await answer(liar.items(sequence, link=f"{liar.url}/collections/{sequence}/items?page={page}"))(exchange)

    return behave


def own_next(liar: Liar, sequence: str) -> Behaviour:
    liar.truth.sequences[sequence].pictures.clear()
    return answer(liar.items(sequence, link=f"{liar.url}/collections/{sequence}/items?limit=5"))


def twice(liar: Liar, sequence: str) -> Behaviour:
    page = liar.items(sequence)
    return answer(page | {"features": page["features"] * 2})


def next_elsewhere(liar: Liar, sequence: str) -> Behaviour:
    return answer(liar.items(sequence, link="http://169.254.169.254/latest/meta-data/"))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        pytest.param(endless_pages, "has no end", id="endless pages"),
        pytest.param(endless_same, "twice", id="endless pages of the same"),
        pytest.param(own_next, "come", id="next to itself"),
        pytest.param(twice, "twice", id="duplicate ids"),
        pytest.param(next_elsewhere, "is not the origin", id="next elsewhere"),
        pytest.param(lambda liar, sequence: answer(b"<html>"), "not the JSON expected", id="HTML"),
        pytest.param(lambda liar, sequence: gzip_bomb(100), "after decompression", id="gzip bomb"),
        pytest.param(lambda liar, sequence: silence(), "no first byte", id="silence"),
        pytest.param(lambda liar, sequence: answer({}, status=500), "status 500", id="500"),
    ],
)
async def test_a_sequence_that_cannot_be_read_waits_in_retries(world: World, liar: Liar, make: Make, text: str) -> None:
    liar.truth.add_sequence(2)
    bad = liar.truth.add_sequence(3)
    liar.truth.add_sequence(2)
    liar.on(f"/collections/{bad.id}/items", make(liar, bad.id))
    ended = await besieged(world, liar.url)
    assert ended.run["outcome"] == "partial", ended.run["last_error"]
    assert len(ended.retries) == 1 and text in ended.retries[0]
    served = [of for of, _ in (await world.served()).values()]
    assert bad.id not in served and len(served) == 4 + 21


async def test_a_sequence_under_another_id_is_refused(world: World, liar: Liar) -> None:
    asked, given = liar.truth.add_sequence(12), liar.truth.add_sequence(2)
    liar.on(f"/collections/{asked.id}", answer(liar.truth.collection(given)))
    ended = await besieged(world, liar.url)
    assert ended.run["outcome"] == "partial"
    assert f"it gave {given.id}" in ended.retries[0]


# items: they go to quarantine, their sequence is merged


async def quarantined(world: World) -> list[str]:
    return [row["field"] for row in await world.admin.fetch("SELECT field FROM quarantine ORDER BY field")]


async def test_numbers_that_are_none_harm_only_their_item(world: World, liar: Liar) -> None:
    good = liar.truth.add_sequence(3)
    bad = liar.truth.item(liar.truth.new_picture(1.0, 2.0), good, 9)
    bad["geometry"]["coordinates"] = [float("nan"), float("-inf")]
    liar.on(f"/collections/{good.id}/items", answer(json.dumps(liar.items(good.id, more=[bad])).encode()))
    ended = await besieged(world, liar.url)
    assert (ended.run["outcome"], ended.run["pictures_quarantined"]) == ("partial", 1)
    assert len(await world.served()) == 3 + 21


async def test_a_property_of_50_megabytes_harms_only_its_item(world: World, liar: Liar) -> None:
    good = liar.truth.add_sequence(3)
    bad = liar.truth.item(liar.truth.new_picture(1.0, 2.0), good, 9)
    bad["properties"]["exif"] = {"Exif.Photo.MakerNote": "x" * 50_000_000}
    body = json.dumps(liar.items(good.id, more=[bad])).encode()
    del bad
    liar.on(f"/collections/{good.id}/items", answer(body))
    limits: dict[str, Any] = {"outbound_body_max_bytes": 64_000_000, "outbound_total_timeout_s": 10}
    ended = await besieged(world, liar.url, memory_bytes=400_000_000, **limits)
    assert (ended.run["outcome"], ended.run["pictures_quarantined"]) == ("partial", 1)
    assert len(await world.served()) == 3 + 21
    kept = await world.admin.fetchval("SELECT max(length(body)) FROM quarantine")
    assert kept <= world.settings.quarantine_body_bytes


# an instance that was well once


async def once_well(world: World, liar: Liar) -> dict[str, object]:
    for _ in range(3):
        liar.truth.add_sequence(4)
    ended = await besieged(world, liar.url)
    assert ended.run["outcome"] == "done", ended.run["last_error"]
    return {id: item for id, item in (await world.served()).items() if item[0] in liar.truth.sequences}


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answer({}, status=404), id="404 for everything"),
        pytest.param(answer({}, status=500), id="500 for everything"),
        pytest.param(answer({"collections": [], "links": []}), id="empty for everything"),
        pytest.param(answer(b"<html>moved</html>"), id="HTML for everything"),
    ],
)
@pytest.mark.parametrize("version", ["2.15", "plain"])
async def test_an_instance_that_seems_to_lose_everything_loses_nothing_here(
    world: World, behaviour: Behaviour, version: str
) -> None:
    async with Liar(version=version) as liar:
        before = await once_well(world, liar)
        for path in list(liar.truth.sequences):
            liar.on(f"/collections/{path}", behaviour)
            liar.on(f"/collections/{path}/items", behaviour)
        liar.on("/collections", behaviour)
        liar.on("", behaviour)
        liar.on("/", behaviour)
        await besieged(world, liar.url)
        after = await world.served()
        assert {id: after.get(id) for id in before} == before


async def test_an_instance_that_died_is_left_alone_for_a_while(world: World) -> None:
    async with Liar() as liar:
        await once_well(world, liar)
    limits: dict[str, Any] = {"breaker_faults": 3}
    for _ in range(3):
        assert (await world.visit("hostile", **LIMITS, **limits)).last_error == "connection refused"
    ended = await besieged(world, liar.url, **limits)
    failed_with(ended, "3 requests in a row got no answer")
    assert ended.run["requests"] == 0
    wait_s = await world.admin.fetchval(
        "SELECT extract(epoch FROM next_visit_at - now())::float8 FROM instances WHERE name = 'hostile'"
    )
    assert wait_s >= 25


async def test_a_long_retry_after_sets_the_time_of_the_next_visit(world: World, liar: Liar) -> None:
    liar.on("/collections", answer({}, status=503, headers={"Retry-After": "50000"}))
    failed_with(await besieged(world, liar.url), "status 503")
    wait_s = await world.admin.fetchval(
        "SELECT extract(epoch FROM next_visit_at - now())::float8 FROM instances WHERE name = 'hostile'"
    )
    assert 49_900 < wait_s <= 50_000
    assert len(liar.server.asked("/api/collections")) == 1
