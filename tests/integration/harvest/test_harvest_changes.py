"""What an instance does to its pictures and sequences, and that the index follows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harvest_world import World
from tests.origin import Origin


async def filled(world: World, sequences: int = 9, pictures: int = 7) -> Origin:
    origin = await world.origin()
    for n in range(sequences):
        origin.add_sequence(pictures, at=(2.35 + n / 100, 48.85))
    await world.good_visit()
    return origin


async def test_a_first_crawl_brings_every_item_in_unchanged(world: World) -> None:
    origin = await world.origin()
    for n in range(9):
        origin.add_sequence(n * 3, at=(2.35, 48.85 + n / 100))
    origin.add_sequence(23, at=(179.9985, -16.8))
    origin.add_sequence(6, at=(12.0, 89.9999), step=60.0)
    origin.add_sequence(6, at=(12.0, -90.0), step=60.0)
    progress = await world.good_visit()
    assert progress.sequences_changed == len(origin.sequences)
    await world.check_same()


async def test_a_second_visit_with_nothing_changed_costs_two_requests_at_most(world: World) -> None:
    origin = await filled(world, sequences=3)
    progress = await world.good_visit()
    assert len(origin.requests) <= 2
    assert (progress.sequences_changed, progress.pictures_changed) == (0, 0)
    # past the overlap nothing is listed: one request
    await world.admin.execute("UPDATE instances SET cursor = now() + interval '2 hours'")
    await world.good_visit()
    assert len(origin.requests) == 1


async def test_an_edited_item_is_replaced_though_its_updated_stays(world: World) -> None:
    origin = await filled(world)
    picture = next(iter(origin.sequences.values())).pictures[2]
    origin.edit(picture, **{"view:azimuth": 17, "exif": {"Exif.Image.Make": "Été"}})
    progress = await world.good_visit()
    assert (progress.sequences_changed, progress.pictures_changed) == (1, 1)
    await world.check_same()


async def test_a_picture_that_became_360_or_changed_its_day_changes_the_counts(world: World) -> None:
    origin = await filled(world)
    picture = next(iter(origin.sequences.values())).pictures[0]
    origin.edit(picture, field_of_view=360, datetime="1904-01-02T03:04:05+00:00")
    await world.good_visit()
    await world.check_same()


async def test_added_hidden_shown_and_deleted_pictures_are_followed(world: World) -> None:
    origin = await filled(world)
    one, two, three, *_ = origin.sequences.values()
    origin.add_picture(one, 2.36, 48.86)
    origin.hide_picture(two.pictures[3])
    origin.delete_picture(three.pictures[0])
    await world.good_visit()
    await world.check_same()
    origin.hide_picture(two.pictures[3], hidden=False)
    for picture in one.pictures:
        origin.hide_picture(picture)
    await world.good_visit()
    await world.check_same()


async def test_a_page_of_hidden_pictures_does_not_end_a_sequence(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(22)
    for picture in sequence.pictures[5:16] + sequence.pictures[-3:]:
        origin.hide_picture(picture)
    await world.good_visit()
    await world.check_same()


async def test_hidden_and_deleted_sequences_go_at_once_and_may_come_back(world: World) -> None:
    origin = await filled(world)
    one, two, *_ = origin.sequences.values()
    origin.hide_sequence(one)
    origin.hide_sequence(two)
    progress = await world.good_visit()
    assert progress.sequences_removed == 2
    await world.check_same()
    origin.hide_sequence(one, hidden=False)
    await world.good_visit()
    await world.check_same()


@pytest.mark.parametrize("back", [False, True])
async def test_a_picture_that_moves_between_sequences_keeps_its_id(world: World, back: bool) -> None:
    origin = await filled(world)
    first, second = sorted(origin.sequences.values(), key=lambda each: each.id)[:: -1 if back else 1][:2]
    for picture in first.pictures[1:4]:
        origin.move(picture, second)
    await world.good_visit()
    await world.check_same()


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("back", [False, True])
async def test_pictures_moved_between_sequences_of_different_batches_are_followed(
    world: World, back: bool, lanes: int
) -> None:
    origin = await filled(world, sequences=4, pictures=14)
    first, second = sorted(origin.sequences.values(), key=lambda each: each.id)[:: -1 if back else 1][:2]
    for picture in list(first.pictures):
        origin.move(picture, second)
    await world.good_visit(instance_concurrency=lanes, visit_lane_sequences=1)
    await world.check_same()


async def test_reordered_and_relocated_pictures_are_followed(world: World) -> None:
    origin = await filled(world)
    one, two, *_ = origin.sequences.values()
    one.pictures.reverse()
    origin.touch(one)
    for picture in two.pictures[::2]:
        picture.longitude, picture.latitude = -70.5, -33.4
    origin.touch(two)
    await world.good_visit()
    await world.check_same()


async def test_an_updated_that_goes_backwards_is_a_change(world: World) -> None:
    origin = await filled(world)
    sequence = next(iter(origin.sequences.values()))
    assert sequence.updated is not None
    before = sequence.updated
    origin.edit(sequence.pictures[0], title="changed")
    sequence.updated = before.replace(microsecond=max(0, before.microsecond - 500))
    await world.good_visit()
    await world.check_same()


async def test_a_sequence_that_was_never_updated_is_read_by_the_first_crawl(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(3).updated = None
    await world.good_visit()
    await world.check_same()


async def test_an_updated_in_the_future_does_not_hide_what_comes_next(world: World) -> None:
    origin = await world.origin()
    sequence = origin.add_sequence(3)
    await world.good_visit()
    assert sequence.updated is not None
    origin.touch(sequence)
    sequence.updated = sequence.updated.replace(year=2999)
    origin.hook = None
    await world.good_visit()
    origin.edit(origin.add_sequence(2).pictures[0], title="new")
    await world.good_visit()
    await world.check_same()


def random_edit(origin: Origin) -> None:
    """Something that a contributor may do."""
    chance = origin.random
    sequence = chance.choice([each for each in origin.sequences.values() if each.pictures])
    picture = chance.choice(sequence.pictures)

    def shuffle() -> None:
        chance.shuffle(sequence.pictures)
        origin.touch(sequence)

    verbs: list[Callable[[], object]] = [
        lambda: origin.edit(picture, title=str(chance.random())),
        lambda: origin.add_picture(sequence, 2.35 + chance.random(), 48.85 + chance.random()),
        lambda: origin.hide_picture(picture, hidden=not picture.hidden),
        lambda: origin.delete_picture(picture),
        lambda: origin.hide_sequence(sequence, hidden=not sequence.gone),
        lambda: origin.move(picture, chance.choice(list(origin.sequences.values()))),
        shuffle,
    ]
    chance.choice(verbs)()


async def test_random_edits_are_followed_visit_by_visit(world: World) -> None:
    origin = await filled(world, sequences=6)
    for _ in range(6):
        for _ in range(8):
            random_edit(origin)
        await world.good_visit()
        await world.check_same()
