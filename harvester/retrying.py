"""Sequences that are asked for once more: those that could not be merged, and those with pictures still to come."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from federation.errors import CircuitOpen, OriginError, OriginRefused, OriginUnreachable
from federation.queries import query
from harvester.tasks import Task, Why
from harvester.work import Work

logger = logging.getLogger(__name__)

#: Answers that say a sequence is not there for an anonymous visitor.
GONE = frozenset({401, 403, 404, 410})
#: The same, said about something that is there: it is withheld at once. GeoVisio says 404 to everything it hides.
WITHHELD = frozenset({401, 403, 410})
_BUSY = frozenset({429, 500, 502, 503, 504})
#: So many faults of the whole instance one after the other end the visit; those sequences stand in retries.
_FAULTS_IN_A_ROW = 5
_ASKED_A_VISIT = 500


@dataclass(slots=True)
class Retries:
    """Who waits for another try, and whether the whole instance is the trouble."""

    work: Work
    _faults_in_a_row: int = 0

    def well(self) -> None:
        """The instance answered as it should."""
        self._faults_in_a_row = 0

    async def put_off(self, sequence: str, error: Exception, updated: datetime | None = None) -> None:
        """Into retries with it. Raises the error itself when the whole instance seems to be the trouble."""
        if isinstance(error, CircuitOpen):
            raise error  # nothing was asked: this says nothing about the sequence, and all others would get it too
        work = self.work
        work.progress.sequences_failed += 1
        work.progress.failed(error)
        logger.warning("sequence put off", extra={"instance": work.instance.name, "error": str(error)})
        await work.pool.execute(
            query("keep_retry"),
            work.instance.n,
            work.key(sequence),
            str(error)[:2000].replace("\x00", ""),
            str(getattr(error, "url", ""))[:2000],
            timedelta(seconds=work.settings.retry_first_s),
            timedelta(seconds=work.settings.retry_last_s),
            updated,
            work.run,
        )
        if isinstance(error, OriginUnreachable) or (isinstance(error, OriginRefused) and error.status in _BUSY):
            self._faults_in_a_row += 1
            if self._faults_in_a_row >= _FAULTS_IN_A_ROW:
                raise error

    async def due(self) -> list[Task]:
        """Those whose time has come, as they are now. One that is gone needs no other try: a listing tells of it."""
        work = self.work
        rows = await work.pool.fetch(query("due_again"), work.instance.n, _ASKED_A_VISIT)
        found = []
        for row in rows:
            try:
                found.append(await work.client.sequence(row["id"]))
            except OriginError as error:
                if not isinstance(error, OriginRefused) or error.status not in GONE:
                    await self.put_off(row["id"], error)
                    continue
                await work.pool.execute(query("drop_again"), work.instance.n, work.key(row["id"]), work.run)
            else:
                self.well()
        numbers = await work.numbers([listed.id for listed in found])
        return [Task(number=numbers[listed.id], listed=listed, why=Why.AGAIN) for listed in found]
