"""The parameters of a search, checked and compiled: frozen values, or BadRequest naming the parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from shapely.geometry.base import BaseGeometry

from catalog_api.edge.responses import BadRequest
from catalog_api.query.cql2 import check_language, read_filter
from catalog_api.query.filters import compile_tree
from catalog_api.query.freetext import free_text, read_terms
from catalog_api.query.looking import Looking, read_looking
from catalog_api.query.narrowing import narrowing
from catalog_api.query.params import (
    ALWAYS,
    Interval,
    Raw,
    read_box,
    read_count,
    read_geometry,
    read_ids,
    read_interval,
    read_limit,
    read_token,
)
from catalog_api.query.predicates import Predicate, both
from catalog_api.query.sorting import DISTANCE, SortKey, read_order
from catalog_api.query.vocabulary import PICTURES
from federation.cells import Box
from federation.settings import Settings

#: Leaving this out quietly would answer another question than the one asked.
_NOT_OFFERED = ("query",)
_CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParams:
    """One search. At most one of `box` and `geometry` is there.

    `predicate` is what filter and free text ask of pictures, `narrow` what that means for their sequences. `count` says
    that all matches are to be counted.
    """

    limit: int
    box: Box | None = None
    geometry: BaseGeometry | None = None
    ids: tuple[str, ...] | None = None
    collections: tuple[str, ...] | None = None
    interval: Interval = ALWAYS
    looking: Looking | None = None
    predicate: Predicate | None = None
    narrow: Predicate | None = None
    order: tuple[SortKey, ...] | None = None
    count: bool = False
    token: str | None = None
    #: whether it asks by itself for pictures of some instances
    names_instances: bool = False
    #: numbers of instances that it is not about, since nobody has reached them for long: no part of what was asked
    left_out: tuple[int, ...] = ()

    @property
    def is_default(self) -> bool:
        """Whether nothing in it names what it is to find: no ids, sequences or instances."""
        return self.ids is None and self.collections is None and not self.names_instances

    def reached(self, alias: LiteralString) -> Predicate | None:
        """That a picture (p) or sequence (s) is of none of the instances left out; None where there is none."""
        if not self.left_out:
            return None
        return Predicate(f"{alias}.instance <> ALL($1::smallint[])", (list(self.left_out),))


def search_params(raw: Raw, settings: Settings) -> SearchParams:
    """Read a search from its raw values."""
    for name in _NOT_OFFERED:
        if raw.get(name) not in (None, "", [], {}):
            raise BadRequest(name, raw[name], "is not offered by this catalog: use filter")
    box = read_box(raw.get("bbox"))
    geometry = read_geometry(raw.get("intersects"), settings.geometry_vertices_max)
    if box is not None and geometry is not None:
        raise BadRequest("intersects", raw["intersects"], "give bbox or intersects, not both")
    looking = read_looking(raw)
    predicate, narrow, names_instances = _conditions(raw)
    return SearchParams(
        limit=read_limit(raw.get("limit"), settings.search_limit_default, settings.search_limit_max),
        box=box,
        geometry=geometry,
        ids=read_ids("ids", raw.get("ids"), settings.ids_max),
        collections=read_ids("collections", raw.get("collections"), settings.ids_max),
        interval=read_interval(raw.get("datetime")),
        looking=looking,
        predicate=predicate,
        narrow=narrow,
        order=_order(raw.get("sortby"), has_place=box is not None or geometry is not None or looking is not None),
        count=read_count(raw.get("count")),
        token=read_token(raw.get("token")),
        names_instances=names_instances,
    )


def _conditions(raw: Raw) -> tuple[Predicate | None, Predicate | None, bool]:
    """What filter and free text ask of pictures, of their sequences, and whether the filter is about instances."""
    terms = read_terms(raw.get("q"))
    words = None if terms is None else free_text(terms, PICTURES)
    asked = raw.get("filter")
    if asked in (None, "", {}):
        check_language(raw.get("filter-lang"))
        return words, None, False
    if raw.get("filter-crs") not in (None, "", _CRS84):
        raise BadRequest("filter-crs", raw["filter-crs"], f"only {_CRS84} is offered")
    tree = read_filter("filter", asked, raw.get("filter-lang"))
    filtered = compile_tree(tree, PICTURES)
    return both([filtered, words]), narrowing(tree), "p.instance" in filtered.sql


def _order(value: object, *, has_place: bool) -> tuple[SortKey, ...] | None:
    order = read_order(value)
    if order is not None and not has_place and any(key.name == DISTANCE for key in order):
        raise BadRequest("sortby", value, "distance needs a place: bbox, intersects or place_position")
    return order
