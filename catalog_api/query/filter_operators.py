"""The operators of CQL2 as SQL: the only ones there are. {} stand for operands that are expressions or parameters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COMPARISONS: Mapping[str, str] = MappingProxyType({op: f"{{0}} {op} {{1}}" for op in ("=", "<>", "<", "<=", ">", ">=")})
#: What an operator becomes when its operands change places.
TURNED: Mapping[str, str] = MappingProxyType({"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="})

SPATIAL: Mapping[str, str] = MappingProxyType(
    {
        "s_intersects": "ST_Intersects({0}, {1})",
        "s_disjoint": "ST_Disjoint({0}, {1})",
        "s_within": "ST_Within({0}, {1})",
        "s_contains": "ST_Contains({0}, {1})",
        "s_equals": "ST_Equals({0}, {1})",
        "s_touches": "ST_Touches({0}, {1})",
        "s_crosses": "ST_Crosses({0}, {1})",
        "s_overlaps": "ST_Overlaps({0}, {1})",
    }
)
#: What PostGIS answers for collections of geometries, as boxes of sequences can be.
SPATIAL_OF_BOXES = ("s_intersects", "s_disjoint")

#: From {0} to {1}, and from {2} to {3}: OGC 21-065r2, temporal operators.
TEMPORAL: Mapping[str, str] = MappingProxyType(
    {
        "t_after": "{0} > {3}",
        "t_before": "{1} < {2}",
        "t_contains": "{0} < {2} AND {1} > {3}",
        "t_disjoint": "({1} < {2} OR {0} > {3})",
        "t_during": "{0} > {2} AND {1} < {3}",
        "t_equals": "{0} = {2} AND {1} = {3}",
        "t_finishedby": "{0} < {2} AND {1} = {3}",
        "t_finishes": "{0} > {2} AND {1} = {3}",
        "t_intersects": "{0} <= {3} AND {1} >= {2}",
        "t_meets": "{1} = {2}",
        "t_metby": "{0} = {3}",
        "t_overlappedby": "{0} > {2} AND {0} < {3} AND {1} > {3}",
        "t_overlaps": "{0} < {2} AND {1} > {2} AND {1} < {3}",
        "t_startedby": "{0} = {2} AND {1} > {3}",
        "t_starts": "{0} = {2} AND {1} < {3}",
    }
)

#: Text without regard to case, and to accents: base letters without the combining marks of their decomposition.
FOLDS: Mapping[str, str] = MappingProxyType(
    {
        "casei": "lower({0})",
        "accenti": r"regexp_replace(normalize({0}, NFKD), '[\u0300-\u036f]', '', 'g')",
    }
)
