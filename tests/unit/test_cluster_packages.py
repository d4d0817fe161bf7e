"""What is fetched when PostgreSQL is missing, and what an unpacked one needs."""

from __future__ import annotations

from pathlib import Path

from panofed.cluster.packages import NEVER_UNPACKED, library_folders, new_packages, newest_package, unpacked


def test_the_newest_supported_server_is_fetched() -> None:
    listing = "postgresql-14-postgis-3 - a\npostgresql-17-postgis-3 - b\npostgresql-17-postgis-3-scripts - c\n"
    assert newest_package(listing) == "postgresql-17-postgis-3"
    assert newest_package("") == ""


def test_upgrades_and_configuration_are_not_new_packages() -> None:
    simulation = (
        "NOTE: This is only a simulation!\nInst libpq5 [15.1] (15.2 Debian [amd64])\n"
        "Inst libgeos (3.11 Debian [amd64])\nConf libgeos (3.11 Debian [amd64])\n"
    )
    assert new_packages(simulation) == ["libgeos"]


def test_the_c_library_and_the_compiler_are_never_unpacked() -> None:
    names = ["libc6", "libllvm14", "libz3-4", "libcurl4", "libc-bin", "libclang"]
    assert [name for name in names if not NEVER_UNPACKED.fullmatch(name)] == ["libcurl4", "libclang"]


def test_libraries_are_looked_for_where_the_alternatives_would_have_linked_them(tmp_path: Path) -> None:
    for path in ("usr/lib/x86_64-linux-gnu/libgeos.so.1", "usr/lib/x86_64-linux-gnu/blas/libblas.so.3"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    names = ["usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/blas"]
    assert library_folders(tmp_path) == [str(tmp_path / name) for name in names]


def test_nothing_unpacked_is_none(tmp_path: Path) -> None:
    assert unpacked(tmp_path / "pgdist") is None
