"""What a search asks of its pictures besides their order: where, when, of which sequences, with what else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catalog_api.query.params import ALWAYS, Interval
from catalog_api.query.predicates import Predicate


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """All of it holds at once. `of` are numbers of sequences, None for all; `narrow` is a condition on sequences."""

    interval: Interval = ALWAYS
    ewkb: bytes | None = None
    of: Sequence[int] | None = None
    predicate: Predicate | None = None
    narrow: Predicate | None = None


ANYTHING = Scope()
