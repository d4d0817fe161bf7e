"""The database goes away while it is written and read, and comes back: nobody has to start anything again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx2
import pytest
from aiohttp import web

from catalog_api.app import build_app
from federation.database import Role, open_pool
from harvester.queue import POOL_SIZE, Queue
from harvester.schedule import Service
from panofed.cluster import DATABASE, Cluster
from tests.integration.operations.conftest import Desk, desk_of
from tests.integration.operations.serving import answering
from tests.origin import Origin, eventually

SEQUENCES = 10


@pytest.fixture
async def running(own_cluster: Cluster) -> Cluster:
    """The server, with an empty database."""
    own_cluster.ensure_running()
    connection = await asyncpg.connect(own_cluster.dsn("postgres"))
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    finally:
        await connection.close()
    own_cluster.ensure_database(DATABASE)
    return own_cluster


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_service_and_catalog_go_on_when_the_database_is_back(running: Cluster, tmp_path: Path, how: str) -> None:
    """fast: clients are told goodbye; immediate: as a crash."""
    async with Origin() as origin:
        file = tmp_path / "instances.yaml"
        entry = {"id": "north", "name": "north", "url": origin.url, "enabled": True}
        file.write_text(json.dumps({"instances": [entry]}))
        for n in range(SEQUENCES):
            origin.add_sequence(40, at=(2.35, 48.80 + n / 100))
        away = asyncio.Event()
        stop_at(origin, running, how, away)
        dsn = running.dsn(DATABASE)
        async with (
            desk_of(
                dsn, instances_file=file, cadence_s=0.3, fold_interval_s=0.2, connect_timeout_s=2, run_lease_s=2
            ) as desk,
            open_pool(dsn, Role.WRITER, desk.settings, size=POOL_SIZE) as queue_pool,
            answering(build_app(desk.settings, dsn)) as base,
            httpx2.AsyncClient(base_url=base, timeout=20) as client,
        ):
            stop = asyncio.Event()
            queue = Queue(queue_pool)
            service = Service(harvester=replace(desk.harvester, queue=queue), queue=queue, on_end=lambda *_: None)
            serving = asyncio.create_task(service.run(stop))
            try:
                await away.wait()
                await check_unavailable(client)
                await asyncio.sleep(1.0)
                await check_unavailable(client)
                assert not serving.done()
                await asyncio.to_thread(running.ensure_running)
                await eventually(lambda: serves(client, sorted(origin.visible())), within_s=15)
                await check_runs(desk)
            finally:
                stop.set()
                await serving
            assert await desk.check() == 400


def stop_at(origin: Origin, cluster: Cluster, how: str, away: asyncio.Event) -> None:
    """The server stops in the middle of the first crawl.

    A part of each sequence was asked for to train a dictionary. Once they are read, the connection that goes takes what
    it staged along; before, a visit need not notice.
    """

    async def hook(request: web.Request) -> None:
        if sum("/items" in path for path in origin.requests) == SEQUENCES + 4 and not away.is_set():
            await asyncio.to_thread(cluster.stop, how)
            away.set()

    origin.hook = hook


async def check_unavailable(client: httpx2.AsyncClient) -> None:
    for path in ("/api/search?bbox=2,48,3,49", "/api/live", "/api/collections", "/api"):
        answer = await client.get(path)
        assert answer.status_code == 503, (path, answer.text)
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["status"] == 503
        assert "database" in answer.json()["message"] or "connection" in answer.json()["message"]


async def serves(client: httpx2.AsyncClient, ids: list[str]) -> bool:
    answer = await client.get("/api/search", params={"bbox": "2,48,3,49", "limit": 1000})
    return answer.status_code == 200 and sorted(item["id"] for item in answer.json()["features"]) == ids


async def check_runs(desk: Desk) -> None:
    """The visit that lost its database was closed when it came back; a later one ended well."""

    async def closed() -> bool:
        runs = await desk.ask("SELECT outcome, last_error, ended_at FROM runs ORDER BY n")
        first = runs[0]
        # the next visit may have come before and found it unfinished
        known = first["outcome"] == "interrupted" or "database" in first["last_error"] or "conn" in first["last_error"]
        return first["ended_at"] is not None and known and any(run["outcome"] == "done" for run in runs)

    await eventually(closed, within_s=15)
