"""A harvester that is killed at any moment loses nothing, doubles nothing, and leaves nothing half done."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from panofed.cluster import Cluster
from tests.integration.crash.held import contents
from tests.integration.crash.story import Story
from tests.integration.crash.trial import SETTINGS, Copy, Trial, Victim, connected, databases, victim
from tests.invariants import check_invariants
from tests.origin import Origin


@pytest.fixture(scope="module")
async def forks() -> AsyncIterator[Victim]:
    async with victim() as made:
        yield made


@pytest.fixture
async def copy(cluster: Cluster, template: str) -> AsyncIterator[Copy]:
    """`await copy(None)`: the address of a fresh, migrated database; `await copy(dsn)`: of a copy of that one."""
    async with databases(cluster, template) as make:
        yield make


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_at_random_moments_it_ends_where_an_undisturbed_one_does(
    seed: int, forks: Victim, copy: Copy
) -> None:
    async with Origin(seed=seed) as north, Origin(seed=seed + 1_000) as south:
        trial = Trial(victim=forks, copy=copy, origins={"north": north, "south": south}, dice=random.Random(seed))
        await trial.tell(Story(north=north, south=south, dice=random.Random(seed)), kills_a_chapter=4)
        assert trial.kills >= 20


@pytest.mark.parametrize("requests", [5, 17, 33])
async def test_first_crawl_that_is_killed_has_lost_at_most_a_batch(requests: int, forks: Victim, copy: Copy) -> None:
    dsn = await copy(None)
    async with Origin(seed=7) as origin:
        for number in range(40):
            origin.add_sequence(5, at=(2.35, 48.8 + number / 100))
        async with connected(dsn) as admin:
            await admin.execute(
                "INSERT INTO instances (id, name, url, state) VALUES ('n', 'n', $1, 'enabled')", origin.url
            )
            moment = asyncio.Event()

            async def hook(request: web.Request) -> web.Response | None:
                if len(read_sequences(origin)) >= requests:
                    moment.set()
                return None

            origin.hook = hook
            assert await forks.killed_when(dsn, ["n"], moment) == -9
            merged = {of for _, of in await contents(admin)}
            first = read_sequences(origin)
            origin.requests.clear()
            assert await forks.killed_when(dsn, ["n"], asyncio.Event()) == 0
            again = set(read_sequences(origin)) & set(first)
            assert not again & merged
            batch = SETTINGS["batch_pictures"]
            assert isinstance(batch, int)
            # what both lanes had staged, and the sequences that were being read
            assert len(again) * 5 <= batch + 2 * 5
            assert await check_invariants(admin) == 200


def read_sequences(origin: Origin) -> list[str]:
    """Ids of the sequences whose pictures were asked for, samples for a dictionary left out."""
    return list(
        dict.fromkeys(
            path.split("/")[2]
            for path in origin.requests
            if "/items" in path and f"limit={SETTINGS['page_pictures']}" in path
        )
    )
