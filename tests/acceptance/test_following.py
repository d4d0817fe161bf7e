"""After every kind of change on a real instance, the next visit brings the catalog back to what the instance shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import pytest

from panofed.demo import changes
from panofed.demo.geovisio import Instance
from panofed.demo.origins import Origins
from panofed.demo.visitor import anonymous_items_of
from panofed.demo.walk import SequenceSpec
from tests.acceptance.federated import FederatedCatalog, web_address
from tests.acceptance.fidelity import check_all, check_gone, check_sequences, check_totals, origin_of, shown_by

NewSequence: TypeAlias = Callable[..., str]
OwnStreet: TypeAlias = Callable[..., SequenceSpec]
StreetPictures: TypeAlias = Callable[[SequenceSpec], list[Path]]


@pytest.fixture(scope="module")
async def followed(catalog: FederatedCatalog) -> FederatedCatalog:
    """A catalog that holds everything."""
    await catalog.visit()
    return catalog


async def test_visit_without_changes_costs_two_requests(followed: FederatedCatalog) -> None:
    await followed.visit()
    for visit in (await followed.visit()).values():
        assert visit.requests in (1, 2)
        assert (visit.sequences_changed, visit.pictures_seen, visit.sequences_removed) == (0, 0, 0)
    rows = await followed.harvester.pool.fetch("SELECT requests, outcome FROM runs ORDER BY n DESC LIMIT 2")
    assert [(row["requests"] in (1, 2), row["outcome"]) for row in rows] == [(True, "done")] * 2


async def test_edits_of_sequences(followed: FederatedCatalog, new_sequence: NewSequence) -> None:
    first = followed.instances[0]
    api = first.api("alice")
    renamed, tagged, sorted_, turned = [new_sequence(first) for _ in range(4)]
    await followed.visit()
    changes.rename_sequence(api, renamed, "Renamed « à la main »")
    changes.tag_sequence(api, tagged, "osm|surface", "asphalt")
    changes.sort_sequence(api, sorted_, "-filename")
    changes.turn_sequence(api, turned, 90)
    visits = await followed.visit()
    assert visits["demo-paris"].sequences_changed == 4
    check_sequences(followed, [renamed, tagged, sorted_, turned])
    assert followed.get(f"/collections/{renamed}")["title"] == "Renamed « à la main »"
    tags = [item["properties"]["collection"]["semantics"] for item in _items(followed, tagged)]
    assert tags == [[{"key": "osm|surface", "value": "asphalt"}]] * 5
    changes.tag_sequence(api, tagged, "osm|surface", "asphalt", "delete")
    await followed.visit()
    check_sequences(followed, [tagged])


async def test_edits_of_pictures(followed: FederatedCatalog, new_sequence: NewSequence) -> None:
    first = followed.instances[0]
    api, sequence = first.api("alice"), new_sequence(first)
    await followed.visit()
    turned, placed, dated, tagged, marked = [item["id"] for item in _items(followed, sequence)]
    changes.turn_picture(api, turned, 12)
    changes.place_picture(api, placed, 4.8505, 45.7505)
    changes.date_picture(api, dated, "2024-01-01T00:00:00Z")
    changes.tag_picture(api, tagged, "osm|highway", "street_lamp")
    changes.annotate_picture(api, marked, (10, 10, 50, 50), "osm|amenity", "bench")
    await followed.visit()
    check_sequences(followed, [sequence])
    assert followed.get(f"/pictures/{turned}")["properties"]["view:azimuth"] == 12
    assert followed.get(f"/pictures/{placed}")["geometry"]["coordinates"] == [4.8505, 45.7505]
    changes.tag_picture(api, tagged, "osm|highway", "street_lamp", "delete")
    changes.place_picture(api, placed, 179.9999, -16.8)  # to another leaf
    await followed.visit()
    check_sequences(followed, [sequence])


async def test_pictures_hidden_deleted_and_shown_again(followed: FederatedCatalog, new_sequence: NewSequence) -> None:
    first = followed.instances[0]
    api, sequence, emptied = first.api("alice"), new_sequence(first), new_sequence(first, pictures=2)
    await followed.visit()
    hidden, deleted, *_, logged_only = [item["id"] for item in _items(followed, sequence)]
    changes.hide_picture(api, hidden)
    changes.delete_picture(api, deleted)
    changes.set_picture_visibility(api, logged_only, "logged-only")
    for item in _items(followed, emptied):
        changes.delete_picture(api, item["id"])
    await followed.visit()
    check_sequences(followed, [sequence, emptied])
    for picture in (hidden, deleted, logged_only):
        check_gone(followed, f"/pictures/{picture}")
    changes.show_picture(api, hidden)
    await followed.visit()
    check_sequences(followed, [sequence])
    assert _items(followed, sequence)[0]["id"] == hidden


async def test_sequences_hidden_deleted_and_shown_again(followed: FederatedCatalog, new_sequence: NewSequence) -> None:
    first = followed.instances[0]
    api = first.api("alice")
    hidden, deleted, logged_only = [new_sequence(first) for _ in range(3)]
    await followed.visit()
    pictures = [item["id"] for id in (hidden, deleted, logged_only) for item in _items(followed, id)]
    changes.hide_sequence(api, hidden)
    changes.delete_sequence(api, deleted)
    changes.set_sequence_visibility(api, logged_only, "logged-only")
    visits = await followed.visit()
    assert visits["demo-paris"].sequences_removed == 3
    check_sequences(followed, [hidden, deleted, logged_only])
    for picture in pictures:
        check_gone(followed, f"/pictures/{picture}")
    changes.show_sequence(api, hidden)
    changes.show_sequence(api, logged_only)
    await followed.visit()
    check_sequences(followed, [hidden, deleted, logged_only])
    assert len(_items(followed, hidden)) == 5


async def test_pictures_added_later(
    followed: FederatedCatalog, own_street: OwnStreet, street_pictures: StreetPictures
) -> None:
    second = followed.instances[1]
    api, spec = second.api("alice"), own_street()
    files = street_pictures(spec)
    upload_set = changes.upload_pictures(api, spec.title, files[:3])
    (sequence,) = changes.sequences_of(api, upload_set)
    await followed.visit()
    assert len(_items(followed, sequence)) == 3
    changes.add_pictures(api, upload_set, files[3:])
    await followed.visit()
    (sequence,) = changes.sequences_of(api, upload_set)
    check_sequences(followed, [sequence])
    assert len(_items(followed, sequence)) == 5


async def test_pictures_that_move_between_sequences(
    followed: FederatedCatalog, own_street: OwnStreet, street_pictures: StreetPictures
) -> None:
    api, spec = followed.instances[0].api("alice"), own_street(pictures=6)
    upload_set = changes.upload_pictures(api, spec.title, street_pictures(spec))
    sequences = set(changes.sequences_of(api, upload_set))
    await followed.visit()
    for rules in ({"split_distance": 3}, {"split_distance": 100_000, "split_time": 1_000_000}, {"split_distance": 3}):
        changes.redistribute(api, upload_set, **rules)
        sequences.update(changes.sequences_of(api, upload_set))
        await followed.visit()
        check_sequences(followed, sequences)
    assert len(changes.sequences_of(api, upload_set)) == 6


async def test_sequence_on_both_instances_is_served_from_the_first_until_that_lets_it_go(
    followed: FederatedCatalog, new_sequence: NewSequence
) -> None:
    first, second = followed.instances
    sequence = new_sequence(first)
    await followed.visit()
    changes.transfer_sequence(first.url, second.api("alice"), sequence)
    await followed.visit()
    check_sequences(followed, [sequence])
    _served_from(followed, sequence, first, copy=second)
    changes.hide_sequence(first.api("alice"), sequence)
    await followed.visit()
    check_sequences(followed, [sequence])
    _served_from(followed, sequence, second, copy=None)
    changes.show_sequence(first.api("alice"), sequence)
    await followed.visit()
    check_sequences(followed, [sequence])
    _served_from(followed, sequence, second, copy=first)
    changes.delete_sequence(second.api("alice"), sequence)
    await followed.visit()
    check_sequences(followed, [sequence])
    _served_from(followed, sequence, first, copy=None)


async def test_same_ids_with_other_contents_take_nothing_over(
    followed: FederatedCatalog, own_street: OwnStreet, street_pictures: StreetPictures
) -> None:
    first, second = followed.instances
    ids, sequence, street = [str(uuid4()) for _ in range(3)], str(uuid4()), own_street(pictures=3)
    elsewhere = own_street(pictures=3, lat=-18.9, lon=47.5)
    changes.upload_with_ids(first.api("alice"), sequence, "here", dict(zip(ids, street_pictures(street), strict=True)))
    await followed.visit()
    changes.upload_with_ids(
        second.api("bob"), sequence, "elsewhere", dict(zip(ids, street_pictures(elsewhere), strict=True))
    )
    await followed.visit()
    check_sequences(followed, [sequence])
    _served_from(followed, sequence, first, copy=second)
    changes.delete_picture(first.api("alice"), ids[1])
    await followed.visit()
    # the copy steps in for the one that is gone: nothing is served twice, nothing is lost
    served = {id: origin_of(followed.get(f"/pictures/{id}")) for id in ids}
    assert served == {ids[0]: "demo-paris", ids[1]: "demo-lyon", ids[2]: "demo-paris"}
    assert [item["id"] for item in _items(followed, sequence)] == ids
    changes.delete_sequence(first.api("alice"), sequence)
    await followed.visit()
    check_sequences(followed, [sequence])
    _served_from(followed, sequence, second, copy=None)


async def test_renamed_account_comes_with_the_next_change_of_its_sequence(
    followed: FederatedCatalog, new_sequence: NewSequence, origins: Origins
) -> None:
    second = followed.instances[1]
    sequence, database = new_sequence(second, account="bob"), origins.cluster.client(second.config.database)
    await followed.visit()
    # a login server does this; no signal tells of it, so it is found with whatever changes next
    for name, title in (("Robert", "Robert's street"), ("bob", "Bob's street")):
        database.text(f"UPDATE accounts SET name = '{name}' WHERE id IN (SELECT account_id FROM sequences"
                      f" WHERE id = '{sequence}')")  # fmt: skip
        changes.rename_sequence(second.api("bob"), sequence, title)
        await followed.visit()
        check_sequences(followed, [sequence])
        assert _items(followed, sequence)[0]["properties"]["geovisio:producer"] == name
        # all other sequences of the account follow at once, once a day
        await followed.harvester.pool.execute("UPDATE accounts SET renamed_at = renamed_at - interval '1 day'")


async def test_everything_still_agrees_in_the_end(followed: FederatedCatalog) -> None:
    await followed.visit()
    check_all(followed)
    pool = followed.harvester.pool
    assert await pool.fetchval("SELECT count(*) FROM retries") == 0
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 0
    check_totals(followed, shown_by(followed))


def _items(catalog: FederatedCatalog, sequence: str) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = catalog.get(f"/collections/{sequence}/items")["features"]
    return features


def _served_from(catalog: FederatedCatalog, sequence: str, origin: Instance, copy: Instance | None) -> None:
    """Sequence and pictures are those of `origin`, and each picture names the copy there is."""
    assert origin_of(catalog.get(f"/collections/{sequence}")) == origin.config.name
    theirs = anonymous_items_of(origin.url, sequence)
    assert [item["id"] for item in _items(catalog, sequence)] == [item["id"] for item in theirs]
    for item in theirs:
        ours = catalog.get(f"/pictures/{item['id']}")
        assert origin_of(ours) == origin.config.name
        alternates = [(link["instance_name"], link["href"]) for link in ours["links"] if link["rel"] == "alternate"]
        there = f"{web_address(copy)}/api/collections/{sequence}/items/{item['id']}" if copy else ""
        assert alternates == ([(copy.config.name, there)] if copy else [])
