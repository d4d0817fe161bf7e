"""An instance that does not want to be harvested is not; one that wants to be slow is; one that opts out is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from aiohttp import web

from harvester.consent import OPT_OUT
from tests.harvest_world import World
from tests.origin import Origin, answer

LANDING = {
    "stac_version": "1.0.0",
    "geovisio_version": "2.15.0",
    "conformsTo": ["http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core"],
}


def text(said: str, status: int = 200) -> Callable[[], web.Response]:
    return lambda: web.Response(text=said, status=status)


async def state(world: World, name: str = "north") -> tuple[str, str]:
    row = await world.admin.fetchrow("SELECT state, state_reason FROM instances WHERE name = $1", name)
    assert row is not None
    return row["state"], row["state_reason"]


async def outdate(world: World) -> None:
    await world.admin.execute("UPDATE paces SET rules_at = rules_at - interval '25 hours'")


async def resume(world: World) -> None:
    await world.admin.execute("UPDATE instances SET state = 'enabled'")


async def filled(world: World) -> Origin:
    origin = await world.origin()
    origin.add_sequence(7)
    await world.good_visit()
    return origin


async def test_robots_rules_for_everybody_are_not_for_us(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(3)
    origin.faults["/robots.txt"] = text("User-agent: *\nDisallow: /\nCrawl-delay: 60")
    await world.good_visit()
    await world.check_same()


async def test_robots_rules_that_name_us_end_the_harvest_and_keep_what_is_there(world: World) -> None:
    origin = await filled(world)
    origin.faults["/robots.txt"] = text("User-agent: panofed\nDisallow: /api/")
    assert (await world.visit()).outcome == "done", "it is asked once a day"
    await outdate(world)
    progress = await world.visit()
    assert progress.outcome == "failed"
    assert progress.last_error.startswith("refused by robots.txt: it names panofed and disallows http://")
    assert origin.requests == ["/robots.txt"]
    assert await state(world) == ("paused", progress.last_error)
    await world.check_same()
    # a person may try again, and is told the same while the rule stands
    await resume(world)
    assert (await world.visit()).outcome == "failed"
    del origin.faults["/robots.txt"]
    await resume(world)
    await world.good_visit()


async def test_robots_are_asked_once_a_day(world: World) -> None:
    origin = await filled(world)
    assert origin.requests[0] == "/robots.txt"
    await world.good_visit()
    assert "/robots.txt" not in origin.requests
    await outdate(world)
    await world.good_visit()
    assert origin.requests[0] == "/robots.txt"


async def test_a_moved_instance_is_asked_again(world: World) -> None:
    await filled(world)
    async with Origin() as elsewhere:
        elsewhere.faults["/robots.txt"] = text("User-agent: panofed\nDisallow: /")
        await world.admin.execute("UPDATE instances SET url = $1", elsewhere.url)
        assert (await world.visit()).last_error.startswith("refused by robots.txt")


@pytest.mark.parametrize("status", [500, 503])
async def test_robots_that_cannot_be_read_change_nothing(world: World, status: int) -> None:
    origin = await world.origin()
    origin.faults["/robots.txt"] = text("no", status)
    origin.add_sequence(3)
    await world.good_visit()
    await world.good_visit()
    assert "/robots.txt" not in origin.requests, "not at every visit"
    await world.admin.execute("UPDATE paces SET rules_at = rules_at - interval '1 hour'")
    await world.good_visit()
    assert origin.requests[0] == "/robots.txt"


async def test_a_crawl_delay_for_us_is_kept_at_every_visit(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(1)
    origin.faults["/robots.txt"] = text("User-agent: panofed\nCrawl-delay: 0.2")
    for first in (1, 0):  # what the rule says is known after the first request
        moments: list[float] = []

        async def note(request: web.Request, moments: list[float] = moments) -> None:
            moments.append(time.monotonic())

        origin.hook = note
        await world.good_visit()
        assert len(moments) >= 2 + first
        distances = [later - earlier for earlier, later in pairwise(moments[first:])]
        assert min(distances) > 0.15, distances


@pytest.mark.parametrize(
    ("landing", "headers", "reason"),
    [
        (LANDING | {OPT_OUT: True}, {}, f"opted out: its landing page has {OPT_OUT}"),
        (LANDING | {OPT_OUT: "ask us\nfirst"}, {}, "opted out: ask us first"),
        (LANDING, {"X-Robots-Tag": "panofed: noindex"}, "opted out: its landing page has the header X-Robots-Tag"),
    ],
    ids=["true", "text", "header"],
)
async def test_an_instance_that_opts_out_is_not_harvested_any_more_and_its_records_go(
    world: World, landing: dict[str, object], headers: dict[str, str], reason: str
) -> None:
    origin = await filled(world)
    south = await world.origin("south")
    south.add_sequence(4)
    await world.good_visit("south")

    def opted_out() -> web.Response:
        said = answer(landing)
        said.headers.update(headers)
        return said

    origin.faults[""] = origin.faults["/"] = opted_out
    await outdate(world)
    progress = await world.visit()
    assert progress.outcome == "failed"
    assert progress.last_error.startswith(reason)
    assert await state(world) == ("paused", progress.last_error)
    await world.check()
    await world.check_same("south")
    run = await world.admin.fetchrow("SELECT outcome, last_error, pictures_removed FROM runs ORDER BY n DESC LIMIT 1")
    assert run is not None
    assert (run["outcome"], run["last_error"], run["pictures_removed"]) == ("failed", progress.last_error, 7)


async def test_a_landing_page_that_cannot_be_read_is_asked_again_within_the_day(world: World) -> None:
    origin = await filled(world)
    origin.faults[""] = origin.faults["/"] = text("no", 500)
    await outdate(world)
    await world.good_visit()
    origin.faults[""] = origin.faults["/"] = lambda: answer(LANDING | {OPT_OUT: True})
    await world.admin.execute("UPDATE paces SET rules_at = rules_at - interval '1 hour'")
    assert (await world.visit()).last_error.startswith("opted out")


@pytest.mark.parametrize("said", [False, None, "", 0, [], {}])
async def test_what_is_no_mark_is_no_mark(world: World, said: object) -> None:
    origin = await world.origin()
    origin.add_sequence(2)
    origin.faults[""] = origin.faults["/"] = lambda: answer(LANDING | {OPT_OUT: said})
    await world.good_visit()
    await world.check_same()


async def test_an_opted_out_instance_that_changes_its_mind_is_read_again(world: World) -> None:
    origin = await filled(world)
    origin.faults[""] = origin.faults["/"] = lambda: answer(LANDING | {OPT_OUT: True})
    await outdate(world)
    await world.visit()
    assert await world.served() == {}
    origin.faults.clear()
    await resume(world)
    await world.good_visit()
    await world.check_same()
