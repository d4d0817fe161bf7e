"""Named queries: every statement of this project is in sql/queries/*.sql, under a line `-- name: verb_noun`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

from federation.sqlfiles import sql_files

_HEAD = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def parse_queries(text: str) -> Iterator[tuple[str, str]]:
    r"""Split one file into (name, statement) pairs; comments above a statement stay in the file.

    >>> list(parse_queries("-- name: one\n-- Says one.\nSELECT 1;\n\n-- name: two\nSELECT 2\n"))
    [('one', 'SELECT 1'), ('two', 'SELECT 2')]
    """
    pieces = _HEAD.split(text)
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        lines = (line for line in body.splitlines() if not line.lstrip().startswith("--"))
        yield name, "\n".join(lines).strip().rstrip(";")


@cache
def load_queries() -> Mapping[str, str]:
    """All named queries; a name used twice is an error of ours and stops the program."""
    queries: dict[str, str] = {}
    for path in sql_files("queries"):
        for name, statement in parse_queries(path.read_text(encoding="utf-8")):
            if name in queries:
                raise ValueError(f"{path.name}: the query {name!r} is there twice")
            queries[name] = statement
    return MappingProxyType(queries)


def query(name: str) -> str:
    """The statement of that name."""
    return load_queries()[name]
