"""One seeded random walk: steps on two instances and blows to the harvesters, then both sides compared twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncpg

from federation.errors import DemoError, OriginRefused, PanofedError
from federation.settings import Settings, load_settings
from panofed.cluster import DATABASE, Cluster, ClusterConfig
from panofed.demo.geovisio import CC_BY_SA, Instance, InstanceConfig
from panofed.demo.origins import Origins
from panofed.demo.run import demo_settings, write_instances
from panofed.demo.server import free_port
from panofed.services import settings_environment
from tests.acceptance.federated import ServedCatalog, served
from tests.acceptance.fidelity import shown_by
from tests.invariants import check_invariants
from tests.soak.comparison import NOTHING, Compared, Silent, compare
from tests.soak.fleet import Fleet
from tests.soak.leaks import answered, leaks, logged
from tests.soak.operations import last_steps
from tests.soak.steps import take_step
from tests.soak.town import NothingThere, Town, drawn_streets
from tests.soak.uploads import first_step

#: What settings do not let users choose: the cursor really moves within a walk, leaves split, and what a program that
#: was killed or frozen held is soon another's.
RELAXED = {
    "overlap_s": 15.0,
    "leaf_max_pictures": 60,
    "instance_slot_lease_s": 1.0,
    "run_lease_s": 1.5,
    "breaker_first_s": 0.5,
    "breaker_last_s": 1.0,
    "cadence_sleeping_s": 0.6,
    "cadence_failing_s": 1.0,
}
QUIET_S = 60.0
_FIRST_UPLOADS = 4
_STEPS_BEFORE_BLOWS = 8
#: the longest pause between two steps: harvesters see most states, not only the last
_PAUSE_S = 0.3
#: after so many steps the walk waits, for so long at most, until two visits have ended
_LOOK_AFTER, _LOOK_S = 8, 6.0
#: what happens to the machines, all of it before any of it happens again
_BLOWS = ("kill", "kill", "kill", "freeze", "freeze", "database", "instance", "licence")
_BLOW_SHARE, _THAW_SHARE = 0.15, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is walked: `damage` is one of those of tests/soak/command.py, to see that it is noticed."""

    seed: int
    steps: int
    damage: str = ""

    @property
    def command(self) -> str:
        """What repeats it."""
        damage = f" --damage {self.damage}" if self.damage else ""
        return f"python -m tests.soak --seed {self.seed} --steps {self.steps}{damage}"


