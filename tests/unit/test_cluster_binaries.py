"""Which PostgreSQL is chosen, and what is said when none will do. The servers here are shell scripts that answer -V."""

from __future__ import annotations

from pathlib import Path

import pytest

from federation.errors import BinariesMissing, ConfigurationError, DatabaseTooOld
from panofed.cluster import binaries
from panofed.cluster.binaries import find_binaries, postgis_version, read_binaries, server_version


def make_server(prefix: Path, version: str, postgis: str = "3.3.2", *, pg_config: bool = True) -> Path:
    """A folder laid out as Debian's: <prefix>/lib/postgresql/15/bin and <prefix>/share/postgresql/15/extension."""
    major = version.split(".")[0]
    bindir, share = prefix / f"lib/postgresql/{major}/bin", prefix / f"share/postgresql/{major}"
    bindir.mkdir(parents=True)
    (share / "extension").mkdir(parents=True)
    (share / "extension/plpgsql.control").write_text("default_version = '1.0'\n")
    if postgis:
        (share / "extension/postgis.control").write_text(f"comment = 'x'\ndefault_version = '{postgis}'\n")
    answers = {"postgres": f"postgres (PostgreSQL) {version} (Debian)", "initdb": "", "pg_ctl": ""}
    for name, answer in answers.items() | ({("pg_config", str(share))} if pg_config else set()):
        (bindir / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
        (bindir / name).chmod(0o755)
    return bindir


def find(prefix: Path, major: int | None = None) -> binaries.Binaries:
    return find_binaries(major=major, places=[f"{prefix}/lib/postgresql/*/bin"], use_path=False)


def test_the_newest_server_with_postgis_is_chosen(tmp_path: Path) -> None:
    make_server(tmp_path, "15.2")
    make_server(tmp_path, "17.1")
    make_server(tmp_path, "18.0", postgis="")
    found = find(tmp_path)
    assert (found.version, found.major, found.postgis) == ("17.1", 17, (3, 3, 2))


def test_the_version_of_the_data_directory_is_chosen_before_a_newer_one(tmp_path: Path) -> None:
    make_server(tmp_path, "15.2")
    make_server(tmp_path, "17.1")
    assert find(tmp_path, major=15).version == "15.2"


def test_pg_config_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_server(tmp_path / "usual", "17.1")
    chosen = make_server(tmp_path / "chosen", "16.4")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "pg_config").write_text(f"#!/bin/sh\necho '{chosen}'\n")
    (tools / "pg_config").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    assert find_binaries(places=[f"{tmp_path}/usual/lib/postgresql/*/bin"]).bindir == chosen


def test_a_bindir_that_was_named_is_the_only_one_considered(tmp_path: Path) -> None:
    make_server(tmp_path / "usual", "17.1")
    named = make_server(tmp_path / "named", "15.2")
    assert find_binaries(str(named)).bindir == named


def test_a_named_folder_without_a_server_is_refused_with_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"PANOFED_PG_BINDIR={tmp_path}: there is no PostgreSQL server"):
        find_binaries(str(tmp_path))


def test_the_share_folder_is_found_without_pg_config(tmp_path: Path) -> None:
    found = read_binaries(make_server(tmp_path, "15.2", pg_config=False))
    assert found is not None
    assert found.postgis == (3, 3, 2)


@pytest.mark.parametrize(
    ("version", "postgis", "words"),
    [
        ("14.9", "3.4.0", r"PostgreSQL 14\.9 in .* is too old: 15 or newer"),
        ("15.2", "3.2.9", r"PostGIS 3\.2\.9 of PostgreSQL 15\.2 in .* is too old: 3\.3 or newer"),
    ],
)
def test_what_is_too_old_is_refused_by_name(tmp_path: Path, version: str, postgis: str, words: str) -> None:
    bindir = make_server(tmp_path, version, postgis)
    with pytest.raises(DatabaseTooOld, match=words):
        find(tmp_path)
    with pytest.raises(DatabaseTooOld, match=words):
        find_binaries(str(bindir))


def test_a_server_without_postgis_is_missing_postgis(tmp_path: Path) -> None:
    make_server(tmp_path, "15.2", postgis="")
    with pytest.raises(BinariesMissing, match=r"PostgreSQL 15\.2 in .* has no PostGIS"):
        find(tmp_path)


def test_a_broken_installation_does_not_hide_a_good_one(tmp_path: Path) -> None:
    make_server(tmp_path, "15.2")
    broken = make_server(tmp_path, "17.1")
    (broken / "postgres").write_text("#!/bin/sh\necho 'error while loading shared libraries' >&2\nexit 127\n")
    assert find(tmp_path).version == "15.2"


@pytest.mark.parametrize(
    ("manager", "advice"),
    [
        ("apt-get", "sudo apt-get install postgresql-postgis"),
        ("dnf", "sudo dnf install postgresql-server"),
        ("apk", "sudo apk add postgresql"),
        ("brew", "brew install postgresql@"),
        ("", "PANOFED_DATABASE_URL"),
    ],
)
def test_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str, advice: str
) -> None:
    if manager:
        (tmp_path / manager).write_text("#!/bin/sh\n")
        (tmp_path / manager).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BinariesMissing) as caught:
        find_binaries(places=[])
    assert advice in str(caught.value)


def test_a_beta_counts_as_its_major_version(tmp_path: Path) -> None:
    assert server_version(make_server(tmp_path, "19beta1") / "postgres") == "19"


def test_a_control_file_without_a_version_is_no_postgis(tmp_path: Path) -> None:
    (tmp_path / "extension").mkdir()
    (tmp_path / "extension/postgis.control").write_text("comment = 'x'\n")
    assert postgis_version(tmp_path) == ()
