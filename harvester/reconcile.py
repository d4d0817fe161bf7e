"""Finds what no signal told: every sequence is read again in turn, and everything an instance has is listed daily."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from datetime import timedelta

from federation.database import Row
from federation.errors import OriginError, OriginMalformed, OriginRefused
from federation.queries import query
from harvester.brake import may_go
from harvester.client import IDS_AT_ONCE
from harvester.listing import Listed
from harvester.reading import SequenceReader
from harvester.retrying import WITHHELD, Retries
from harvester.tasks import Task, Why
from harvester.work import Work

#: The second half of the period is there to be late in.
_WITHIN = 0.5


@dataclass(frozen=True, slots=True)
class _Found:
    """What became of some sequences that were asked for."""

    shown: dict[int, Listed]
    gone: list[int]
    absent: list[int]


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Rolling reconciliation of one visit."""

    work: Work
    reader: SequenceReader
    retries: Retries

    async def run(self) -> None:
        """Read again what is due: this visit's share, or everything when the visit is thorough."""
        while rows := await self._due():
            self.work.phase("reconciling")
            for start in range(0, len(rows), IDS_AT_ONCE):
                await self._reconcile(rows[start : start + IDS_AT_ONCE])
            if not self.work.thorough:
                return

    async def _due(self) -> list[Row]:
        work = self.work
        rows = await work.pool.fetch(
            query("reconcile_due"), work.instance.n, self._period() * _WITHIN, work.settings.reconcile_sequences
        )
        kept: list[Row] = []
        pictures = 0
        for row in rows:
            if kept and pictures + row["pictures"] > work.settings.reconcile_pictures:
                break
            kept.append(row)
            pictures += row["pictures"]
        return kept

    def _period(self) -> timedelta:
        """Where nothing says when a sequence changed, this is the only way its changes are found."""
        settings = self.work.settings
        days = timedelta(days=settings.reconcile_period_days)
        return (
            min(days, timedelta(hours=settings.relist_period_h))
            if self.work.client.capabilities.dated is False
            else days
        )

    async def _reconcile(self, rows: Seq[Row]) -> None:
        work = self.work
        found = await self._ask(rows)
        work.progress.sequences_expected += len(found.shown)
        work.progress.pictures_expected += sum(listed.expected for listed in found.shown.values())
        tasks = [Task(number=n, listed=listed, why=Why.RECONCILED) for n, listed in found.shown.items()]
        await self.reader.read_all(tasks)
        await work.remove(found.gone)
        await work.remove(await may_go(work, found.absent))
        # those that failed stand in retries: the others come first from now on
        await work.pool.execute(query("touch_sequences"), work.instance.n, [row["n"] for row in rows], work.run)

    async def _ask(self, rows: Seq[Row]) -> _Found:
        if self.work.client.listing.by_id and self.work.client.capabilities.ids is not False:
            try:
                return self._sorted(rows, await self.work.client.sequences([row["id"] for row in rows]))
            except (OriginMalformed, OriginRefused) as error:
                self.work.client.cannot_ask_for_ids(error)
        return await self._ask_each(rows)

    def _sorted(self, rows: Seq[Row], listed: dict[str, Listed]) -> _Found:
        found = _Found({}, [], [])
        for row in rows:
            entry = listed.get(row["id"])
            if entry is None:
                found.absent.append(row["n"])
            elif entry.raw is None or self._is_known(entry):
                found.gone.append(row["n"])
            else:
                found.shown[row["n"]] = entry
        return found

    async def _ask_each(self, rows: Seq[Row]) -> _Found:
        found = _Found({}, [], [])
        for row in rows:
            try:
                entry = await self.work.client.sequence(row["id"])
            except OriginError as error:
                status = error.status if isinstance(error, OriginRefused) else 0
                if status in WITHHELD:
                    found.gone.append(row["n"])
                elif status == 404:
                    found.absent.append(row["n"])
                else:
                    await self.retries.put_off(row["id"], error)
                continue
            self.retries.well()
            if self._is_known(entry):
                found.gone.append(row["n"])
            else:
                found.shown[row["n"]] = entry
        return found

    def _is_known(self, entry: Listed) -> bool:
        """Whether a catalog has it from an instance that is harvested directly by now."""
        catalog = self.work.client.capabilities.kind == "catalog"
        return catalog and entry.raw is not None and self.work.known.names(entry.raw)
