"""How many bytes a picture takes on disk: per table, heap, index and TOAST apart, after VACUUM."""

from __future__ import annotations

from dataclasses import dataclass

from bench.database import run_file, run_sql
from panofed.cluster import Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """One table with its partitions; bytes."""

    name: str
    parts: int
    rows: int
    heap: int
    indexes: int
    toast: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.heap + self.indexes + self.toast


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The whole database; `tables` largest first, `indexes` by name in bytes."""

    pictures: int
    payload_mean_bytes: float
    leaves: int
    dictionary_bytes: int
    database_bytes: int
    tables: tuple[TableSize, ...]
    indexes: dict[str, int]

    @property
    def bytes_per_picture(self) -> float:
        """Every table and index of the schema, nothing of the server itself."""
        return sum(table.total for table in self.tables) / max(1, self.pictures)


def sizes_of(cluster: Cluster, database: str) -> Sizes:
    """Vacuum and measure a database."""
    run_sql(cluster, database, "VACUUM (ANALYZE);")
    tables = tuple(
        TableSize(name=name, parts=int(parts), rows=int(rows), heap=int(heap), indexes=int(indexes), toast=int(toast))
        for name, parts, rows, heap, indexes, toast in run_file(cluster, database, "sizes")
    )
    pictures, payload, leaves, dictionaries, whole = run_file(cluster, database, "payloads")[0]
    return Sizes(
        pictures=int(pictures),
        payload_mean_bytes=float(payload),
        leaves=int(leaves),
        dictionary_bytes=int(dictionaries),
        database_bytes=int(whole),
        tables=tables,
        indexes={name: int(size) for name, size in run_file(cluster, database, "index_sizes")},
    )
