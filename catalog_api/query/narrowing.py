"""What a filter of pictures says about their sequences: which of them can hold a match at all."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from catalog_api.query.cql2 import Tree
from catalog_api.query.filter_operators import SPATIAL, TEMPORAL, TURNED
from catalog_api.query.filters import VERTICES_MAX, Compiler
from catalog_api.query.literals import Span, geometry_value, plain_value, span_value
from catalog_api.query.predicates import Predicate
from catalog_api.query.vocabulary import PICTURES, Queryable, Vocabulary
from federation.queries import query

#: Names that mean the same of every picture of a sequence, as expressions of the sequence.
_SAME = {
    each.name: each
    for each in (
        Queryable(name="collection", kind="uuid", sql="sequence_id", description=""),
        Queryable(name="panofed:indexed", kind="instant", sql="sequence_indexed", description=""),
        Queryable(
            name="instance", kind="text", sql="sequence_instance_name", within="sequence_instance_within",
            value="i.name", description="",
        ),
        Queryable(
            name="instance_id", kind="text", sql="sequence_instance_id", within="sequence_instance_within",
            value="i.id", description="",
        ),
        Queryable(
            name="geovisio:producer", kind="text", sql="sequence_account_name", within="narrow_account", value="a.name",
            description="",
        ),
        Queryable(
            name="account", kind="uuid", sql="sequence_account_id", within="narrow_account", value="a.id",
            description="",
        ),
    )
}  # fmt: skip
_OF_SEQUENCES = Vocabulary(
    title="sequences", queryables=MappingProxyType(_SAME), aliases=PICTURES.aliases, tags=False, words=""
)
#: Where both can be far from each other, nothing follows.
_ANYWHERE = ("s_disjoint", "t_disjoint")


def narrowing(tree: Tree) -> Predicate | None:
    """A condition that every sequence with a match meets; None where nothing follows. The tree was compiled before."""
    narrower = _Narrower(Compiler(_OF_SEQUENCES))
    sql = narrower.implied(tree)
    return None if sql is None else Predicate(sql, tuple(narrower.compiler.arguments))


@dataclass(frozen=True, slots=True)
class _Narrower:
    compiler: Compiler

    def implied(self, tree: Tree) -> str | None:
        if not isinstance(tree, dict):
            return None
        op, args = tree["op"].lower(), tree["args"]
        if op == "and":
            parts = [part for part in map(self.implied, args) if part is not None]
            return " AND ".join(f"({part})" for part in parts) if parts else None
        if op == "or":
            kept = len(self.compiler.arguments)
            some = [self.implied(each) for each in args]
            if None in some:
                del self.compiler.arguments[kept:]
                return None
            return " OR ".join(f"({part})" for part in some)
        if op in _ANYWHERE or op in ("not", "isnull"):
            return None
        if op in SPATIAL:
            return self._near(args)
        if op in TEMPORAL:
            return self._during(op, args)
        return self._test(op, args)

    def _name(self, node: Any) -> str:
        while isinstance(node, dict) and "op" in node and len(node.get("args") or ()) == 1:
            node = node["args"][0]
        found = PICTURES.find(node["property"]) if isinstance(node, dict) and "property" in node else None
        return found.name if found else ""

    def _test(self, op: str, args: list[Any]) -> str | None:
        names = [self._name(each) for each in args[:2]]
        if all(names):
            return None
        name = names[0] or names[1]
        if name in _SAME and op != "<>":
            return self.compiler.condition({"op": op, "args": args})
        if name == "datetime":
            return self._dated(op, args if names[0] else [args[1], args[0]], turned=not names[0])
        if name in ("type", "field_of_view") and op == "=" and names[0] and args[0].get("property"):
            return self._shaped(name, args[1])
        return None

    def _shaped(self, name: str, value: Any) -> str | None:
        if value in ("equirectangular", 360):
            return query("narrow_360")
        if value == "flat" or (name == "field_of_view" and plain_value("filter", PICTURES.queryables[name], value)):
            return query("narrow_flat")
        return None

    def _dated(self, op: str, args: list[Any], *, turned: bool) -> str | None:
        if op == "between":
            low, high = (args[1] if isinstance(args[1], list) else args[1:])[:2]
            if self._name(low) or self._name(high):
                return None
            return self._span(Span(self._read(low).start, self._read(high).end))
        if op == "in":
            spans = [self._read(each) for each in args[1] if not self._name(each)]
            return " OR ".join(f"({self._span(each)})" for each in spans) if len(spans) == len(args[1]) else None
        if op not in ("=", "<", "<=", ">", ">="):
            return None
        span = self._read(args[1])
        op = TURNED[op] if turned else op
        if op == "=":
            return self._span(span)
        return self._span(Span(None, span.end) if op in ("<", "<=") else Span(span.start, None))

    def _read(self, value: Any) -> Span:
        return span_value("filter", "datetime", value)

    def _span(self, span: Span) -> str:
        start = "'-infinity'" if span.start is None else self.compiler.bind(span.start, "timestamptz")
        end = "'infinity'" if span.end is None else self.compiler.bind(span.end, "timestamptz")
        return query("narrow_span").replace("/* start */", start).replace("/* end */", end)

    def _during(self, op: str, args: list[Any]) -> str | None:
        names = [self._name(each) for each in args]
        values = [each for each, name in zip(args, names, strict=True) if not name]
        if names.count("datetime") != 1 or len(values) != 1 or _names_queryables(values[0]):
            return None
        span, first = self._read(values[0]), names[0] == "datetime"
        if op in ("t_after", "t_before"):
            later = (op == "t_after") is first
            return self._span(Span(span.end, None) if later else Span(None, span.start))
        return self._span(span)

    def _near(self, args: list[Any]) -> str | None:
        geometry = args[1] if isinstance(args[0], dict) and "property" in args[0] else args[0]
        ewkb = geometry_value("filter", "geometry", geometry, VERTICES_MAX)
        return query("narrow_extent").replace("/* geometry */", self.compiler.bind(ewkb, "geometry"))


def _names_queryables(node: Any) -> bool:
    return isinstance(node, dict) and any(
        isinstance(each, dict) and "property" in each for each in node.get("interval", ())
    )
