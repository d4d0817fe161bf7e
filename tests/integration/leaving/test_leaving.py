"""An instance that leaves is not shown from that commit on; then all of it is deleted, and it is said that it left."""

from __future__ import annotations

import asyncio
from uuid import UUID

import httpx2
import pytest

from federation.database import Role, connect, open_pool
from federation.leaving import leave, leaving
from federation.takedowns import take_down
from harvester.fold import fold
from harvester.queue import POOL_SIZE, Queue
from harvester.runs import start_run
from harvester.schedule import Service
from harvester.visit import Harvester
from harvester.withdraw import finish_leaving
from tests.harvest_world import World
from tests.origin import Origin, eventually
from tests.tile_world import Serving
from tests.traces import BOX, PLACE, Traces, counted, tile_of

MALLORY = "0b8f3c52-7d6e-4f0a-9a53-3e1f6f1d2c11"
_BY = [{"name": "mallory", "roles": ["producer"], "id": MALLORY}]


async def two(world: World, *, shared: bool = False) -> tuple[Origin, Origin]:
    """North (with mallory) and south, in one street; with `shared`, south has a copy of one sequence."""
    north, south = await world.origin("north"), await world.origin("south")
    for n in range(3):
        sequence = north.add_sequence(4, at=(PLACE[0], PLACE[1] + n * 0.00005), collection={"providers": _BY})
        for picture in sequence.pictures:
            picture.item["providers"] = _BY
        if shared and n == 0:
            south.sequences[sequence.id] = sequence
    south.add_sequence(5, at=(PLACE[0], PLACE[1] + 0.00002))
    await world.good_visit("north")
    await world.good_visit("south")
    return north, south


async def number_of(world: World, name: str) -> int:
    return int(await world.admin.fetchval("SELECT n FROM instances WHERE name = $1", name))


async def go(world: World, name: str = "north") -> int:
    """It begins to leave, as its operator says so."""
    return await begin(world, await number_of(world, name))


async def begin(world: World, number: int) -> int:
    connection = await connect(world.dsn, Role.OPERATOR, world.settings)
    try:
        assert await leave(connection, number, "token 1")
    finally:
        await connection.close()
    return number


async def test_nothing_of_it_is_shown_from_the_commit_on(world: World, client: httpx2.AsyncClient) -> None:
    north, south = await two(world)
    traces = Traces.of(client, north, MALLORY, south)
    before = await traces.look()
    shown = {path.split("?")[0] for path in before}
    wanted = {"/api/search", "/api/collections", "/api/users", "/api/changes", "/sequences", f"/api/users/{MALLORY}"}
    assert wanted <= shown and len(before) > 40, sorted(before)
    assert set((await counted(client)).values()) == {17}
    number = await go(world)
    # the same worker, with everything it remembers
    assert await traces.look() - {"/api/changes"} == set()
    assert set((await counted(client)).values()) == {5}
    instances = (await client.get("/api/instances")).json()["instances"]
    assert {each["name"]: each["state"] for each in instances} == {"north": "leaving", "south": "enabled"}
    # followers are told that it is gone, whatever the log says
    changes = (await client.get("/api/changes?limit=1000")).json()["changes"]
    assert {each["kind"] for each in changes if each["collection"] in north.sequences} == {"remove"}
    await world.check()
    assert await finish_leaving(world.dsn, world.pool, number, world.settings) == 12
    assert await traces.look() - {"/api/changes"} == set()
    assert set((await counted(client)).values()) == {5}
    await world.check()
    await world.check_same("south")
    assert [each["name"] for each in (await client.get("/api/instances")).json()["instances"]] == ["south"]


@pytest.mark.parametrize("kind", ["leave", "take down"])
async def test_what_a_client_kept_is_not_called_current(world: World, client: httpx2.AsyncClient, kind: str) -> None:
    north, _ = await two(world)
    paths = ("/api/search?limit=2000", f"/api/search?bbox={BOX}", "/api/collections", f"/api/map/{tile_of(15)}",
             f"/api/map/{tile_of(4)}", f"/api/users/{MALLORY}/collection?format=csv", "/api/stats")  # fmt: skip
    kept = {path: (await client.get(path)).headers["etag"] for path in paths}
    for path, etag in kept.items():
        assert (await client.get(path, headers={"if-none-match": etag})).status_code == 304, path
    if kind == "leave":
        await go(world)
    else:
        sequence = next(iter(north.sequences))
        await take_down(world.admin, "sequence", UUID(sequence), "asked for", "token 1")
        await fold(world.pool, world.settings)
    for path, etag in kept.items():
        if kind == "leave" or path != "/api/stats":
            answer = await client.get(path, headers={"if-none-match": etag})
            assert answer.status_code in (200, 204, 404), path


async def test_what_it_had_together_with_another_is_shown_there_in_the_end(
    world: World, client: httpx2.AsyncClient
) -> None:
    north, south = await two(world, shared=True)
    number = await go(world)
    assert await finish_leaving(world.dsn, world.pool, number, world.settings) == 12
    await world.check()
    await world.check_same("south")
    assert set((await counted(client)).values()) == {9}
    assert len(south.visible()) == 9 and len(north.visible()) == 12


