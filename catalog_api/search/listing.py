"""Lists of sequences: which, in which order, and page by page by keys; what /collections, RSS and users are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from catalog_api.edge.responses import BadRequest
from catalog_api.index.index import Index
from catalog_api.query.cql2 import check_language
from catalog_api.query.filters import compile_filter
from catalog_api.query.freetext import free_text, read_terms
from catalog_api.query.params import Interval, read_box, read_count, read_interval, read_limit, read_token
from catalog_api.query.places import ewkb_of_box
from catalog_api.query.predicates import Predicate, both
from catalog_api.query.tokens import fingerprint, write_token
from catalog_api.query.tokens import read_token as open_token
from catalog_api.query.vocabulary import SEQUENCES
from catalog_api.search.copies import whole as with_copies
from catalog_api.search.listing_order import SortKey, after_position, order_by, parse_order, selected, turned
from federation.cells import Box
from federation.database import Row
from federation.queries import query

LIMIT_DEFAULT = 100
_TRUE, _FALSE = ("true", "1", "yes"), ("", "false", "0", "no")


@dataclass(slots=True)
class Conditions:
    """Conditions of a statement, and the values of its parameters from `first` on."""

    first: int
    texts: list[str]
    arguments: list[object]

    @classmethod
    def none(cls, first: int) -> Conditions:
        """No condition yet; the first parameter will be ${first}."""
        return cls(first, [], [])

    def add(self, text: str, *values: object) -> None:
        """One more condition; each {} of `text` is the next value."""
        start = self.first + len(self.arguments)
        self.texts.append(text.format(*(f"${start + number}" for number in range(len(values)))))
        self.arguments.extend(values)

    def include(self, predicate: Predicate) -> None:
        """A condition that numbers its own parameters."""
        self.texts.append(predicate.at(self.first + len(self.arguments)).sql)
        self.arguments.extend(predicate.arguments)

    def sql(self) -> str:
        """All of them, to follow another condition."""
        return "".join(f" AND ({text})" for text in self.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListParams:
    """What a list of sequences is asked for. `account` is a number, None for everybody's."""

    limit: int
    order: tuple[SortKey, ...]
    box: Box | None = None
    interval: Interval
    filter: Predicate | None = None
    removed: bool = False
    count: bool = False
    account: int | None = None
    token: str | None = None

    @property
    def request(self) -> str:
        """What binds a token to these parameters."""
        return fingerprint("sequences", replace(self, token=None, limit=0, count=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """Sequences, the tokens of the pages around them by rel, and how many there are in all where that is known."""

    rows: list[Row]
    turns: Mapping[str, str]
    matched: int | None


def list_params(asked: Mapping[str, str], most: int, *, order: str, limit: int = LIMIT_DEFAULT) -> ListParams:
    """Read a list's parameters; BadRequest names the one that cannot be used. `order` where none is asked for."""
    text, terms = asked.get("filter") or None, read_terms(asked.get("q"))
    check_language(asked.get("filter-lang"))
    chosen = None if text is None else compile_filter(text, asked.get("filter-lang") or None, SEQUENCES)
    found = None if terms is None else free_text(terms, SEQUENCES)
    return ListParams(
        limit=read_limit(asked.get("limit"), min(limit, most), most),
        order=parse_order(asked.get("sortby") or order),
        box=read_box(asked.get("bbox")),
        interval=read_interval(asked.get("datetime"), days=True),
        filter=both([chosen, found]),
        removed=read_flag("show_deleted", asked.get("show_deleted")) or asks_for_removed(text),
        count=read_count(asked.get("count")),
        token=read_token(asked.get("token") or asked.get("page")),
    )


def read_flag(parameter: str, value: str | None) -> bool:
    """Yes or no.

    >>> read_flag("show_deleted", "true"), read_flag("show_deleted", None)
    (True, False)
    """
    text = (value or "").strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise BadRequest(parameter, value, "is neither true nor false")


def asks_for_removed(text: str | None) -> bool:
    """Whether a filter is the older form of `show_deleted`.

    >>> asks_for_removed("status IN ('deleted','ready') AND updated > '2024-01-01'"), asks_for_removed("title = 'x'")
    (True, False)
    """
    return text is not None and "status" in text and "deleted" in text


async def list_sequences(index: Index, params: ListParams) -> ListPage:
    """One page."""
    kind, position = _start(params)
    backwards = kind in ("before", "last")
    order = tuple(map(turned, params.order)) if backwards else params.order
    statement, arguments = _statement(params, order, position)
    rows = await index.fetch(statement, params.limit + 1, *arguments)
    more = len(rows) > params.limit
    rows = rows[: params.limit]
    if backwards:
        rows.reverse()
    turns = _turns(rows, params, kind, more)
    whole = len(rows) if not more and kind == "first" else None
    if whole is None and params.count:
        whole = await count_sequences(index, params)
    return ListPage(rows=[with_copies(row) for row in rows], turns=turns, matched=whole)


async def count_sequences(index: Index, params: ListParams, most: int = 2**31) -> int:
    """How many sequences these parameters match, counted up to `most`."""
    conditions = _conditions(params, first=2)
    name = "catalog_count_with_removed" if params.removed else "catalog_count_sequences"
    statement = query(name).replace("/*conditions*/", conditions.sql())
    rows = await index.fetch(statement, most, *conditions.arguments)
    return int(rows[0]["count"])


def _start(params: ListParams) -> tuple[str, tuple[object, ...] | None]:
    if params.token is None:
        return "first", None
    types = tuple(key.kind for key in params.order)
    kind, position = open_token(params.token, params.request, after=types, before=types, last=())
    return kind, position or None


def _statement(
    params: ListParams, order: Sequence[SortKey], position: tuple[object, ...] | None
) -> tuple[str, list[object]]:
    conditions = _conditions(params, first=2)
    if position is not None:
        conditions.add(after_position(order), *position)
    name = "catalog_list_with_removed" if params.removed else "catalog_list_sequences"
    pieces = {
        "/*keys*/": selected(order),
        "/*conditions*/": conditions.sql(),
        "/*order*/ s.id": order_by(order, "s"),
        "/*outer*/ u.id": order_by(order, "u"),
    }
    statement = query(name)
    for mark, text in pieces.items():
        statement = statement.replace(mark, text)
    return statement, conditions.arguments


def _conditions(params: ListParams, *, first: int) -> Conditions:
    conditions = Conditions.none(first)
    if params.account is not None:
        conditions.add("s.account = {}::integer", params.account)
    if params.box is not None:
        _add_box(conditions, params.box)
    if params.interval.start is not None:
        conditions.add("s.datetime_max >= {}::timestamptz", params.interval.start)
    if params.interval.end is not None:
        conditions.add("s.datetime_min <= {}::timestamptz", params.interval.end)
    if params.filter is not None:
        conditions.include(params.filter)
    return conditions


def _add_box(conditions: Conditions, box: Box) -> None:
    """Boxes of straight streets have no area, so they are compared as numbers besides the spatial index."""
    parts = box.parts()
    conditions.add("s.extent && {}::geometry", ewkb_of_box(box))
    conditions.add("s.bbox[2] <= {}::float8 AND s.bbox[4] >= {}::float8", box.north, box.south)
    conditions.add(
        "EXISTS (SELECT FROM unnest({}::float8[], {}::float8[]) AS q (west, east)"
        " WHERE CASE WHEN s.bbox[1] <= s.bbox[3] THEN q.west <= s.bbox[3] AND q.east >= s.bbox[1]"
        " ELSE q.west <= s.bbox[3] OR q.east >= s.bbox[1] END)",
        [part.west for part in parts],
        [part.east for part in parts],
    )


def _turns(rows: Sequence[Row], params: ListParams, kind: str, more: bool) -> dict[str, str]:
    """Tokens of the pages around this one, by their rel."""
    turns: dict[str, str] = {}
    backwards = kind in ("before", "last")
    if rows and ((more and not backwards) or kind == "before"):
        turns["next"] = write_token("after", params.request, *_position(rows[-1], params.order))
    if rows and ((backwards and more) or kind == "after"):
        turns["prev"] = write_token("before", params.request, *_position(rows[0], params.order))
    if turns:
        turns["last"] = write_token("last", params.request)
    return turns


def _position(row: Row, order: Sequence[SortKey]) -> list[object]:
    values = (row[f"key{number}"] for number in range(len(order)))
    return [each.isoformat() if isinstance(each, datetime) else each for each in values]
