"""Where the .sql files are: beside the packages in a checkout, inside this package in an installed wheel."""

from __future__ import annotations

from pathlib import Path


def sql_directory() -> Path:
    """The folder that holds schema/, migrations/ and queries/."""
    packaged = Path(__file__).parent / "sql"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "sql"


def sql_files(kind: str) -> list[Path]:
    """The files of one folder ("schema", "migrations" or "queries"), in the order of their names."""
    return sorted((sql_directory() / kind).glob("*.sql"))
