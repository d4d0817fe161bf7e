"""An instance that speaks another language than before is noted: a major version, a class lost, no STAC any more."""

from __future__ import annotations

import orjson
import pytest

from tests.harvest_world import World
from tests.joining import Joining


async def joined(world: World) -> Joining:
    instance = await world.stack.enter_async_context(Joining())
    instance.add_sequence(pictures=2)
    await world.register("north", instance.url)
    assert (await world.visit("north")).outcome == "done"
    return instance


async def visited_a_day_later(world: World) -> None:
    await world.admin.execute("UPDATE instances SET configuration_at = configuration_at - interval '2 days'")
    await world.visit("north")


async def drifts(world: World) -> list[dict[str, object]]:
    rows = await world.admin.fetch("SELECT details FROM events WHERE kind = 'schema-drift' AND public ORDER BY n")
    return [orjson.loads(row["details"]) for row in rows]


async def test_the_first_visit_and_the_same_again_are_no_drift(world: World) -> None:
    await joined(world)
    await visited_a_day_later(world)
    assert await drifts(world) == []
    assert await world.admin.fetchval("SELECT cardinality(conforms) FROM instances") == 5


async def test_a_new_major_version_is_noted_once(world: World) -> None:
    instance = await joined(world)
    instance.landing["geovisio_version"] = "2.16.0"
    await visited_a_day_later(world)
    assert await drifts(world) == []
    instance.landing["geovisio_version"] = "3.0.0"
    await visited_a_day_later(world)
    await visited_a_day_later(world)
    assert await drifts(world) == [{"version": ["2.16.0", "3.0.0"]}]


async def test_a_class_that_is_lost_is_noted_and_a_newer_one_is_not(world: World) -> None:
    instance = await joined(world)
    kept = [
        "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core", "https://api.stacspec.org/v1.1.0/core",
        "https://api.stacspec.org/v1.0.0/collections", "https://api.stacspec.org/v1.0.0/ogcapi-features",
    ]  # fmt: skip
    instance.landing["conformsTo"] = kept
    await visited_a_day_later(world)
    await visited_a_day_later(world)
    assert await drifts(world) == [{"lost": ["https://api.stacspec.org/v1.0.0/item-search"]}]


@pytest.mark.parametrize("version", ["0.9.0", "2.0.0"])
async def test_a_landing_page_that_is_no_stac_any_more_is_noted_once(world: World, version: str) -> None:
    instance = await joined(world)
    instance.landing["stac_version"] = version
    await visited_a_day_later(world)
    await visited_a_day_later(world)
    (told,) = await drifts(world)
    assert "stac_version" in str(told["problem"])
