"""The database's disk fills up during a visit: it ends clearly, nothing is half merged, reading goes on."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from aiohttp import web

from catalog_api.app import build_app
from federation.database import Role, connect, explained
from federation.errors import DatabaseFull
from harvester.fold import fold
from panofed.cluster import DATABASE, Cluster
from tests.integration.operations.conftest import Desk, MakeCluster, desk_of
from tests.integration.operations.serving import answering
from tests.origin import Origin

_IN_NAMESPACE = "PANOFED_TEST_OWN_MOUNTS"


def fill(disk: Path, *, leave_bytes: int = 0) -> None:
    """Take all room of a disk but `leave_bytes`."""
    with (disk / "ballast").open("ab", buffering=0) as ballast, suppress(OSError):
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while shutil.disk_usage(disk).free > leave_bytes:
                    ballast.write(bytes(min(size, shutil.disk_usage(disk).free - leave_bytes)))


def fill_when_read(origin: Origin, disk: Path, *, after: int, leave_bytes: int = 0) -> None:
    """The disk fills when so many sequences have been asked for."""

    async def hook(request: web.Request) -> None:
        if request.path.endswith("/items") and sum("/items" in path for path in origin.requests) == after:
            fill(disk, leave_bytes=leave_bytes)

    origin.hook = hook


def streets(origin: Origin) -> int:
    for n in range(16):
        origin.add_sequence(150, at=(2.35, 48.80 + n / 100))
    return 16 * 150


async def search(client: httpx2.AsyncClient) -> list[str]:
    answer = await client.get("/api/search", params={"bbox": "2,48,3,49", "limit": 10_000})
    assert answer.status_code == 200, answer.text
    return sorted(item["id"] for item in answer.json()["features"])


@pytest.fixture
def cluster(disk: Path, make_cluster: MakeCluster, folder: Path) -> Iterator[Cluster]:
    """A server on that disk, stopped before the disk goes: afterwards nothing tells where it runs."""
    made = make_cluster(disk / "pg", dist_directory=folder / "dist")
    yield made
    made.remove()


async def test_a_disk_that_fills_during_a_visit_ends_it_clearly_and_reading_goes_on(
    cluster: Cluster, disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk_of(cluster.dsn(DATABASE)) as desk, Origin() as origin:
        all_pictures = streets(origin)
        await desk.register(origin)
        fill_when_read(origin, disk, after=7)
        async with (
            answering(build_app(desk.settings, desk.dsn)) as base,
            httpx2.AsyncClient(base_url=base, timeout=20) as client,
        ):
            progress = await desk.visit()
            assert progress.outcome == "failed"
            assert "the database's disk is full" in progress.last_error
            shown = await search(client)
            await check_written_down(desk, full="the database's disk is full")
            await callers_see_it(desk, disk)
            assert 0 < len(shown) == await desk.check(foldable=False) < all_pictures
            with pytest.raises(DatabaseFull, match="folding counts: the database's disk is full"):
                await fold(desk.pool, desk.settings)
            origin.hook = None
            (disk / "ballast").unlink()
            assert (await desk.visit()).outcome == "done"
            assert await search(client) == sorted(origin.visible())
        assert await desk.check() == all_pictures
    assert not [record for record in caplog.records if record.exc_info], "a full disk is no fault of ours"


async def check_written_down(desk: Desk, *, full: str) -> None:
    (run,) = await desk.ask("SELECT outcome, last_error, ended_at FROM runs ORDER BY n DESC LIMIT 1")
    assert (run["outcome"], run["ended_at"] is None) == ("failed", False)
    assert full in run["last_error"]
    (instance,) = await desk.ask("SELECT failures, last_error, next_visit_at > now() AS later FROM instances")
    assert (instance["failures"], instance["later"]) == (1, True)
    assert full in instance["last_error"]


async def callers_see_it(desk: Desk, disk: Path) -> None:
    fill(disk)
    connection = await connect(desk.dsn, Role.WRITER, desk.settings)
    try:
        with pytest.raises(DatabaseFull, match="writing: the database's disk is full"):
            async with explained("writing"):
                await connection.execute(
                    "CREATE TEMPORARY TABLE much AS SELECT repeat('x', 1000) FROM generate_series(1, 9999)"
                )
    finally:
        await connection.close()


async def test_visits_leave_the_server_room_for_its_log(cluster: Cluster, disk: Path) -> None:
    """Without it the server itself would end: it cannot go on when its log cannot grow."""
    async with desk_of(cluster.dsn(DATABASE), disk=disk, disk_reserve_bytes=24_000_000) as desk, Origin() as origin:
        all_pictures = streets(origin)
        await desk.register(origin)
        (before,) = await desk.ask("SELECT pg_postmaster_start_time()")
        fill_when_read(origin, disk, after=7, leave_bytes=20_000_000)
        slow_down(origin)
        progress = await desk.visit()
        assert (progress.outcome, "harvesting leaves 24 MB" in progress.last_error) == ("failed", True), progress
        await check_written_down(desk, full="the database's disk is full: ")
        assert (await desk.visit()).outcome == "failed", "none begins, either"
        (runs,) = await desk.ask("SELECT count(*), max(failures) FROM runs, instances")
        assert tuple(runs) == (1, 2)
        origin.hook = None
        (disk / "ballast").unlink()
        assert (await desk.visit()).outcome == "done"
        assert await desk.check() == all_pictures
        assert (await desk.ask("SELECT pg_postmaster_start_time()")) == [before]


def slow_down(origin: Origin) -> None:
    """Long enough answers for the disk to be looked at."""
    before = origin.hook
    assert before is not None

    async def hook(request: web.Request) -> None:
        await before(request)
        await asyncio.sleep(0.1)

    origin.hook = hook


@pytest.mark.skipif(os.geteuid() == 0, reason="root mounts the disk itself")
@pytest.mark.skipif(_IN_NAMESPACE in os.environ, reason="this is inside")
def test_full_disk_by_an_ordinary_user() -> None:
    """The tests above in a namespace of their own, where an ordinary user may mount."""
    command = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]
    command += [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        command, env=os.environ | {_IN_NAMESPACE: "1"}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
