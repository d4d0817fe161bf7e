"""Do the counts cost the writers anything? Four of them merge into one city, with and without recording counts.

The statement that records counts is replaced by one that does nothing, here and only here. Rounds take turns, other
sequences every time; the counts are folded beside, as in a running harvester.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace

from bench.database import statement
from bench.meter import server_cpu_s
from bench.plan import Dataset, DatasetSpec, SequencePlan
from bench.product import Product, prepare
from bench.world import REGIONS
from bench.writer import Desk, Ready, desk_of, lanes_of, learn_dictionary
from federation.database import Role, connect
from federation.leaves import load_leaves
from federation.queries import query
from federation.settings import Settings
from harvester import merge as merging
from harvester.fold import fold
from harvester.lane import Lane

WRITERS = 4
SEQUENCE_PICTURES = 100
SPREAD_M = 400.0
FOLD_EVERY_S = 0.5
NOTHING = "SELECT 1"
INSTANCE = "community"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """All writers once: pictures, seconds of reading, packing and staging, seconds of merging, those of the server."""

    counted: bool
    pictures: int
    stage_s: float
    merge_s: float
    merge_cpu_s: float


@dataclass(slots=True, kw_only=True)
class CountsReport:
    """The whole measurement; `wrong_cells` are cells whose count differs from their pictures."""

    rounds: list[Round] = field(default_factory=list)
    folded: int = 0
    deadlocks: int = 0
    cells: int = 0
    wrong_cells: int = 0

    def merge_cpu_us(self, *, counted: bool) -> float:
        """Median microseconds of the server's processor per merged picture, what folds beside included."""
        return statistics.median(1e6 * one.merge_cpu_s / one.pictures for one in self.rounds if one.counted is counted)

    def rate(self, *, counted: bool, whole: bool) -> float:
        """Median pictures per second of the rounds with or without counts: the whole way, or merging alone."""
        return statistics.median(
            one.pictures / (one.merge_s + one.stage_s * whole) for one in self.rounds if one.counted is counted
        )

    def ratio(self, *, whole: bool) -> float:
        """Throughput with counts, as a share of that without."""
        return self.rate(counted=True, whole=whole) / self.rate(counted=False, whole=whole)


@contextmanager
def counts_recorded(recorded: bool) -> Iterator[None]:
    """Let merges record counts or not."""
    if not recorded:
        setattr(merging, "query", lambda name: NOTHING if name == "record_counts" else query(name))  # noqa: B010
    try:
        yield
    finally:
        setattr(merging, "query", query)  # noqa: B010


def city_plans(count: int) -> list[SequencePlan]:
    """Sequences of equal length in the middle of one town, of several cameras and accounts of one instance."""
    town = replace(REGIONS["france"][0], spread_m=SPREAD_M)
    dataset = Dataset(DatasetSpec(items=count * 400, instances=1, seed=9))
    some = (dataset.plan(number) for number in range(count))
    return [replace(plan, town=town, town_number=0, count=SEQUENCE_PICTURES, rural=False) for plan in some]


@asynccontextmanager
async def _folding(desk: Desk, report: CountsReport) -> AsyncIterator[None]:
    """Fold all the time; to the end before it is left."""

    async def always() -> None:
        while True:
            report.folded += await fold(desk.pool, desk.settings)
            await asyncio.sleep(FOLD_EVERY_S)

    task = asyncio.create_task(always())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        report.folded += await fold(desk.pool, desk.settings)


async def _stage(desk: Desk, lane: Lane, sequences: Sequence[Ready]) -> None:
    for one in sequences:
        await desk.stage(lane, desk.read(one))
        await asyncio.sleep(0)
    await lane.flush()


