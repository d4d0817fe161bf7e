"""CQL2 filters as SQL: a whitelist of operators and queryables, every value a parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from catalog_api.edge.responses import BadRequest
from catalog_api.query.cql2 import Tree, read_filter
from catalog_api.query.filter_operators import COMPARISONS, FOLDS, SPATIAL, SPATIAL_OF_BOXES, TEMPORAL, TURNED
from catalog_api.query.heading import is_of_few_headings
from catalog_api.query.literals import (
    Span,
    geometry_value,
    pattern_value,
    plain_value,
    refuse,
    span_value,
    whole_value,
)
from catalog_api.query.predicates import Predicate
from catalog_api.query.vocabulary import CASTS, PICTURES, TAG_PREFIX, Queryable, Vocabulary
from federation.queries import query

#: Values of one IN.
_LIST_MAX = 1_000
VERTICES_MAX = 2_000


def compile_filter(
    asked: str | dict[str, Any] | bool, lang: str | None, vocabulary: Vocabulary, first: int = 1
) -> Predicate:
    """The condition of a filter, its parameters numbered from `first`; BadRequest names what cannot be used.

    >>> from catalog_api.query.vocabulary import PICTURES
    >>> compile_filter("geovisio:rank_in_collection > 3 AND NOT type = 'flat'", None, PICTURES).arguments
    (3, 'flat')
    """
    return compile_tree(read_filter("filter", asked, lang), vocabulary).at(first)


def compile_tree(tree: Tree, vocabulary: Vocabulary) -> Predicate:
    """The same of a tree that was read."""
    compiler = Compiler(vocabulary)
    sql = compiler.condition(tree)
    indexed = vocabulary is PICTURES and is_of_few_headings(tree)
    return Predicate(sql, tuple(compiler.arguments), 1, compiler.tags_of(tree), indexed)


@dataclass(frozen=True, slots=True)
class Operand:
    """A side of a comparison: a queryable, folded or not, or else a value."""

    queryable: Queryable | None
    value: Any = None
    folds: tuple[str, ...] = ()


@dataclass(slots=True)
class Compiler:
    """Turns one tree into SQL, collecting values."""

    vocabulary: Vocabulary
    parameter: str = "filter"
    arguments: list[object] = field(default_factory=list)

    def bind(self, value: object, cast: str) -> str:
        """A parameter for a value."""
        self.arguments.append(value)
        return f"${len(self.arguments)}::{cast}"

    def wrong(self, value: object, problem: str) -> BadRequest:
        """An error of this filter."""
        return BadRequest(self.parameter, value, problem)

    def condition(self, tree: Tree) -> str:
        """A part of the tree that is true or false."""
        if isinstance(tree, bool):
            return "true" if tree else "false"
        op, args = self._operation(tree)
        if op in ("and", "or"):
            if len(args) < 2:
                raise self.wrong(op, f"{op} has fewer than two conditions")
            return f" {op.upper()} ".join(f"({self.condition(each)})" for each in args)
        if op == "not":
            return f"NOT ({self.condition(self._count(op, args, 1)[0])})"
        return self._test(op, args)

    def _operation(self, tree: Tree) -> tuple[str, list[Any]]:
        if not isinstance(tree, dict) or not isinstance(tree.get("op"), str):
            raise self.wrong(_short(tree), f"{_short(tree)} is no condition")
        args = tree.get("args", [])
        if not isinstance(args, list):
            raise self.wrong(_short(args), f"args of {tree['op'][:40]!r} is not a list")
        return tree["op"].lower(), args

    def _count(self, op: str, args: list[Any], count: int) -> list[Any]:
        if len(args) != count:
            raise self.wrong(op, f"{op} takes {count} operands, not {len(args)}")
        return args

    def _test(self, op: str, args: list[Any]) -> str:
        if op in COMPARISONS:
            return self._comparison(op, self._count(op, args, 2))
        if op in SPATIAL:
            return self._spatial(op, self._count(op, args, 2))
        if op in TEMPORAL:
            return self._temporal(op, self._count(op, args, 2))
        tests: dict[str, Callable[[list[Any]], str]] = {
            "like": self._like,
            "between": self._between,
            "in": self._in,
            "isnull": self._is_null,
        }
        if op not in tests:
            raise self.wrong(op[:60], f"there is no operator or function {op[:60]!r}")
        return tests[op](args)

    # operands

    def operand(self, node: Any) -> Operand:
        """What a side of a comparison is."""
        if isinstance(node, dict) and isinstance(node.get("op"), str):
            fold = node["op"].lower()
            if fold not in FOLDS:
                hint = "; write dates as TIMESTAMP('...') or DATE('...')" if fold == "-" else ""
                raise self.wrong(fold[:60], f"{fold[:60]!r} cannot stand within a comparison{hint}")
            inner = self.operand(self._count(fold, self._operation(node)[1], 1)[0])
            return Operand(inner.queryable, inner.value, (*inner.folds, fold))
        if isinstance(node, dict) and "property" in node:
            return Operand(self.queryable(node["property"]))
        if node is None:
            raise self.wrong(None, "nothing can be compared with NULL: write IS NULL")
        return Operand(None, node)

    def queryable(self, name: object) -> Queryable:
        """The queryable of that name; a tag is one too."""
        found = self.vocabulary.find(name) if isinstance(name, str) else None
        if found is not None:
            return found
        if self.vocabulary.tags and isinstance(name, str):
            key = name.removeprefix("properties.").removeprefix(TAG_PREFIX)
            if key != name.removeprefix("properties.") and key and "\x00" not in key:
                return Queryable(name=name, kind="text", sql="", description=key)
        known = f"{', '.join(self.vocabulary.queryables)}{', semantics.<key>' if self.vocabulary.tags else ''}"
        raise self.wrong(str(name)[:100], f"there is no queryable {str(name)[:100]!r}; there are {known}")

    def sides(self, args: Sequence[Any]) -> tuple[Operand, Operand, bool]:
        """(queryable, other side, whether they were turned round)."""
        left, right = self.operand(args[0]), self.operand(args[1])
        if left.queryable is not None:
            return left, right, False
        if right.queryable is None:
            raise self.wrong(_short(args), f"{_short(list(args))} names no queryable")
        return right, left, True

    def _folded(self, sql: str, folds: Sequence[str]) -> str:
        for fold in dict.fromkeys(folds):
            sql = FOLDS[fold].format(sql)
        return sql

    def placed(self, subject: Operand, test: Callable[[str], str]) -> str:
        """The test of a queryable, where its column is: `test` takes an expression."""
        queryable = subject.queryable
        assert queryable is not None
        if subject.folds and queryable.kind != "text":
            raise refuse(self.parameter, queryable.name, subject.folds[0].upper(), "is for texts")
        if not queryable.sql:
            return self._of_tags(queryable, subject, test)
        if not queryable.within:
            return test(self._folded(queryable.expression, subject.folds))
        inner = test(self._folded(queryable.value, subject.folds))
        return query(queryable.within).replace("/* test */", inner)

    def _of_tags(self, queryable: Queryable, subject: Operand, test: Callable[[str], str]) -> str:
        key = queryable.description
        marks = {"/* key */": self.bind([_tag_json(key)], "text[]") + "::jsonb[]", "/* name */": self.bind(key, "text")}
        sql = query("picture_tag_within").replace("/* test */", test(self._folded("t.value", subject.folds)))
        for mark, text in marks.items():
            sql = sql.replace(mark, text)
        return sql

    def plain(self, subject: Operand, value: Any, op: str = "") -> str:
        """A parameter for a value that is compared with a queryable, by an operator where that is known."""
        queryable = subject.queryable
        assert queryable is not None
        if isinstance(value, Operand):
            folds, value = value.folds, value.value
        else:
            folds = ()
        if folds and queryable.kind != "text":
            raise refuse(self.parameter, queryable.name, value, "is not compared as text")
        plain = plain_value(self.parameter, queryable, value)
        whole = whole_value(op, plain) if queryable.whole else None
        bound = self.bind(plain, CASTS[queryable.kind]) if whole is None else self.bind(whole, "bigint")
        return self._folded(bound, folds)

    # tests

    def _comparison(self, op: str, args: list[Any]) -> str:
        subject, other, turned = self.sides(args)
        queryable = subject.queryable
        assert queryable is not None
        op = TURNED[op] if turned else op
        if other.queryable is not None:
            return self._of_two(op, subject, other)
        if queryable.kind in ("geometry", "interval"):
            wanted = "spatial" if queryable.kind == "geometry" else "temporal"
            raise self.wrong(op, f"{queryable.name}: {op} does not compare it, {wanted} operators do")
        if queryable.kind == "instant":
            span = span_value(self.parameter, queryable.name, other.value)
            return self._instant(op, queryable.expression, span, queryable.name)
        if op == "<>":
            # of a tag that is there several times: none of its values is this one
            return f"NOT ({self.placed(subject, self._compared('=', subject, other))})"
        return self.placed(subject, self._compared(op, subject, other))

    def _compared(self, op: str, subject: Operand, other: Operand) -> Callable[[str], str]:
        return lambda sql: COMPARISONS[op].format(sql, self.plain(subject, other, op))

    def _of_two(self, op: str, left: Operand, right: Operand) -> str:
        one, two = left.queryable, right.queryable
        assert one is not None and two is not None
        numbers = {"real", "number"}
        alike = one.kind == two.kind or {one.kind, two.kind} <= numbers
        if not alike or one.kind in ("geometry", "interval") or not one.sql or not two.sql:
            raise self.wrong(op, f"{one.name} and {two.name} cannot be compared with each other")
        if (left.folds or right.folds) and one.kind != "text":
            raise refuse(self.parameter, one.name, two.name, "is not compared as text")
        sides = (self._folded(f"({each.expression})", folds) for each, folds in ((one, left.folds), (two, right.folds)))
        return COMPARISONS[op].format(*sides)

    def _instant(self, op: str, sql: str, span: Span, name: str) -> str:
        """A day is all its moments: equal within it, before its first, after its last."""
        if span.start is None or span.end is None:
            raise refuse(self.parameter, name, op, "compares with one time: use T_INTERSECTS for an interval")
        if span.is_instant:
            return COMPARISONS[op].format(sql, self.bind(span.start, "timestamptz"))
        if op in ("=", "<>"):
            ends = (self.bind(span.start, "timestamptz"), self.bind(span.end, "timestamptz"))
            return f"{sql} {'NOT ' if op == '<>' else ''}BETWEEN {ends[0]} AND {ends[1]}"
        edge = span.start if op in ("<", ">=") else span.end
        return COMPARISONS[op].format(sql, self.bind(edge, "timestamptz"))

    def _like(self, args: list[Any]) -> str:
        subject, other, turned = self.sides(self._count("like", args, 2))
        queryable = subject.queryable
        assert queryable is not None
        if turned or other.queryable is not None or queryable.kind != "text":
            raise self.wrong(queryable.name, f"{queryable.name}: LIKE compares a queryable of text with a pattern")
        pattern = pattern_value(self.parameter, queryable.name, other.value)
        return self.placed(subject, lambda sql: f"{sql} LIKE {self._folded(self.bind(pattern, 'text'), other.folds)}")

    def _between(self, args: list[Any]) -> str:
        if len(args) == 2 and isinstance(args[1], list):
            args = [args[0], *args[1]]
        value, low, high = self._count("between", args, 3)
        return f"({self._comparison('>=', [value, low])}) AND ({self._comparison('<=', [value, high])})"

    def _in(self, args: list[Any]) -> str:
        node, values = self._count("in", args, 2)
        if not isinstance(values, list) or not values:
            raise self.wrong(_short(values), "IN takes a list of values")
        if len(values) > _LIST_MAX:
            raise self.wrong(f"{len(values)} values", f"IN takes up to {_LIST_MAX} values")
        subject = self.operand(node)
        if subject.queryable is None:
            raise self.wrong(_short(node), f"{_short(node)} names no queryable")
        others = [self.operand(each) for each in values]
        if subject.queryable.kind in ("instant", "interval", "geometry") or any(each.queryable for each in others):
            return " OR ".join(f"({self._comparison('=', [node, each])})" for each in values)
        return self._in_values(subject, others)

    def _in_values(self, subject: Operand, others: Sequence[Operand]) -> str:
        queryable = subject.queryable
        assert queryable is not None
        if any(each.folds for each in others):
            return self.placed(
                subject, lambda sql: f"{sql} IN ({', '.join(self.plain(subject, each) for each in others)})"
            )
        values = [plain_value(self.parameter, queryable, each.value) for each in others]
        cast = CASTS[queryable.kind]
        whole = [whole_value("=", each) for each in values] if queryable.whole else [None]
        if None not in whole:
            values, cast = whole, "bigint"
        return self.placed(subject, lambda sql: f"{sql} = ANY ({self.bind(values, cast + '[]')})")

    def _is_null(self, args: list[Any]) -> str:
        subject = self.operand(self._count("isNull", args, 1)[0])
        if subject.queryable is None:
            raise self.wrong(_short(args[0]), f"{_short(args[0])} is no queryable")
        if not subject.queryable.sql:
            key = self.bind([_tag_json(subject.queryable.description)], "text[]") + "::jsonb[]"
            return query("picture_tag_missing").replace("/* key */", key)
        return f"({subject.queryable.expression}) IS NULL"

    def _spatial(self, op: str, args: list[Any]) -> str:
        subject, other, turned = self.sides(args)
        queryable = subject.queryable
        assert queryable is not None
        if queryable.kind != "geometry" or other.queryable is not None:
            raise self.wrong(op, f"{queryable.name}: {op.upper()} compares `geometry` with a geometry")
        if not self.vocabulary.tags and op not in SPATIAL_OF_BOXES:
            offered = " and ".join(each.upper() for each in SPATIAL_OF_BOXES)
            raise self.wrong(op, f"{op.upper()}: of {self.vocabulary.title}, which are boxes, only {offered}")
        ewkb = geometry_value(self.parameter, queryable.name, other.value, VERTICES_MAX)
        sides = (queryable.expression, self.bind(ewkb, "geometry"))
        return SPATIAL[op].format(*(reversed(sides) if turned else sides))

    def _temporal(self, op: str, args: list[Any]) -> str:
        ends = [end for each in args for end in self._ends(each)]
        # a parameter that no place has would be one too many
        used = [end() if f"{{{number}}}" in TEMPORAL[op] else "" for number, end in enumerate(ends)]
        return TEMPORAL[op].format(*used)

    def _ends(self, node: Any) -> tuple[Callable[[], str], Callable[[], str]]:
        """From and to, of a queryable, of an interval between queryables, or of a value."""
        if isinstance(node, dict) and "property" in node:
            queryable = self.queryable(node["property"])
            if queryable.kind not in ("instant", "interval"):
                raise self.wrong(queryable.name, f"{queryable.name} is no time")
            return (lambda: queryable.expression), (lambda: query(queryable.end or queryable.sql))
        if isinstance(node, dict) and isinstance(node.get("interval"), list) and len(node["interval"]) == 2:
            if any(isinstance(each, dict) and "property" in each for each in node["interval"]):
                ends = [each if isinstance(each, dict) else {"interval": [each, each]} for each in node["interval"]]
                return self._ends(ends[0])[0], self._ends(ends[1])[1]
        span = span_value(self.parameter, "a time", node)
        return (lambda: self._end(span.start, "-infinity")), (lambda: self._end(span.end, "infinity"))

    def _end(self, when: datetime | None, open_end: str) -> str:
        return f"'{open_end}'::timestamptz" if when is None else self.bind(when, "timestamptz")

    # what the index of tags can find

    def tags_of(self, tree: Tree) -> tuple[tuple[str, ...], ...]:
        """For each tag that every match must have, the tags (JSON) one of which it is."""
        if not isinstance(tree, dict):
            return ()
        op, args = self._operation(tree)
        if op == "and":
            return tuple(tags for each in args for tags in self.tags_of(each))
        if op not in ("=", "in", "like") or len(args) != 2:
            return ()
        name = args[0].get("property") if isinstance(args[0], dict) else None
        queryable = self.queryable(name) if isinstance(name, str) else None
        if queryable is None or queryable.sql:
            return ()
        key = queryable.description
        values = [args[1]] if op == "=" else args[1] if op == "in" else []
        if values and all(isinstance(each, str) for each in values):
            return (tuple(_tag_json(key, each) for each in values),)
        return ((_tag_json(key),),)


def _tag_json(key: str, value: str | None = None) -> str:
    tag = {"key": key} if value is None else {"key": key, "value": value}
    return orjson.dumps([tag]).decode()


def _short(node: Any) -> str:
    return str(node)[:80]
