"""Real payloads, some thousands for any number of pictures: rendered, read, shrunk and packed as a harvest does.

Ids, position and times are markers inside a payload, put in from its row when it is read. A payload of the pool is
therefore valid for any picture of the same instance and camera; what repeats is EXIF, local time, file name, and the
rank, direction, producer and tags that the JSON itself tells. Sizes on disk and the work of reading are real.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from bench.items import render_items
from bench.pictures import pictures_of
from bench.plan import Dataset, SequencePlan
from federation.payload import Packer, train
from federation.record import Picture
from federation.settings import Settings

POOL_PICTURES = 20_000
#: Short sequences are taken, for the pool to show many cameras, accounts and days.
SHORT = 60
_NULL = b"\xff\xff\xff\xff"

Kind = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """A trained dictionary of one instance."""

    content: bytes
    trained_on: int


def kind_of(plan: SequencePlan) -> Kind:
    """(instance, camera): what a payload of the pool is valid for."""
    return plan.instance, plan.camera_number


def texts_of_plan(plan: SequencePlan, base: str, instance: str) -> Iterator[Picture]:
    """The pictures of a sequence as the harvester reads them."""
    for item in render_items(pictures_of(plan), base):
        yield Picture.from_stac(item.body, instance=instance, collection=plan.id)


def sample_plans(dataset: Dataset, wanted: int, *, skip: int = 0) -> list[SequencePlan]:
    """Short sequences from all over the data set, with `wanted` pictures together, and one at least of every kind."""
    step = max(1, len(dataset) * SHORT // 6 // max(wanted, 1))
    chosen: dict[int, SequencePlan] = {}
    shortest: dict[Kind, SequencePlan] = {}
    pictures = 0
    for plan in dataset.sequences():
        best = shortest.get(kind_of(plan))
        if best is None or plan.count < best.count:
            shortest[kind_of(plan)] = plan
        if pictures < wanted and plan.count <= SHORT and plan.number % step == skip % step:
            chosen[plan.number] = plan
            pictures += plan.count
    return list((chosen | {plan.number: plan for plan in shortest.values()}).values())


def train_dictionaries(dataset: Dataset, bases: Sequence[str], settings: Settings) -> dict[int, Dictionary]:
    """One dictionary per instance, of other pictures than those of the pool wherever there are enough."""
    wanted = settings.dictionary_items
    trained: dict[int, Dictionary] = {}
    for number, instance in enumerate(dataset.instances):
        samples: list[bytes] = []
        for plan in dataset.sequences(first=1, instance=number):
            if plan.count > SHORT and len(samples) < wanted:
                some = texts_of_plan(plan, bases[number], instance.name)
                samples += [picture.text for picture, _ in zip(some, range(wanted // 25), strict=False)]
            if len(samples) >= wanted:
                break
        content = train(samples, settings.dictionary_bytes)
        if content:
            trained[number] = Dictionary(content=content, trained_on=len(samples))
    return trained


def render_pool(
    plans: Iterable[SequencePlan], packers: Mapping[int, Packer], bases: Sequence[str], names: Sequence[str]
) -> dict[Kind, list[bytes]]:
    """Per kind, the last two fields of a binary COPY row: semantics and payload."""
    pool: dict[Kind, list[bytes]] = {}
    for plan in plans:
        read = list(texts_of_plan(plan, bases[plan.instance], names[plan.instance]))
        packed = packers[plan.instance].pack([picture.text for picture in read])
        fields = [
            _field(_jsonb(picture.semantics)) + _field(payload) for picture, payload in zip(read, packed, strict=True)
        ]
        pool.setdefault(kind_of(plan), []).extend(fields)
    return pool


def _jsonb(text: str | None) -> bytes | None:
    """What PostgreSQL reads as jsonb: a version, then the text."""
    return None if text is None else b"\x01" + orjson.dumps(orjson.loads(text))


def _field(value: bytes | None) -> bytes:
    return _NULL if value is None else len(value).to_bytes(4, "big") + value