async def _round(
    desk: Desk, lanes: Sequence[Lane], work: Sequence[Sequence[Ready]], server: int, *, counted: bool
) -> Round:
    """Every writer stages its sequences, then all merge at once; batch after batch of the usual size."""
    stage_s = merge_s = cpu_s = 0.0
    pictures = 0
    per_batch = max(1, desk.settings.batch_pictures // desk.settings.instance_concurrency // SEQUENCE_PICTURES)
    for start in range(0, len(work[0]), per_batch):
        some = [sequences[start : start + per_batch] for sequences in work]
        begin = time.perf_counter()
        await asyncio.gather(*(_stage(desk, lane, each) for lane, each in zip(lanes, some, strict=True)))
        staged, cpu_before = time.perf_counter(), server_cpu_s(server)
        with counts_recorded(counted):
            arrived = await asyncio.gather(*(desk.merge(lane, each) for lane, each in zip(lanes, some, strict=True)))
        merge_s += time.perf_counter() - staged
        stage_s += staged - begin
        cpu_s += server_cpu_s(server) - cpu_before
        pictures += sum(arrived)
    return Round(counted=counted, pictures=pictures, stage_s=stage_s, merge_s=merge_s, merge_cpu_s=cpu_s)


async def _measure(product: Product, pictures_each: int, rounds: int) -> CountsReport:
    report, settings = CountsReport(), Settings()
    server = product.cluster.status().pid
    each = max(1, pictures_each // SEQUENCE_PICTURES)
    async with desk_of(product, INSTANCE, settings) as desk, lanes_of(desk, WRITERS) as lanes:
        plans = iter(city_plans(WRITERS * each * (2 * rounds + 1)))

        async def work() -> list[list[Ready]]:
            return [await desk.prepare([next(plans) for _ in range(each)]) for _ in range(WRITERS)]

        first = await work()
        await learn_dictionary(desk, first[0])
        await _round(
            desk, lanes, first, server, counted=True
        )  # leaves made, plans and caches warm; counted all the same
        counted = [one.number for each_writer in first for one in each_writer]
        for number in range(2 * rounds):
            some = await work()
            with_counts = number % 4 in (0, 3)  # with, without, without, with: neither is always the later one
            if with_counts:
                counted += [one.number for each_writer in some for one in each_writer]
            async with _folding(desk, report):
                report.rounds.append(await _round(desk, lanes, some, server, counted=with_counts))
        await _verify(desk, counted, report)
    return report


async def _verify(desk: Desk, counted: list[int], report: CountsReport) -> None:
    """The sums against the pictures, and what the server says of deadlocks."""
    await asyncio.sleep(1.5)  # sessions tell their statistics once a second
    leaves = await load_leaves(desk.pool)
    cells = leaves.standing_for(row[0] for row in await desk.pool.fetch(query("cells_of_sequences"), counted))
    connection = await connect(desk.dsn, Role.OWNER, desk.settings)
    try:
        report.wrong_cells = await connection.fetchval(statement("wrong_counts"), counted, cells)
        report.cells = await connection.fetchval(statement("cells_counted"))
        report.deadlocks = await connection.fetchval(statement("deadlocks"))
    finally:
        await connection.close()


def measure_counts(product: Product, pictures_each: int, rounds: int) -> CountsReport:
    """An empty catalog, `rounds` rounds of each kind in turns, every writer `pictures_each` pictures a round."""
    prepare(product, [INSTANCE])
    try:
        return asyncio.run(_measure(product, pictures_each, rounds))
    finally:
        product.cluster.stop()


def counts_markdown(report: CountsReport) -> str:
    """The table of both kinds."""
    lines = [
        "| four writers in one city | without counts | with counts | ratio |",
        "|---|---|---|---|",
    ]
    for name, whole in (("read, pack, stage and merge, pictures/s", True), ("merge alone, pictures/s", False)):
        rates = [report.rate(counted=counted, whole=whole) for counted in (False, True)]
        lines.append(f"| {name} | {rates[0]:,.0f} | {rates[1]:,.0f} | {report.ratio(whole=whole):.2f} |")
    cpu = [report.merge_cpu_us(counted=counted) for counted in (False, True)]
    lines.append(
        f"| merge alone, µs of PostgreSQL's processor a picture | {cpu[0]:.0f} | {cpu[1]:.0f} | {cpu[0] / cpu[1]:.2f} |"
    )
    wrong = "all of them exact" if report.wrong_cells == 0 else f"{report.wrong_cells} of them wrong"
    lines += [
        "",
        f"Deadlocks: {report.deadlocks}. Folded beside: {report.folded:,} deltas into {report.cells:,} cells, {wrong}.",
    ]
    return "\n".join(lines) + "\n"