@dataclass(slots=True, kw_only=True)
class Walk:
    """A walk under way: the instances' town, a catalog of its own, and the programs that harvest into it."""

    plan: Plan
    town: Town
    origins: Origins
    cluster: Cluster
    catalog: ServedCatalog
    fleet: Fleet
    report: Callable[[str], None]
    blows: random.Random
    #: what was done how often, steps and blows by name
    done: dict[str, int] = field(default_factory=dict)
    bag: list[str] = field(default_factory=list)
    originally: list[InstanceConfig] = field(default_factory=list)

    async def go(self) -> None:
        """All steps, then peace, then both comparisons. AssertionError says what is wrong and how to repeat it."""
        try:
            await asyncio.to_thread(self._take_steps)
            await self._tell_visits()
            await self.settle("harvest", "--once")
            first = await self._compared("after incremental passes", self._silent())
            await asyncio.to_thread(self._wake_the_last)
            await self.reconcile()
            await self._compared("after reconciliation", NOTHING, first)
            faults = self.fleet.faults()
            assert not faults, "\n".join(faults)
        except AssertionError as error:
            raise AssertionError(f"{error}\nto repeat it: {self.plan.command}; logs: {self.fleet.logs}") from error

    def _take_steps(self) -> None:
        self.fleet.start()
        begun = time.monotonic()
        for number in range(1, self.plan.steps + 1):
            if number > _STEPS_BEFORE_BLOWS and self.blows.random() < _BLOW_SHARE:
                self._say(number, self._blow())
            if self.fleet.frozen and self.blows.random() < _THAW_SHARE:
                self.fleet.thaw()
                self._say(number, "blow thaw")
            try:
                said = take_step(self.town) if number > _FIRST_UPLOADS else first_step(self.town)
            except NothingThere:
                said = "nothing there"
            except (OriginRefused, DemoError) as error:
                # people ask for what is not possible, too
                said = f"refused: {' '.join(str(error).split())[:150]}"
            self._say(number, said)
            self.fleet.keep_running()
            if number % _LOOK_AFTER == 0:
                self._let_them_look()
            time.sleep(self.blows.uniform(0, _PAUSE_S))
        self._let_them_look()
        self._say(self.plan.steps + 1, f"commit_slowly at last: {last_steps(self.town)}")
        # one is never heard of again, and is woken when all it wrote about is long done by others
        self.fleet.freeze(self.blows.randrange(2), replace=False)
        self.fleet.stop()
        self.report(f"walked {self.plan.steps} steps in {time.monotonic() - begun:.0f} s: {json.dumps(self.done)}")

    def _let_them_look(self) -> None:
        """On a busy machine the walk waits for those who follow it: what is harvested at the end alone shows little."""
        seen, deadline = asyncio.run(self._visits()), time.monotonic() + _LOOK_S
        while time.monotonic() < deadline and asyncio.run(self._visits()) < seen + 2:
            time.sleep(0.1)

    async def _visits(self) -> int:
        rows = await self.ask("SELECT count(*)::int AS n FROM runs WHERE outcome IN ('done', 'partial')")
        return int(rows[0]["n"])

    def _say(self, number: int, said: str) -> None:
        kind = said.partition(":")[0]
        self.done[kind] = self.done.get(kind, 0) + 1
        self.report(f"{number:4} {said}")

    def _blow(self) -> str:
        """What machines do to programs."""
        which = self.blows.randrange(2)
        if not self.bag:
            self.bag = self.blows.sample(_BLOWS, len(_BLOWS))
        kind = self.bag.pop()
        if kind == "kill":
            self.fleet.kill(which)
        elif kind == "freeze":
            self.fleet.freeze(which, replace=self.blows.random() < 0.6)
        elif kind == "database":
            self.cluster.stop(self.blows.choice(("fast", "immediate")))
            time.sleep(self.blows.uniform(0, 1))
            self.cluster.ensure_running()
        else:
            self._restart(self.blows.choice(self.town.instances), licence=kind == "licence")
        return f"blow {kind}: {which}"

    def _restart(self, instance: Instance, *, licence: bool) -> None:
        """An instance is away for a moment; `licence`: it comes back with another one."""
        instance.stop() if self.blows.random() < 0.5 else instance.kill()
        time.sleep(self.blows.uniform(0, 2))
        if licence:
            instance.config = replace(instance.config, license=replace(CC_BY_SA, spdx="CC-BY-4.0"))
        instance.stop()
        instance.start()
        if licence:
            self.town.licensed[instance.config.name] = self.town.clock(instance)

    def _wake_the_last(self) -> None:
        """Those still frozen go on for a moment, and are told to end."""
        self.fleet.thaw()
        time.sleep(self.blows.uniform(0.2, 1.5))
        self.fleet.stop()

    async def settle(self, *command: str) -> None:
        """Harvest until visits end well and find nothing more; what was put off comes in time."""
        deadline = time.monotonic() + QUIET_S
        while True:
            code, said = await asyncio.to_thread(self.fleet.once, *command)
            rows = await self.ask(
                "SELECT DISTINCT ON (instance) outcome, sequences_changed + sequences_removed AS moved FROM runs"
                " ORDER BY instance, n DESC"
            )
            waiting = (await self.ask("SELECT count(*) AS retries FROM retries"))[0]["retries"]
            calm = all((row["outcome"], row["moved"]) == ("done", 0) for row in rows) and len(rows) == 2
            if code == 0 and calm and not waiting:
                return
            assert time.monotonic() < deadline, (
                f"no peace: exit {code}, {[dict(row) for row in rows]}, {waiting} retries, {said[-2_000:]}"
            )
            await asyncio.sleep(0.3)

    async def reconcile(self) -> None:
        """Everything is looked at again, whatever the signals said."""
        code, said = await asyncio.to_thread(self.fleet.once, "harvest", "--help")
        assert code == 0, said
        if "--reconcile" in said:
            code, said = await asyncio.to_thread(self.fleet.once, "harvest", "--reconcile")
            assert code == 0, said
        else:
            await self.ask("UPDATE sequences SET updated = '-infinity' WHERE state = 'merged'")
            await self.ask("UPDATE instances SET cursor = NULL, crawl_after = NULL")
        await self.settle("harvest", "--once")

    async def _tell_visits(self) -> None:
        """What the programs did while the walk went on: a walk that nobody followed would show nothing."""
        rows = await self.ask(
            "SELECT outcome, count(*)::int AS runs, sum(sequences_changed)::int AS changed,"
            " sum(sequences_removed)::int AS removed, sum(pictures_changed)::int AS pictures"
            " FROM runs GROUP BY outcome ORDER BY outcome"
        )
        self.report("visits meanwhile: " + json.dumps([dict(row) for row in rows]))
        changed = sum(row["changed"] for row in rows)
        assert changed >= self.plan.steps / 10, f"only {changed} sequences were harvested while the walk went on"

    def _silent(self) -> Silent:
        town = self.town
        return Silent(renamed=dict(town.renamed), licensed=dict(town.licensed), late=dict(town.late))

    async def _compared(self, when: str, silent: Silent, before: Compared | None = None) -> Compared:
        compared = await asyncio.to_thread(compare, self.catalog, silent, singles=before is not None)
        wrong = list(compared.differences)
        connection = await asyncpg.connect(self.cluster.dsn(DATABASE))
        try:
            try:
                served = await check_invariants(connection)
                if not (before is None and self.town.late) and served != compared.pictures:
                    wrong.append(f"{served} pictures are served, and {compared.pictures} shown")
            except AssertionError as error:
                wrong.append(f"invariants: {str(error)[:2_000]}")
            wrong += await self._leaks(connection)
        finally:
            await connection.close()
        self.report(f"{when}: {compared.pictures} pictures, {len(wrong)} wrong, {len(compared.excused)} excused")
        assert not wrong, f"{when} ({len(wrong)} wrong):\n" + "\n".join(wrong[:12])
        return compared

    async def _leaks(self, connection: asyncpg.Connection) -> list[str]:
        shown = await asyncio.to_thread(shown_by, self.catalog)
        public = {item["id"] for each in shown for items in each.items.values() for item in items}
        sequences = {id for each in shown for id in each.collections}
        hidden = (await asyncio.to_thread(self.town.held) | self.town.deleted) - public
        known = {str(row["id"]) for row in await connection.fetch("SELECT id FROM sequences")}
        secret = await asyncio.to_thread(self.town.secrets)
        gone = known - sequences
        found = await leaks(connection, hidden=hidden, gone=gone, secret=secret)
        found += await asyncio.to_thread(answered, self.catalog, hidden=hidden, gone=gone)
        self.report(f"{len(hidden)} hidden or deleted pictures, {len(gone)} gone sequences looked for")
        return found + logged(self.fleet.logs.glob("*.log"), secret)

    async def ask(self, statement: str) -> list[asyncpg.Record]:
        """One statement as the catalog's administrator."""
        connection = await asyncpg.connect(self.cluster.dsn(DATABASE))
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()


