"""Conditions put together from named fragments: SQL whose values are parameters, and where it goes in a statement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from federation.queries import query

_PARAMETER = re.compile(r"\$(\d+)")
#: Statements of different filters that are kept in memory; asyncpg keeps as many prepared.
_KEPT = 512


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition and its values, numbered from `first`. Each match has, of each list in `tags`, one tag (JSON).

    `indexed`: besides these, few pictures can pass, and an index finds them.
    """

    sql: str
    arguments: tuple[object, ...] = ()
    first: int = 1
    tags: tuple[tuple[str, ...], ...] = ()
    indexed: bool = False

    def at(self, first: int) -> Predicate:
        """The same with its parameters numbered from `first`.

        >>> Predicate("p.rank = $1::float8", (3,)).at(5).sql
        'p.rank = $5::float8'
        """
        if first == self.first:
            return self
        sql = _PARAMETER.sub(lambda found: f"${int(found[1]) - self.first + first}", self.sql)
        return Predicate(sql, self.arguments, first, self.tags, self.indexed)


def both(predicates: Iterable[Predicate | None]) -> Predicate | None:
    """All of these at once; None where there is none.

    >>> both([Predicate("a = $1", (1,)), None, Predicate("b = $1", (2,))])
    Predicate(sql='(a = $1) AND (b = $2)', arguments=(1, 2), first=1, tags=(), indexed=False)
    """
    given = [each for each in predicates if each is not None]
    if len(given) < 2:
        return given[0] if given else None
    pieces: list[str] = []
    arguments: tuple[object, ...] = ()
    for each in given:
        pieces.append(f"({each.at(len(arguments) + 1).sql})")
        arguments += each.arguments
    tags = tuple(tag for each in given for tag in each.tags)
    return Predicate(" AND ".join(pieces), arguments, 1, tags, any(each.indexed for each in given))


def spliced(
    name: str, predicate: Predicate | None, *, marks: Mapping[str, str] | None = None
) -> tuple[str, tuple[object, ...]]:
    """The named statement with the predicate at its mark `filter`, and the values to add to its own.

    `marks` are texts of named fragments for its other marks, each with the text that stands for it in the file.
    """
    statement, count = _statement(name)
    if predicate is not None:
        statement = statement.replace("/* filter */", f"AND ({predicate.at(count + 1).sql})")
    for mark, text in (marks or {}).items():
        statement = statement.replace(mark, text)
    return statement, () if predicate is None else predicate.arguments


@lru_cache(_KEPT)
def _statement(name: str) -> tuple[str, int]:
    statement = query(name)
    return statement, max((int(number) for number in _PARAMETER.findall(statement)), default=0)
