"""How instances are asked what changed: ways to list, their remembering, windows, bounds, and answers that are odd."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import unquote

import pytest
from aiohttp import web

from tests.harvest_world import World
from tests.origin import Origin, answer, refusal


async def filled(world: World, sequences: int = 6, **more: str) -> Origin:
    origin = await world.origin(**more)
    for n in range(sequences):
        origin.add_sequence(3, at=(2.3 + n / 50, 48.85))
    await world.good_visit()
    return origin


def listings(origin: Origin) -> list[str]:
    return [unquote(request) for request in origin.requests if request.startswith("/collections?")]


async def learnt(world: World) -> dict[str, str]:
    rows = await world.admin.fetch("SELECT key, value FROM instances, jsonb_each_text(capabilities)")
    return {row["key"]: row["value"] for row in rows}


async def test_a_first_visit_reads_the_landing_page_once(world: World) -> None:
    origin = await filled(world)
    assert [request for request in origin.requests if request.strip("/") == ""] == ["/"]
    await world.age("instances", "configuration_at", "25 hours")
    await world.age("paces", "rules_at", "25 hours")
    await world.good_visit()
    assert [request for request in origin.requests if request.strip("/") == ""] == ["/"]


async def test_a_way_that_is_refused_by_now_is_replaced_in_the_same_visit(world: World) -> None:
    origin = await filled(world)
    assert (await learnt(world))["listing"] == "id"
    origin.version = "2.10"
    refused: list[str] = []

    async def refuse(request: web.Request) -> web.Response | None:
        if "show_deleted" in request.query:
            refused.append(request.path_qs)
            return answer({"message": "what?"}, 400)
        return None

    origin.hook = refuse
    origin.hide_sequence(next(iter(origin.sequences.values())))
    await world.good_visit()
    assert refused
    await world.check_same()
    assert (await learnt(world))["listing"] == "id-status"


async def test_a_refusal_in_the_middle_of_a_listing_ends_the_visit_and_not_the_way(world: World) -> None:
    origin = await filled(world)
    origin.touch(*origin.sequences.values())

    async def refuse(request: web.Request) -> web.Response | None:
        return answer({"message": "no"}, 400) if len(listings(origin)) == 2 else None

    origin.hook = refuse
    assert (await world.visit()).outcome == "failed"
    assert (await learnt(world))["listing"] == "id"


async def test_an_instance_that_cannot_filter_ids_is_asked_by_windows_of_time(world: World) -> None:
    origin = await filled(world, sequences=11, version="2.8")
    assert (await learnt(world))["listing"] == "updated"
    await world.check_same()
    one, two, *others = origin.sequences.values()
    origin.hide_sequence(one)
    origin.delete_picture(two.pictures[0])
    for sequence in others:
        origin.edit(sequence.pictures[0], title="edited")
    await world.good_visit()
    await world.check_same()
    # ten changed and four fit: its time was cut in two until all did
    assert len(listings(origin)) > 4
    assert not any("page=" in request for request in listings(origin))


async def test_more_changes_of_one_moment_than_an_answer_holds_are_followed_by_links(world: World) -> None:
    origin = await filled(world, sequences=9, version="2.8")
    for sequence in origin.sequences.values():
        origin.edit(sequence.pictures[0], title="at once")
    for sequence in origin.sequences.values():
        sequence.updated = next(iter(origin.sequences.values())).updated
    await world.good_visit(listing_pages_max=1_000)
    assert any("page=" in request for request in listings(origin))
    await world.check_same()


async def test_a_listing_has_an_upper_bound_from_its_second_page_on(world: World) -> None:
    origin = await filled(world, sequences=9)
    origin.touch(*origin.sequences.values())
    last = max(origin.sequences)

    async def edit_later(request: web.Request) -> None:
        # what changes while the listing is read is left to the next visit, and the cursor does not pass it
        if len(listings(origin)) == 2:
            origin.edit(origin.sequences[last].pictures[0], title="meanwhile")
            updated = origin.sequences[last].updated
            assert updated is not None
            origin.sequences[last].updated = updated + timedelta(seconds=30)

    origin.hook = edit_later
    await world.good_visit()
    first, *rest = listings(origin)
    assert "updated <=" not in first
    assert all("updated <=" in request for request in rest)
    (bound,) = {re.search("updated <= '([^']*)'", request)[1] for request in rest}  # type: ignore[index]
    assert bound
    origin.hook = None
    origin.touch(origin.sequences[last])
    await world.good_visit()
    await world.check_same()


async def test_a_change_committed_late_with_a_date_already_passed_is_found_by_the_overlap(world: World) -> None:
    origin = await filled(world)
    one, two, *_ = origin.sequences.values()
    origin.edit(two.pictures[0], title="seen")
    await world.good_visit()
    # a transaction that began 20 minutes ago
    origin.edit(one.pictures[0], title="late")
    assert one.updated is not None
    one.updated -= timedelta(minutes=20)
    await world.good_visit()
    await world.check_same()


async def test_many_sequences_with_one_updated_are_all_read(world: World) -> None:
    origin = await filled(world, sequences=11)
    for sequence in origin.sequences.values():
        origin.edit(sequence.pictures[0], title="bulk")
    for sequence in origin.sequences.values():
        sequence.updated = next(iter(origin.sequences.values())).updated
    await world.good_visit()
    await world.check_same()


@pytest.mark.parametrize("where", ["item", "collection"])
async def test_half_a_surrogate_pair_in_one_record_does_not_fail_its_page(world: World, where: str) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(4)
    odd = {"title": "a\ud800b", "comment": "\\ud800 \U0001f600"}
    if where == "item":
        sequence.pictures[1].properties |= odd
    else:
        sequence.collection = {"title": "a\ud800b"}
    await world.good_visit()
    served = await world.served()
    assert len(served) == 4
    if where == "item":
        properties = served[sequence.pictures[1].id][1]["properties"]
        assert (properties["title"], properties["comment"]) == ("a\ufffdb", "\\ud800 \U0001f600")
    else:
        assert await world.admin.fetchval("SELECT title FROM sequences") == "a\ufffdb"


async def test_a_sequence_whose_updated_moved_while_it_was_read_is_read_again(world: World) -> None:
    """A re-sort that gives no id twice is noticed by `updated` alone."""
    origin = await world.origin()
    sequence = origin.add_sequence(12)
    calls = 0

    async def move_one_up(request: web.Request) -> None:
        nonlocal calls
        if "startAfterRank=5" in request.path_qs and not calls:
            calls += 1
            # the last picture goes to the front: one of the first page is now on the second, its copy is not
            sequence.pictures.insert(0, sequence.pictures.pop())
            sequence.pictures[5].properties["title"] = "twice otherwise"
            sequence.pictures.insert(0, sequence.pictures.pop(5))
            origin.touch(sequence)

    origin.hook = move_one_up
    await world.good_visit()
    assert calls == 1
    await world.check_same()


async def test_a_picture_edited_on_a_page_already_read_is_not_lost(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(12)

    async def edit(request: web.Request) -> None:
        if "startAfterRank=10" in request.path_qs and "title" not in sequence.pictures[0].properties:
            origin.edit(sequence.pictures[0], title="after its page")

    origin.hook = edit
    await world.good_visit()
    await world.check_same()


async def test_no_request_carries_a_token_a_cookie_or_less_than_our_name(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(3)
    heads: list[dict[str, str]] = []

    async def look(request: web.Request) -> None:
        heads.append({name.lower(): value for name, value in request.headers.items()})

    origin.hook = look
    await world.good_visit()
    assert heads
    for head in heads:
        assert not head.keys() & {"authorization", "cookie", "x-api-key"}
        assert head["user-agent"].startswith("panofed")
        assert "gzip" in head["accept-encoding"]


async def test_a_listing_without_end_is_cut(world: World) -> None:
    origin = await world.origin(version="plain")
    origin.add_sequence(1)
    count = 0

    async def endless(request: web.Request) -> web.Response | None:
        nonlocal count
        if request.path.endswith("/collections") and "page" in request.query:
            count += 1
            href = f"{origin.url}/collections?page={count}"
            entry = {"id": origin.new_id(), "geovisio:status": "deleted"}
            return answer({"collections": [entry], "links": [{"rel": "next", "href": href}]})
        return None

    origin.hook = endless
    origin.faults["/collections"] = lambda: answer(
        {
            "collections": [{"id": origin.new_id(), "geovisio:status": "deleted"}],
            "links": [{"rel": "next", "href": f"{origin.url}/collections?page=0"}],
        }
    )
    progress = await world.visit(listing_pages_max=20)
    assert progress.outcome == "failed"
    assert "too many pages" in progress.last_error
    assert count < 25


async def test_a_static_catalog_is_refused_by_name(world: World) -> None:
    origin = await world.origin(version="plain")
    origin.faults["/"] = lambda: answer({"stac_version": "1.0.0", "type": "Catalog", "links": []})
    progress = await world.visit()
    assert progress.outcome == "failed"
    assert "no STAC API with collections and items" in progress.last_error


async def test_an_instance_that_refuses_the_landing_page_is_not_emptied(world: World) -> None:
    origin = await filled(world)
    origin.faults["/collections"] = refusal(401)
    assert (await world.visit()).outcome == "failed"
    assert await world.check() == 18
