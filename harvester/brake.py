"""Holds inferred absence: what an instance does not list any more may be gone, or the instance may be unwell.

What it *says* is gone goes at once and never comes here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence as Seq

from federation.errors import OriginError
from federation.queries import query
from harvester.work import Work

logger = logging.getLogger(__name__)


class BrakePulled(OriginError):
    """Too much of an instance would disappear without its word: nothing is changed, a person is asked."""


async def may_go(work: Work, absent: Seq[int]) -> list[int]:
    """Which of these sequences (row numbers), missing without a word of the instance, are to be removed: all or none.

    Judged with what went in the last 24 hours for the same reason, before anything is applied. Raises BrakePulled, and
    stops the instance, when that is more than `brake_share` of its pictures and more than `brake_pictures`; a person's
    confirmation lets it pass, a refusal keeps them without asking again.
    """
    if not absent:
        return []
    row = await work.pool.fetchrow(query("absence_of"), work.instance.n, list(absent))
    assert row is not None
    lost, total = row["lost"] + row["applied"], row["held"] + row["applied"]
    too_much = lost > work.settings.brake_pictures and lost > work.settings.brake_share * total
    if too_much and row["absence_decided"] == "refused":
        logger.warning("absent sequences are kept, as a person decided", extra=_told(work, row["lost"]))
        await work.pool.execute(query("touch_sequences"), work.instance.n, list(absent), work.run)
        return []
    if too_much and row["absence_decided"] != "confirmed":
        await _pull(work, lost, total)
    if not too_much and row["absence_decided"] == "refused":
        await work.pool.execute(query("end_refusal"), work.instance.n, work.run)
    await work.pool.execute(query("forget_old_absences"), work.instance.n)
    await work.pool.execute(query("keep_absence"), work.instance.n, len(absent), row["lost"], work.run)
    return list(absent)


async def _pull(work: Work, lost: int, total: int) -> None:
    reason = (
        f"{lost:,} of its {total:,} pictures are missing within 24 h, and it gave no word of their removal. They stay; "
        f"decide: panofed instances resume {work.instance.name} --confirm (remove them) or --refuse (keep them)"
    )
    logger.error("brake pulled", extra=_told(work, lost))
    await work.pool.execute(query("brake_instance"), work.instance.n, reason, work.run)
    raise BrakePulled(reason, instance=work.instance.name, url=work.instance.url)


def _told(work: Work, lost: int) -> dict[str, object]:
    return {"instance": work.instance.name, "pictures": lost}
