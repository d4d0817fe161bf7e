"""The verbs of `panofed.demo.changes` do to a real instance what they say, as an anonymous visitor sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

from panofed.demo import changes
from panofed.demo.geovisio import ADMIN, Instance
from panofed.demo.visitor import anonymous_collections, anonymous_items, anonymous_items_of, anonymous_tombstones
from panofed.demo.walk import SequenceSpec

MorePictures: TypeAlias = Callable[[Instance, str, int], list[Path]]
NewSequence: TypeAlias = Callable[..., str]
StreetPictures: TypeAlias = Callable[[SequenceSpec], list[Path]]
OwnStreet: TypeAlias = Callable[..., SequenceSpec]


def test_both_instances_hold_what_was_planned_and_hide_what_is_private(instances: tuple[Instance, Instance]) -> None:
    for instance in instances:
        assert len(anonymous_collections(instance.url)) >= 6
        assert len(anonymous_items(instance.url)) >= 29
    items = anonymous_items(instances[0].url).values()
    assert any(item["properties"]["semantics"] for item in items)
    ranks = sorted(
        item["properties"]["geovisio:rank_in_collection"]
        for item in anonymous_items(instances[1].url).values()
        if item["properties"]["original_file:name"].startswith("ivandry")
    )
    assert ranks == [1, 2, 4, 5]  # the third is its owner's only


def test_hidden_sequence_is_a_tombstone_until_shown(
    instances: tuple[Instance, Instance], new_sequence: NewSequence
) -> None:
    first, api = instances[0], instances[0].api("alice")
    sequence = new_sequence(first)
    changes.hide_sequence(api, sequence)
    assert sequence not in anonymous_collections(first.url)
    assert sequence in anonymous_tombstones(first.url)
    changes.show_sequence(api, sequence)
    assert sequence in anonymous_collections(first.url)


def test_picture_verbs(instances: tuple[Instance, Instance], new_sequence: NewSequence) -> None:
    first, api = instances[0], instances[0].api("alice")
    sequence = new_sequence(first)
    a, b, c, d, e = [item["id"] for item in anonymous_items_of(first.url, sequence)]
    changes.hide_picture(api, a)
    changes.delete_picture(api, b)
    changes.turn_picture(api, c, 12)
    changes.tag_picture(api, c, "osm|highway", "street_lamp")
    changes.place_picture(api, d, 4.8505, 45.7505)
    changes.date_picture(api, d, "2024-01-01T00:00:00Z")
    annotation = changes.annotate_picture(api, e, (10, 10, 50, 50), "osm|amenity", "bench")
    items = {item["id"]: item for item in anonymous_items_of(first.url, sequence)}
    assert set(items) == {c, d, e}
    assert items[c]["properties"]["view:azimuth"] == 12
    assert items[c]["properties"]["semantics"] == [{"key": "osm|highway", "value": "street_lamp"}]
    assert items[d]["geometry"]["coordinates"] == [4.8505, 45.7505]
    assert items[d]["properties"]["datetime"].startswith("2024-01-01T00:00:00")
    assert items[e]["properties"]["annotations"][0]["id"] == annotation
    changes.show_picture(api, a)
    assert a in anonymous_items(first.url)


def test_sequence_verbs(instances: tuple[Instance, Instance], new_sequence: NewSequence) -> None:
    first, api = instances[0], instances[0].api("alice")
    sequence = new_sequence(first)
    order = [item["id"] for item in anonymous_items_of(first.url, sequence)]
    changes.rename_sequence(api, sequence, "Renamed")
    changes.tag_sequence(api, sequence, "osm|surface", "asphalt")
    changes.sort_sequence(api, sequence, "-filename")
    changes.turn_sequence(api, sequence, 90)
    assert anonymous_collections(first.url)[sequence]["title"] == "Renamed"
    items = anonymous_items_of(first.url, sequence)
    assert [item["id"] for item in items] == order[::-1]
    assert items[0]["properties"]["collection"]["semantics"] == [{"key": "osm|surface", "value": "asphalt"}]
    changes.delete_sequence(api, sequence)
    assert sequence in anonymous_tombstones(first.url)


def test_pictures_added_later_join_their_sequence(
    instances: tuple[Instance, Instance], more_pictures: MorePictures
) -> None:
    second, title = instances[1], "Analakely, Antananarivo"
    before = anonymous_items(second.url)
    changes.add_pictures(second.api(ADMIN), second.upload_set(title), more_pictures(second, title, 2))
    after = anonymous_items(second.url)
    assert len(after) == len(before) + 2


def test_pictures_move_between_sequences_and_keep_their_ids(
    instances: tuple[Instance, Instance], own_street: OwnStreet, street_pictures: StreetPictures
) -> None:
    first, api = instances[0], instances[0].api("bob")
    spec = own_street(account="bob")
    upload_set = changes.upload_pictures(api, spec.title, street_pictures(spec))
    (whole,) = changes.sequences_of(api, upload_set)
    ids = {item["id"] for item in anonymous_items_of(first.url, whole)}
    changes.redistribute(api, upload_set, split_distance=3)
    parts = changes.sequences_of(api, upload_set)
    assert len(parts) == 5
    assert {item["id"] for part in parts for item in anonymous_items_of(first.url, part)} == ids
    changes.redistribute(api, upload_set, split_distance=100_000)
    assert len(changes.sequences_of(api, upload_set)) == 1


def test_transferred_sequence_keeps_every_id(instances: tuple[Instance, Instance], new_sequence: NewSequence) -> None:
    first, second = instances
    sequence = new_sequence(first)
    changes.transfer_sequence(first.url, second.api("alice"), sequence)
    assert [item["id"] for item in anonymous_items_of(first.url, sequence)] == [
        item["id"] for item in anonymous_items_of(second.url, sequence)
    ]


def test_ids_can_be_chosen(
    instances: tuple[Instance, Instance], own_street: OwnStreet, street_pictures: StreetPictures
) -> None:
    sequence, spec = str(uuid4()), own_street()
    pictures = {str(uuid4()): file for file in street_pictures(spec)}
    for instance in instances:
        changes.upload_with_ids(instance.api("alice"), sequence, spec.title, pictures)
        assert [item["id"] for item in anonymous_items_of(instance.url, sequence)] == list(pictures)


def test_the_same_pictures_are_drawn_every_time(
    street_pictures: StreetPictures, own_street: OwnStreet, tmp_path: Path
) -> None:
    spec = own_street(pictures=2)
    first = [file.read_bytes() for file in street_pictures(spec)]
    for file in street_pictures(spec):
        file.unlink()
    assert [file.read_bytes() for file in street_pictures(spec)] == first