def walk_settings(dsn: str, instances: Sequence[Instance], directory: Path) -> Settings:
    """Small pages and batches, so that every seam is crossed; no politeness, quick repeats."""
    plain = load_settings(
        data_dir=directory, database_url=dsn, port=free_port(), workers=1, instance_requests_per_s=0, cadence_s=0.4,
        page_sequences=7, page_pictures=3, batch_pictures=12, fold_interval_s=0.5, retry_first_s=0.3, retry_last_s=2,
        outbound_attempts=2, outbound_backoff_first_s=0.05, outbound_backoff_last_s=0.2, connect_timeout_s=3,
        dictionary_items=100, leaf_check_s=1, zstd_level=3, pool_size=4,
    )  # fmt: skip
    return demo_settings(plain, instances)


@contextlib.contextmanager
def prepared(plan: Plan, origins: Origins, folder: Path, report: Callable[[str], None]) -> Iterator[Walk]:
    """A fresh catalog of the instances in `folder`, with a database server of its own, and a new town."""
    dice = random.Random(plan.seed)
    cluster = Cluster(ClusterConfig(directory=folder / "pg", durable=False, shared_buffers="32MB"))
    instances = origins.instances
    settings = None
    try:
        cluster.ensure_running()
        cluster.ensure_database(DATABASE)
        settings = walk_settings(cluster.dsn(DATABASE), instances, folder)
        write_instances(settings.instances_file, instances)
        environment = settings_environment(settings) | {"SOAK_RELAXED": json.dumps(RELAXED), "SOAK_BREAK": plan.damage}
        fleet = Fleet(environment=environment, logs=folder / "logs")
        fleet.logs.mkdir(parents=True, exist_ok=True)
        stock = drawn_streets(origins.python, folder / "pictures", dice, 6 + plan.steps // 3)
        town = Town(instances=instances, database=origins.cluster, dice=dice, stock=stock)
        with served(settings) as url:
            walk = Walk(
                plan=plan, town=town, origins=origins, cluster=cluster, fleet=fleet, report=report,
                catalog=ServedCatalog(url=url, instances=instances), blows=random.Random(plan.seed + 1),
            )  # fmt: skip
            try:
                yield walk
            finally:
                fleet.destroy()
    finally:
        with contextlib.suppress(PanofedError):
            cluster.remove()
