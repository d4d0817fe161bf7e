"""The generator: the same spec is the same data, and an item has the keys a real instance answers."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from uuid import UUID

import pytest

from bench.items import Revision, render_items
from bench.pictures import pictures_of
from bench.plan import LONG_SEQUENCE, Dataset, DatasetSpec, SequencePlan
from bench.sequences import collection_of, to_json
from bench.tracks import METRES_PER_DEGREE
from bench.world import INSTANCES

BASE = "http://127.0.0.1:9999"
ITEM_KEYS = {
    "assets", "bbox", "collection", "geometry", "id", "links", "properties", "providers", "stac_extensions",
    "stac_version", "type",
}  # fmt: skip
PROPERTY_KEYS = {
    "annotations", "collection", "created", "datetime", "datetimetz", "exif", "geovisio:image", "geovisio:producer",
    "geovisio:rank_in_collection", "geovisio:status", "geovisio:thumbnail", "geovisio:visibility", "license",
    "original_file:name", "original_file:size", "panoramax:horizontal_pixel_density", "pers:interior_orientation",
    "quality:horizontal_accuracy", "semantics", "updated", "view:azimuth",
}  # fmt: skip
PANORAMIC_KEYS = {"pers:pitch", "pers:roll", "pers:yaw", "tiles:tile_matrix_sets"}
COLLECTION_KEYS = {
    "created", "description", "extent", "geovisio:length_km", "geovisio:upload-software", "id", "keywords", "license",
    "links", "providers", "quality:horizontal_accuracy", "quality:horizontal_accuracy_type", "semantics",
    "stac_extensions", "stac_version", "stats:items", "summaries", "title", "type", "updated",
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset(DatasetSpec(items=20_000, instances=4))


def plans_of_every_camera(dataset: Dataset) -> list[SequencePlan]:
    return list({plan.camera.model: plan for plan in dataset.sequences()}.values())


def test_a_sequence_made_alone_is_the_sequence_made_among_others(dataset: Dataset) -> None:
    among = next(plan for plan in dataset.sequences() if plan.number == 77)
    alone = Dataset(dataset.spec).plan(77)
    assert alone == among
    bodies = [[item.body for item in render_items(pictures_of(plan), BASE)] for plan in (alone, among)]
    assert bodies[0] == bodies[1]


def test_a_larger_data_set_begins_with_the_smaller_one(dataset: Dataset) -> None:
    larger = Dataset(dataclasses.replace(dataset.spec, items=30_000))
    assert all(larger.plan(number) == dataset.plan(number) for number in range(len(dataset) - 1))


def test_another_seed_gives_other_pictures(dataset: Dataset) -> None:
    other = Dataset(dataclasses.replace(dataset.spec, seed=2))
    assert other.plan(0).id != dataset.plan(0).id


@pytest.mark.parametrize("items", [1, 999, 20_000])
def test_exactly_the_asked_number_of_pictures_is_made(items: int) -> None:
    dataset = Dataset(DatasetSpec(items=items))
    assert dataset.pictures == items == sum(len(pictures_of(plan).ids) for plan in dataset.sequences())


def test_the_long_sequence_comes_beside_the_others() -> None:
    dataset = Dataset(DatasetSpec(items=1_000, long_sequence=True))
    last = list(dataset.sequences())[-1]
    assert (last.count, last.instance, dataset.pictures) == (LONG_SEQUENCE, 0, 51_000)
    assert len(set(pictures_of(last).ids)) == LONG_SEQUENCE


@pytest.mark.parametrize(("field", "value"), [("items", 0), ("instances", 0), ("instances", len(INSTANCES) + 1)])
def test_an_impossible_spec_is_refused_by_name(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field}={value}"):
        dataclasses.replace(DatasetSpec(), **{field: value})  # type: ignore[arg-type]


def test_ids_are_unique_version_4_uuids(dataset: Dataset) -> None:
    ids = [i for plan in dataset.sequences() for i in (plan.id, *pictures_of(plan).ids)]
    assert len(set(ids)) == len(ids)
    assert all(UUID(i).version == 4 and str(UUID(i)) == i for i in ids[::50])


def test_lengths_are_skewed_around_the_mean_of_the_federation() -> None:
    counts = [plan.count for plan in Dataset(DatasetSpec(items=200_000)).sequences()]
    assert 100 < sum(counts) / len(counts) < 150
    assert max(counts) > 1_500
    assert sorted(counts)[len(counts) // 2] < 90


def test_neighbours_are_a_few_metres_apart(dataset: Dataset) -> None:
    for plan in dataset.sequences(0, 40):
        pictures = pictures_of(plan)
        scale = math.cos(math.radians(plan.town.lat))
        for (lon1, lat1), (lon2, lat2) in itertools.pairwise(zip(pictures.lon, pictures.lat, strict=True)):
            across = ((lon2 - lon1 + 180) % 360 - 180) * scale
            assert math.hypot(across, lat2 - lat1) * METRES_PER_DEGREE < 35


def test_every_camera_gives_the_keys_of_a_real_item(dataset: Dataset) -> None:
    for plan in plans_of_every_camera(dataset):
        rendered = next(iter(render_items(pictures_of(plan), BASE)))
        item = json.loads(rendered.body)
        pano = plan.camera.panoramic
        assert set(item) == ITEM_KEYS | ({"asset_templates"} if pano else set())
        assert set(item["properties"]) == PROPERTY_KEYS | (PANORAMIC_KEYS if pano else set())
        assert len(item["properties"]["exif"]) >= 40
        assert 40 <= len(item["properties"]["exif"]["Exif.Photo.MakerNote"].split()) <= 200
        assert to_json(item) == rendered.body, "compact, keys sorted"


def test_links_name_the_neighbours_and_prev_can_be_cut_out(dataset: Dataset) -> None:
    plan = next(plan for plan in dataset.sequences() if plan.count > 3)
    pictures = pictures_of(plan)
    rendered = list(render_items(pictures, BASE))
    for k, item in enumerate(rendered):
        links = {link["rel"]: link for link in json.loads(item.body)["links"]}
        assert links.get("next", {}).get("id") == (pictures.ids[k + 1] if k + 1 < plan.count else None)
        assert links.get("prev", {}).get("id") == (pictures.ids[k - 1] if k else None)
        opening = json.loads(item.body[: item.cut_from] + item.body[item.cut_to :])
        assert [link["rel"] for link in opening["links"] if link["rel"] == "prev"] == []


def test_exif_says_the_same_place_as_the_geometry(dataset: Dataset) -> None:
    for plan in plans_of_every_camera(dataset):
        item = json.loads(next(iter(render_items(pictures_of(plan), BASE))).body)
        exif = item["properties"]["exif"]
        for axis, (name, negative) in enumerate((("Longitude", "W"), ("Latitude", "S"))):
            parts = [int(a) / int(b) for a, b in (x.split("/") for x in exif[f"Exif.GPSInfo.GPS{name}"].split())]
            degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
            signed = -degrees if exif[f"Exif.GPSInfo.GPS{name}Ref"] == negative else degrees
            assert item["geometry"]["coordinates"][axis] == pytest.approx(signed, abs=1e-8)


def test_a_camera_without_sub_seconds_gives_times_without_fraction(dataset: Dataset) -> None:
    plan = next(plan for plan in dataset.sequences() if not plan.camera.sub_second)
    item = json.loads(next(iter(render_items(pictures_of(plan), BASE))).body)
    assert len(item["properties"]["datetime"]) == len("2024-05-02T07:10:00+00:00")


def test_a_revision_changes_what_it_names_and_nothing_else(dataset: Dataset) -> None:
    plan = next(plan for plan in dataset.sequences() if plan.count > 5)
    pictures = pictures_of(plan)
    before = [json.loads(item.body) for item in render_items(pictures, BASE)]
    revision = Revision(1, 1_790_000_000_000_000, {2}, {plan.count})
    after = [json.loads(item.body) for item in render_items(pictures, BASE, revision)]
    assert [item["id"] for item in after] == pictures.ids[:-1]
    changed = [k for k, (old, new) in enumerate(zip(before, after, strict=False)) if old != new]
    assert changed == [1]
    assert after[1]["properties"]["updated"].startswith("2026-09-")


def test_a_listed_collection_has_the_keys_of_a_real_one(dataset: Dataset) -> None:
    pictures = pictures_of(dataset.plan(5))
    listed = collection_of(pictures, BASE)
    single = collection_of(pictures, BASE, listed=False)
    assert set(listed) == COLLECTION_KEYS
    assert set(single) == COLLECTION_KEYS | {"geovisio:visibility"}
    assert list(json.loads(to_json(listed)))[-1] == "updated"
