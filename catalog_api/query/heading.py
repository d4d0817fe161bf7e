"""What a filter says of the heading: whether so few directions pass that the index of headings finds them."""

from __future__ import annotations

import math
from typing import Any

from catalog_api.query.cql2 import Tree
from catalog_api.query.filter_operators import TURNED
from catalog_api.query.vocabulary import PICTURES

#: Of more than so many degrees, too much passes for an index of theirs.
_FEW_DEG = 30.0


def is_of_few_headings(tree: Tree) -> bool:
    """Whether every match has one of a few headings. The tree was compiled before.

    >>> azimuth = {"property": "view:azimuth"}
    >>> is_of_few_headings({"op": "between", "args": [azimuth, 80, 100]})
    True
    >>> is_of_few_headings({"op": ">", "args": [azimuth, 80]})
    False
    """
    low, high = _span(tree)
    return high - low <= _FEW_DEG


def _span(tree: Tree) -> tuple[float, float]:
    """The least and the greatest heading of a match."""
    if not isinstance(tree, dict):
        return -math.inf, math.inf
    op, args = tree["op"].lower(), tree["args"]
    if op == "and":
        spans = [_span(each) for each in args]
        return max(low for low, _ in spans), min(high for _, high in spans)
    if op == "between":
        low, high = args[1] if isinstance(args[1], list) else args[1:]
        both = {"op": "and", "args": [{"op": ">=", "args": [args[0], low]}, {"op": "<=", "args": [args[0], high]}]}
        return _span(both)
    if op == "in":
        spans = [_span({"op": "=", "args": [args[0], each]}) for each in args[1]]
        return min(low for low, _ in spans), max(high for _, high in spans)
    return _compared(op, args)


def _compared(op: str, args: list[Any]) -> tuple[float, float]:
    if op not in TURNED or len(args) != 2:
        return -math.inf, math.inf
    subject, value = args
    if not isinstance(subject, dict):
        subject, value, op = value, subject, TURNED[op]
    found = PICTURES.find(subject.get("property", "")) if isinstance(subject, dict) else None
    if found is None or found.name != "view:azimuth" or not isinstance(value, int | float):
        return -math.inf, math.inf
    return (
        float(value) if op in ("=", ">", ">=") else -math.inf,
        float(value) if op in ("=", "<", "<=") else math.inf,
    )
