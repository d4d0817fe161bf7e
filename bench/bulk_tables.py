"""Tables that are filled before they have indexes: these come off, and back on with the very same definitions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.database import statement
from federation.cells import cell_name
from federation.database import Connection


def leaf_table(cell: int) -> str:
    """The table of a leaf.

    >>> leaf_table(0x831fb4fffffffff)
    'pictures_831fb4fffffffff'
    """
    return f"pictures_{cell_name(cell)}"


@dataclass(frozen=True, slots=True)
class Index:
    """An index, and the constraint it stands for (else empty)."""

    name: str
    definition: str
    constraint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableIndexes:
    """The indexes a table had; `leaf` is its cell, 0 when it is no leaf."""

    table: str
    leaf: int = 0
    indexes: tuple[Index, ...] = ()


async def read_indexes(connection: Connection, table: str) -> tuple[Index, ...]:
    """The indexes of a table, that of its primary key first."""
    rows = await connection.fetch(statement("leaf_indexes"), table)
    return tuple(Index(row["name"], row["definition"], row["constraint"] or "") for row in rows)


async def drop_indexes(connection: Connection, table: str, *, leaf: int = 0) -> TableIndexes:
    """Take the indexes off an empty table; a leaf is detached first, since one of a partition cannot be dropped."""
    indexes = await read_indexes(connection, table)
    if leaf:
        await connection.execute(statement("detach_leaf", leaf=table))
        await connection.execute(statement("check_leaf", leaf=table, cell=str(leaf)))
    for index in indexes:
        if index.constraint:
            await connection.execute(statement("drop_constraint", table=table, name=index.name))
        else:
            await connection.execute(statement("drop_index", name=index.name))
    return TableIndexes(table=table, leaf=leaf, indexes=indexes)


async def build_indexes(connection: Connection, table: TableIndexes) -> None:
    """Put them back on the filled table."""
    for index in table.indexes:
        if index.constraint:
            await connection.execute(
                statement("add_constraint", table=table.table, name=index.name, definition=index.constraint)
            )
        else:
            await connection.execute(index.definition)


async def attach(connection: Connection, leaves: Iterable[TableIndexes]) -> None:
    """Make them partitions again; the indexes they have become those of the partition."""
    for leaf in leaves:
        await connection.execute(statement("attach_leaf", leaf=leaf.table, cell=str(leaf.leaf)))
        await connection.execute(statement("uncheck_leaf", leaf=leaf.table))
