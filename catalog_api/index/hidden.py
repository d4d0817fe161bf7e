"""Instances that are leaving are not shown from one commit on, though their pictures are deleted only after it.

Statements say at marks where those would be left out. Without one, which is nearly always, a mark is only a comment:
statements, plans and costs are as if there were no leaving.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARK = re.compile(r"/\* shown (\w+) \*/")
_CONDITIONS = {
    # lines of sequences in tiles do not name their instance
    "line": "AND l.n NOT IN (SELECT s.n FROM sequences s WHERE s.instance = ANY({values}))",
}
_OTHERS = "AND {mark}.instance <> ALL({values})"


def leaving_out(statement: str, arguments: Sequence[object], hidden: Sequence[int]) -> tuple[str, tuple[object, ...]]:
    """A statement with its arguments, without what is of the hidden instances.

    >>> leaving_out("SELECT id FROM pictures p WHERE p.cell = $1 /* shown p */", (7,), (3,))
    ('SELECT id FROM pictures p WHERE p.cell = $1 AND p.instance <> ALL($2::smallint[])', (7, [3]))
    >>> leaving_out("SELECT id FROM pictures p WHERE p.cell = $1 /* shown p */", (7,), ())
    ('SELECT id FROM pictures p WHERE p.cell = $1 /* shown p */', (7,))
    """
    if not hidden or not _MARK.search(statement):
        return statement, tuple(arguments)
    values = f"${len(arguments) + 1}::smallint[]"

    def condition(found: re.Match[str]) -> str:
        return _CONDITIONS.get(found[1], _OTHERS).format(mark=found[1], values=values)

    return _MARK.sub(condition, statement), (*arguments, list(hidden))
