"""How fast each stage of the harvester is by itself, on generated pictures: no HTTP, no other stage beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.meter import server_cpu_s
from bench.plan import Dataset, SequencePlan
from bench.product import Product, prepare
from bench.writer import Desk, Read, Ready, desk_of, lanes_of, learn_dictionary
from federation.payload import Packer
from federation.settings import Settings
from harvester.fold import fold
from harvester.lane import Lane

DICTIONARY_PICTURES = 5_000


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: items, wall seconds, processor seconds of this process and of the server."""

    name: str
    items: int
    wall_s: float
    cpu_s: float
    postgres_cpu_s: float


class _Packed(Packer):
    """Gives payloads that were packed before, so that staging is timed without packing."""

    def __init__(self, packer: Packer, payloads: dict[bytes, bytes]) -> None:
        super().__init__(packer.dictionary, packer._parameters, packer._trained)
        object.__setattr__(self, "payloads", payloads)

    payloads: dict[bytes, bytes]

    def pack(self, texts: Iterable[bytes]) -> list[bytes]:
        """What was packed of these texts."""
        return [self.payloads[text] for text in texts]


@dataclass(slots=True)
class _Clock:
    """Adds up what each stage takes."""

    server: int
    taken: dict[str, Stage] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, items: int) -> Iterator[None]:
        wall, cpu, server = time.perf_counter(), time.process_time(), server_cpu_s(self.server)
        yield
        before = self.taken.get(name, Stage(name, 0, 0, 0, 0))
        self.taken[name] = Stage(
            name,
            before.items + items,
            before.wall_s + time.perf_counter() - wall,
            before.cpu_s + time.process_time() - cpu,
            before.postgres_cpu_s + server_cpu_s(self.server) - server,
        )


def _batches(sequences: Iterable[Ready], pictures: int) -> Iterator[list[Ready]]:
    """As much as one merge takes, whole sequences."""
    some: list[Ready] = []
    count = 0
    for one in sequences:
        some.append(one)
        count += len(one.items)
        if count >= pictures:
            yield some
            some, count = [], 0
    if some:
        yield some


async def _batch(desk: Desk, lane: Lane, sequences: Sequence[Ready], clock: _Clock) -> None:
    items = sum(len(one.items) for one in sequences)
    with clock.stage("read and check", items):
        read: list[Read] = [desk.read(one) for one in sequences]
    texts = [picture.text for one in read for picture in one.pictures]
    with clock.stage("compress", items):
        payloads = desk.packer.pack(texts)
    packed = _Packed(desk.packer, dict(zip(texts, payloads, strict=True)))
    with clock.stage("stage (COPY)", items):
        for one in read:
            await desk.stage(lane, one, packed)
        await lane.flush()
    with clock.stage("merge", items):
        await desk.merge(lane, sequences)


async def _measure(product: Product, plans: list[SequencePlan], name: str) -> list[Stage]:
    settings = Settings()
    clock = _Clock(product.cluster.status().pid)
    async with desk_of(product, name, settings) as desk, lanes_of(desk, 1) as (lane,):
        count = next(k for k in range(1, len(plans) + 1) if sum(p.count for p in plans[:k]) >= DICTIONARY_PICTURES)
        first = await desk.prepare(plans[:count])
        await learn_dictionary(desk, first)
        await _batch(desk, lane, first, _Clock(clock.server))  # leaves made, caches warm: not counted
        await fold(desk.pool, settings)
        ready = await desk.prepare(plans[count:])
        for some in _batches(ready, settings.batch_pictures // settings.instance_concurrency):
            await _batch(desk, lane, some, clock)
        with clock.stage("fold counts", sum(len(one.items) for one in ready)):
            await fold(desk.pool, settings)
    return list(clock.taken.values())


def measure_stages(product: Product, dataset: Dataset) -> list[Stage]:
    """Bring the first instance's pictures of a data set in, stage by stage, batch by batch."""
    name = dataset.instances[0].name
    prepare(product, [name])
    try:
        return asyncio.run(_measure(product, list(dataset.sequences(instance=0)), name))
    finally:
        product.cluster.stop()


def stages_markdown(stages: Sequence[Stage]) -> str:
    """A row per stage; the last is all of them one after the other."""
    lines = [
        "| stage | items/s by itself | µs an item | of it harvester | PostgreSQL |",
        "|---|---|---|---|---|",
    ]
    sums = [sum(getattr(one, name) for one in stages) for name in ("wall_s", "cpu_s", "postgres_cpu_s")]
    whole = Stage("one after the other", stages[0].items, *sums)
    for one in (*stages, whole):
        micros = [1e6 * spent / one.items for spent in (one.wall_s, one.cpu_s, one.postgres_cpu_s)]
        lines.append(
            f"| {one.name} | {one.items / one.wall_s:,.0f} | {micros[0]:.0f} | {micros[1]:.0f} | {micros[2]:.0f} |"
        )
    return "\n".join(lines) + "\n"
