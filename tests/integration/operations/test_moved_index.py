"""A dump restored on another machine: the same answers, a new change epoch, and harvesting goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from catalog_api.app import build_app
from panofed.cluster import DATABASE, Cluster
from panofed.cluster.archive import dump, restore
from panofed.ready import LOGIN
from tests.integration.operations.conftest import Desk, MakeCluster, desk_of
from tests.integration.operations.serving import answering
from tests.origin import Origin

_EPOCH = "SELECT epoch FROM epochs"


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        for n in range(12):
            origin.add_sequence(60, at=(2.35 + n, 44.80 + n / 4))
        yield origin


async def answers(desk: Desk, origin: Origin, dsn: str) -> dict[str, Any]:
    """What the catalog says to questions of every kind, on the same address before and after."""
    sequence = next(iter(origin.sequences.values()))
    paths = [
        *(f"/api/pictures/{id}" for id in list(origin.visible())[::37]),
        *(f"/api/collections/{sequence.id}{more}" for more in ("", "/items?limit=7", "/items?limit=1000")),
        "/api/collections?limit=100",
        "/api/search?bbox=2,44,8,47&limit=300",
        "/api/search?bbox=-180,-90,180,90&limit=1000",
        "/api/search?datetime=2024-05-02T09:30:00Z/2024-05-02T11:00:00Z&limit=1000",
        "/api/instances",
    ]
    settings = desk.settings.model_copy(update={"public_url": "https://catalog.example.org"})
    async with (
        answering(build_app(settings, dsn)) as base,
        httpx2.AsyncClient(base_url=base, timeout=20) as client,
    ):
        found = {}
        for path in paths:
            answer = await client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            found[path] = answer.json()
    for instance in found["/api/instances"]["instances"]:
        # the one figure that grows by itself
        assert instance.pop("lag_s") is not None and instance["health"].pop("lag_s") is not None
    return found


async def test_a_dump_restored_elsewhere_answers_the_same_and_is_harvested_on(
    own_cluster: Cluster, make_cluster: MakeCluster, origin: Origin, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "index.dump"
    async with desk_of(own_cluster.dsn(DATABASE), dictionary_items=500) as desk:
        await desk.register(origin)
        assert (await desk.visit()).outcome == "done"
        assert await desk.check() == 720
        before = await answers(desk, origin, own_cluster.dsn(DATABASE, user=LOGIN))
        (epoch,) = await desk.ask(_EPOCH)
        assert await desk.ask("SELECT FROM dictionaries"), "packed by a dictionary, which must come along"
        await asyncio.to_thread(dump, own_cluster.client(DATABASE), file)
    fresh = make_cluster(folder / "fresh")
    await asyncio.to_thread(restore, fresh.client(DATABASE), file)
    # as the login that is no superuser: grants must have come along
    dsn = fresh.dsn(DATABASE, user=LOGIN)
    async with desk_of(dsn, admin_dsn=fresh.dsn(DATABASE), dictionary_items=500) as desk:
        assert await answers(desk, origin, dsn) == before
        (new_epoch,) = await desk.ask(_EPOCH)
        assert tuple(new_epoch) != tuple(epoch)
        await nothing_changed(desk)
        await changes_follow(desk, origin)


async def nothing_changed(desk: Desk) -> None:
    progress = await desk.visit(page_sequences=100)
    assert (progress.outcome, progress.sequences_changed, progress.pictures_seen) == ("done", 0, 0)
    assert progress.requests <= 2


async def changes_follow(desk: Desk, origin: Origin) -> None:
    first, second, *_ = origin.sequences.values()
    origin.hide_sequence(first)
    origin.add_picture(second, 3.3, 45.0)
    progress = await desk.visit()
    assert (progress.outcome, progress.sequences_changed, progress.sequences_removed) == ("done", 1, 1)
    assert await desk.check() == 720 - 60 + 1
    served = await desk.ask("SELECT id::text FROM pictures WHERE served")
    assert {row["id"] for row in served} == set(origin.visible())
