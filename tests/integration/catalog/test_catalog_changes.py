"""The change feed: what a mirror made of it holds is what the catalog holds, and who missed something is told so."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from copy import deepcopy
from datetime import timedelta
from typing import Any

import asyncpg
import httpx2
import orjson
import pytest

from federation.database import Role, open_pool
from harvester.purge import purge
from tests.catalog_factory import Serving
from tests.harvest_world import World, harvest_settings
from tests.index_world import Index, index_settings
from tests.mirror import Forgotten, Mirror, without_links
from tests.origin import Origin, eventually

WRITE = "INSERT INTO changes (instance, sequence, kind) VALUES (1, $1, 'upsert')"


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    settings = harvest_settings()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        yield World(dsn=database, pool=pool, admin=admin, settings=settings, stack=stack)


@pytest.fixture
async def index(database: str) -> AsyncIterator[Index]:
    settings = index_settings()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        yield Index(database, admin, pool, settings, stack)


async def same(mirror: Mirror, world: World) -> bool:
    """Whether the mirror holds what the index serves, once it has read on."""
    await mirror.follow(100)
    served = {id: (sequence, without_links(item)) for id, (sequence, item) in (await world.served()).items()}
    titles = {
        str(row["id"]): row["title"] for row in await world.admin.fetch("SELECT id, title FROM sequences WHERE served")
    }
    return mirror.pictures() == served and mirror.titles == titles


async def is_told(index: Index) -> bool:
    """Whether no transaction, of any database of this server, holds back what was changed."""
    held = "SELECT EXISTS (SELECT FROM changes WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()))"
    return not await index.admin.fetchval(held)


async def catches_up(mirror: Mirror, world: World) -> None:
    # transactions of other databases of the same server hold the feed back
    await eventually(lambda: same(mirror, world), within_s=30)


def disturb(origin: Origin, turn: int) -> None:
    """Some of everything that happens on an instance."""
    live = [each for each in origin.sequences.values() if not each.gone and each.pictures]
    origin.add_sequence(pictures=origin.random.randrange(1, 8), at=(2.0 + turn / 50, 48.0))
    for sequence in origin.random.sample(live, min(3, len(live))):
        picture = origin.random.choice(sequence.pictures)
        action = origin.random.randrange(6)
        if action == 0:
            origin.hide_picture(picture)
        elif action == 1:
            origin.delete_picture(picture)
        elif action == 2:
            origin.move(picture, origin.random.choice(live))
        elif action == 3:
            origin.hide_sequence(sequence, hidden=True)
        elif action == 4:
            origin.edit(picture, note=str(turn))
        else:
            origin.add_picture(sequence, 2.0 + turn / 50, 48.1)


async def test_a_mirror_that_follows_while_two_instances_are_harvested_is_exact(world: World, serving: Serving) -> None:
    origins = [await world.origin(name) for name in ("north", "south")]
    for origin in origins:
        for number in range(4):
            origin.add_sequence(pictures=5, at=(2.0 + number / 10, 48.0))
    await asyncio.gather(world.visit("north"), world.visit("south"))
    async with serving() as client:
        mirror, harvesting = Mirror(client), True

        async def follow() -> None:
            await mirror.begin()
            while harvesting:
                if not await mirror.follow(limit=3):
                    await asyncio.sleep(0.01)

        following = asyncio.create_task(follow())
        for turn in range(6):
            for origin in origins:
                disturb(origin, turn)
            await asyncio.gather(world.visit("north"), world.visit("south"))
        harvesting = False
        await following
        await catches_up(mirror, world)
        assert len(mirror.sequences) > 8

        # a mirror that was stopped needs nothing but what it held and its token
        stopped = Mirror(client, token=mirror.token, sequences=deepcopy(mirror.sequences), titles=dict(mirror.titles))
        disturb(origins[0], 7)
        await world.visit("north")
        await catches_up(stopped, world)


async def test_a_transaction_that_took_its_number_first_and_commits_last_is_not_passed_by(
    index: Index, serving: Serving
) -> None:
    early = await index.writer("north")
    sequences = [await early.new_sequence() for _ in range(3)]
    for number, id in sequences:
        await early.write((number, id, early.pictures(3)))
    # it knows the leaf that is there: making one would wait for the others' transactions
    late = await index.writer("north", seed=2)
    async with serving() as client:
        mirror = Mirror(client)
        await eventually(lambda: is_told(index), within_s=30)
        await mirror.begin()
        has_its_number, may_commit = asyncio.Event(), asyncio.Event()

        async def wait(*_: object) -> None:
            has_its_number.set()
            await may_commit.wait()

        removal = asyncio.create_task(early.remove(sequences[0][0], before_commit=wait))
        await asyncio.wait_for(has_its_number.wait(), 20)
        number, id = sequences[1]
        await late.write((number, id, late.pictures(5)))
        assert await mirror.follow() == 0, "what comes after a running transaction waits for it"
        may_commit.set()
        await removal

        async def exact() -> bool:
            await mirror.follow()
            return {id: len(pictures) for id, pictures in mirror.sequences.items()} == {
                sequences[1][1]: 5,
                sequences[2][1]: 3,
            }

        await eventually(exact, within_s=30)


async def test_a_sequence_whose_copy_takes_the_free_place_is_told_of(world: World, serving: Serving) -> None:
    north, south = await world.origin("north"), await world.origin("south")
    street = north.add_sequence(pictures=2)
    theirs = south.add_sequence(pictures=1)
    theirs.pictures[0].id = street.pictures[0].id
    await world.visit("north")
    await world.visit("south")
    async with serving() as client:
        mirror = Mirror(client)
        await mirror.begin()
        assert mirror.sequences[theirs.id] == {}, "the copy that came first is served"
        north.hide_sequence(street)
        await world.visit("north")
        await catches_up(mirror, world)
        assert list(mirror.sequences) == [theirs.id]
        assert list(mirror.sequences[theirs.id]) == [street.pictures[0].id]


async def test_a_change_says_what_where_whose_and_when(world: World, serving: Serving) -> None:
    north = await world.origin("north")
    street = north.add_sequence(pictures=2, at=(2.0, 48.0), step=0.5)
    await world.visit("north")
    north.hide_sequence(street)
    await world.visit("north")
    async with serving() as client:
        found: list[dict[str, Any]] = []

        async def both() -> bool:
            found[:] = (await client.get("/api/changes")).json()["changes"]
            return len(found) == 2

        await eventually(both, within_s=30)
        came, went = found
        assert came["collection"] == went["collection"] == street.id
        assert (came["kind"], went["kind"]) == ("upsert", "remove")
        assert came["instance"] == {"id": "north", "name": "north"}
        assert came["bbox_after"] == went["bbox_before"] == pytest.approx([2.0, 48.0, 2.5, 48.0])
        assert "bbox_before" not in came and "bbox_after" not in went
        assert came["at"] <= went["at"]


class Log:
    """Changes written by hand, and read by the API."""

    def __init__(self, index: Index, client: httpx2.AsyncClient) -> None:
        self.index, self.client = index, client

    async def write(self, number: int) -> str:
        id = f"00000000-0000-4000-8000-{number:012}"
        await self.index.admin.execute(WRITE, id)

        async def there() -> bool:
            xmin = "SELECT count(*) FROM changes WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())"
            return bool(await self.index.admin.fetchval(xmin) == 0)

        await eventually(there, within_s=30)
        return id

    async def read(self, **asked: str) -> dict[str, Any]:
        answer = await self.client.get("/api/changes", params=asked)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ids(self, found: dict[str, Any]) -> list[str]:
        return [change["collection"] for change in found["changes"]]


@pytest.fixture
async def log(index: Index, serving: Serving) -> AsyncIterator[Log]:
    await index.instance()
    async with serving(changes_wait_max_s=20, changes_waiting_max=1) as client:
        yield Log(index, client)


async def test_pages_follow_each_other_by_their_tokens(log: Log) -> None:
    written = [await log.write(number) for number in range(5)]
    first = await log.read(limit="2")
    assert (first["more"], first["numberReturned"]) == (True, 2)
    (href,) = [link["href"] for link in first["links"] if link["rel"] == "next"]
    second = (await log.client.get(href)).json()
    third = await log.read(limit="2", since=second["next"])
    assert log.ids(first) + log.ids(second) + log.ids(third) == written
    assert third["more"] is False
    again = await log.read(since=third["next"])
    assert (again["changes"], again["next"]) == ([], third["next"])


async def test_now_begins_with_what_comes(log: Log) -> None:
    await log.write(1)
    token = (await log.read(since="now"))["next"]
    written = await log.write(2)
    assert log.ids(await log.read(since=token)) == [written]


async def test_only_who_missed_something_is_told_that_it_is_forgotten(log: Log) -> None:
    start = (await log.read(since="now"))["next"]
    for number in range(4):
        await log.write(number)
    second = (await log.read(limit="2"))["next"]
    first = (await log.read(limit="1"))["next"]
    await log.index.admin.execute(
        "UPDATE changes SET at = now() - interval '31 days' WHERE n IN (SELECT n FROM changes ORDER BY n LIMIT 2)"
    )
    assert await purge(log.index.pool, log.index.settings) == 2
    assert len((await log.read(since=second))["changes"]) == 2
    assert len((await log.read())["changes"]) == 2, "without a token: the oldest that are kept"
    for token in (start, first):
        answer = await log.client.get("/api/changes", params={"since": token})
        assert answer.status_code == 410
        details = answer.json()["details"]
        assert details["collections"].endswith("/api/collections?sortby=panofed:indexed")
        assert (await log.read(since=details["now"]))["changes"] == []
    # a second purge with nothing to do forgets nothing
    await purge(log.index.pool, log.index.settings)
    assert len((await log.read(since=second))["changes"]) == 2


async def test_a_restored_database_has_a_feed_of_its_own(log: Log) -> None:
    await log.write(1)
    mirror = Mirror(log.client)
    await mirror.begin()
    await log.index.admin.execute("SELECT restore_epoch()")
    with pytest.raises(Forgotten) as caught:
        await mirror.follow()
    assert "now" in caught.value.details
    await mirror.begin()
    assert await mirror.follow() == 0
    assert (await log.read())["changes"] == [], "numbers of another server's transactions mean nothing here"


async def test_a_token_from_the_future_of_this_database_is_not_believed(log: Log) -> None:
    row = await log.index.admin.fetchrow("SELECT epoch::text, pg_current_xact_id()::text AS xid FROM epochs")
    assert row is not None
    text = orjson.dumps([1, row["epoch"], int(row["xid"]) + 10**9, 0])
    answer = await log.client.get("/api/changes", params={"since": base64.urlsafe_b64encode(text).decode().rstrip("=")})
    assert answer.status_code == 410


@pytest.mark.parametrize(
    "asked",
    [{"since": "x"}, {"since": "WzEsMl0"}, {"limit": "0"}, {"wait": "-1"}, {"wait": "x"},
     {"wait": "21"}, {"wait": "nan"}, {"format": "xml"}],
)  # fmt: skip
async def test_what_cannot_be_asked_is_refused_by_name(log: Log, asked: dict[str, str]) -> None:
    answer = await log.client.get("/api/changes", params=asked)
    assert answer.status_code == 400
    assert answer.json()["details"]["parameter"] == next(iter(asked))


async def test_who_waits_hears_of_the_next_change_at_once(log: Log) -> None:
    token = (await log.read(since="now"))["next"]
    waiting = asyncio.create_task(log.read(since=token, wait="20"))
    await asyncio.sleep(0.1)
    busy = await log.client.get("/api/changes", params={"since": token, "wait": "20"})
    assert busy.status_code == 503 and busy.headers["retry-after"]
    written = await log.write(1)
    assert log.ids(await waiting) == [written]


async def test_waiting_ends_with_nothing_when_nothing_comes(log: Log) -> None:
    token = (await log.read(since="now"))["next"]
    found = await log.read(since=token, wait="0.2")
    assert (found["changes"], found["next"]) == ([], token)


async def events(
    client: httpx2.AsyncClient, wanted: int, headers: dict[str, str], **asked: str
) -> list[dict[str, str]]:
    """The first events with data."""
    found: list[dict[str, str]] = []
    async with client.stream("GET", "/api/changes", params=asked, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        event: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
                continue
            if "data" in event:
                found.append(event)
            event = {}
            if len(found) == wanted:
                return found
    raise AssertionError("the stream ended")


async def test_events_come_as_they_happen_and_go_on_after_the_last_one_seen(log: Log) -> None:
    token = (await log.read(since="now"))["next"]
    accept = {"accept": "text/event-stream"}
    listening = asyncio.create_task(events(log.client, 2, accept, since=token))
    written = [await log.write(number) for number in range(3)]
    first = await asyncio.wait_for(listening, 30)
    assert [orjson.loads(event["data"])["collection"] for event in first] == written[:2]

    async def connected_again() -> bool:
        # the place of the first listener is free as soon as it is noticed that it left
        try:
            # an EventSource asks with its first address again: the last id counts
            last = {**accept, "last-event-id": first[-1]["id"]}
            rest = await asyncio.wait_for(events(log.client, 1, last, since=token), 20)
        except AssertionError:
            return False
        return [orjson.loads(event["data"])["collection"] for event in rest] == written[2:]

    await eventually(connected_again, within_s=30)


async def test_a_purge_leaves_what_is_young(log: Log) -> None:
    await log.write(1)
    settings = log.index.settings
    assert timedelta(days=settings.changes_kept_days) > timedelta(hours=1)
    assert await purge(log.index.pool, settings) == 0
    assert len((await log.read())["changes"]) == 1