async def test_a_deletion_that_is_killed_half_way_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await two(world)
    number = await go(world)
    monkeypatch.setattr("harvester.withdraw._BATCH_PICTURES", 4)
    work = asyncio.create_task(finish_leaving(world.dsn, world.pool, number, world.settings))
    while await world.admin.fetchval("SELECT count(*) FROM pictures") == 17:  # noqa: ASYNC110 (it is another's work)
        await asyncio.sleep(0.005)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await world.check()
    assert await world.admin.fetchval("SELECT state FROM instances WHERE n = $1", number) == "leaving"
    assert await leaving(world.admin) == [number]
    # two at once: a lease that ended, and a worker that was only slow
    done = await asyncio.gather(
        *(finish_leaving(world.dsn, world.pool, number, world.settings) for _ in range(2)), return_exceptions=True
    )
    assert any(isinstance(each, int) for each in done), done
    await world.check()
    assert await leaving(world.admin) == []
    assert await finish_leaving(world.dsn, world.pool, number, world.settings) is None
    kinds = await world.admin.fetch("SELECT kind FROM events WHERE instance = $1 ORDER BY n", number)
    assert [row["kind"] for row in kinds if row["kind"] in ("leaving", "left")] == ["leaving", "left"]


async def test_a_visit_under_way_writes_nothing_any_more(world: World) -> None:
    north = await world.origin("north")
    for n in range(12):
        north.add_sequence(6, at=(2.3 + n / 50, 48.85))
    visit = asyncio.create_task(world.visit("north", batch_pictures=6))
    while not await world.admin.fetchval("SELECT count(*) FROM pictures"):  # noqa: ASYNC110 (it is another's work)
        await asyncio.sleep(0.005)
    number = await go(world)
    assert (await visit).outcome == "failed"
    await finish_leaving(world.dsn, world.pool, number, world.settings)
    assert await world.check() == 0


async def test_one_that_leaves_cannot_leave_again_and_is_not_visited(world: World) -> None:
    await two(world)
    number = await go(world)
    assert not await leave(world.admin, number, "token 1")
    harvester = Harvester(dsn=world.dsn, pool=world.pool, settings=world.settings)
    assert number not in {row["n"] for row in await harvester.due(every=True)}
    assert await start_run(world.pool, number, world.settings) is None
    await finish_leaving(world.dsn, world.pool, number, world.settings)
    assert not await leave(world.admin, number, "token 1")
    row = await world.admin.fetchrow("SELECT * FROM instances WHERE n = $1", number)
    assert row is not None
    assert (row["state"], row["contact"], row["configuration"], row["cursor"]) == ("left", "", "{}", None)


async def test_several_leave_at_once(world: World, client: httpx2.AsyncClient) -> None:
    await two(world)
    west = await world.origin("west")
    west.add_sequence(3, at=PLACE)
    await world.good_visit("west")
    both = [await number_of(world, name) for name in ("north", "south")]
    numbers = await asyncio.gather(*(begin(world, number) for number in both))
    assert sorted(await world.admin.fetchval("SELECT hidden FROM leaf_set")) == sorted(numbers)
    assert set((await counted(client)).values()) == {3}
    await asyncio.gather(*(finish_leaving(world.dsn, world.pool, n, world.settings) for n in numbers))
    await world.check()
    await world.check_same("west")


async def test_a_split_of_leaves_in_the_middle_shows_nothing_of_it(world: World, serving: Serving) -> None:
    """Another version of the set of leaves, for another reason."""
    north, _ = await two(world)
    async with serving() as client:
        traces = Traces.of(client, north, MALLORY)
        await go(world)
        await world.admin.execute("UPDATE leaf_set SET version = version + 1")
        assert await traces.look() - {"/api/changes"} == set()


async def test_the_service_deletes_what_is_left_and_says_when_it_is_done(world: World) -> None:
    """As `panofed run` works: its scheduler puts the job, its worker takes it, an event says that it left."""
    await two(world)
    number = await go(world)
    async with open_pool(world.dsn, Role.WRITER, world.settings, size=POOL_SIZE) as pool:
        file = world.settings.instances_file
        assert file.exists()
        harvester = Harvester(dsn=world.dsn, pool=world.pool, settings=world.settings)
        service = Service(harvester=harvester, queue=Queue(pool), on_end=lambda *_: None)
        stop = asyncio.Event()
        running = asyncio.create_task(service.run(stop))

        async def left() -> bool:
            return bool(await world.admin.fetchval("SELECT state = 'left' FROM instances WHERE n = $1", number))

        try:
            await eventually(left, within_s=60)
        finally:
            stop.set()
            await running
    await world.check()
    told = await world.admin.fetchrow("SELECT public, details FROM events WHERE kind = 'left'")
    assert told is not None and told["public"] and '"pictures": 12' in told["details"]


async def test_a_catalog_does_not_bring_back_what_an_instance_had_that_has_left(world: World) -> None:
    north, south = await two(world)
    number = await go(world)
    source = await world.origin("catalog", version="plain")
    web = north.url.removesuffix("/api")
    links = [{"rel": "via", "type": "application/json", "href": web, "instance_name": "north"}]
    copied = source.add_sequence(3, at=PLACE, collection={"links": links})
    for picture in copied.pictures:
        picture.item = {"links": links}
    for _ in range(2):
        progress = await world.good_visit("catalog")
        assert progress.pictures_skipped == 3
        await finish_leaving(world.dsn, world.pool, number, world.settings)
        await world.admin.execute("UPDATE instances SET listed_at = NULL WHERE name = 'catalog'")
    assert set(await world.served()) == set(south.visible())
