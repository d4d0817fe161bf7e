"""What a private cluster is configured with, by machine and by wish."""

from __future__ import annotations

from pathlib import Path

import pytest

from federation.settings import Settings
from panofed.cluster import ClusterConfig, cluster_config
from panofed.cluster.client import split_password, with_database
from panofed.cluster.config import memory_bytes, server_settings
from panofed.cluster.place import SOCKET_PATH_BYTES, socket_path_fits

SOCKETS = Path("/srv/pg/sock")


def test_the_projects_cluster_lies_in_the_data_folder() -> None:
    settings = Settings(data_dir=Path("/srv/panofed"), pg_port=15701, pg_bindir="/opt/pg/bin", pg_shared_buffers="1GB")
    config = cluster_config(settings)
    assert (config.directory, config.dist) == (Path("/srv/panofed/pg"), Path("/srv/panofed/pgdist"))
    assert (config.port, config.bindir, config.shared_buffers) == (15701, "/opt/pg/bin", "1GB")


def test_a_relative_data_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert cluster_config(Settings()).directory == tmp_path / ".panofed/pg"


def test_tcp_is_off_unless_a_port_is_asked_for() -> None:
    assert server_settings(ClusterConfig(directory=SOCKETS), SOCKETS)["listen_addresses"] == ""
    asked = server_settings(ClusterConfig(directory=SOCKETS, port=15702), SOCKETS)
    assert (asked["listen_addresses"], asked["port"]) == ("127.0.0.1", "15702")


def test_durability_is_given_up_only_when_asked() -> None:
    assert "fsync" not in server_settings(ClusterConfig(directory=SOCKETS), SOCKETS)
    careless = server_settings(ClusterConfig(directory=SOCKETS, durable=False), SOCKETS)
    assert {careless[name] for name in ("fsync", "synchronous_commit", "full_page_writes")} == {"off"}


def test_wishes_win_over_our_settings() -> None:
    config = ClusterConfig(directory=SOCKETS, shared_buffers="64MB", extra={"max_connections": "7"})
    settings = server_settings(config, SOCKETS)
    assert (settings["shared_buffers"], settings["max_connections"]) == ("64MB", "7")


def test_a_containers_memory_limit_counts(tmp_path: Path) -> None:
    limit, unlimited = tmp_path / "limit", tmp_path / "unlimited"
    limit.write_text("104857600\n")
    unlimited.write_text("max\n")
    assert memory_bytes((tmp_path / "absent", unlimited, limit)) == 100 << 20
    assert memory_bytes((unlimited,)) == memory_bytes(())


def test_the_socket_path_may_have_107_bytes_and_no_more() -> None:
    name = len("/.s.PGSQL.5432")
    exactly = Path("/" + "x" * (SOCKET_PATH_BYTES - name - 1))
    assert socket_path_fits(exactly, 5432)
    assert not socket_path_fits(exactly, 15432)
    assert not socket_path_fits(Path(f"{exactly}x"), 5432)


def test_a_socket_paths_length_is_counted_in_bytes() -> None:
    assert not socket_path_fits(Path("/" + "é" * 60), 5432)


def test_the_password_leaves_the_command_line() -> None:
    url, password = split_password("postgresql://me:s%2Fcret@[::1]:5433/one?sslmode=disable")
    assert (url, password) == ("postgresql://me@[::1]:5433/one?sslmode=disable", "s/cret")
    assert split_password("postgresql://postgres@/one?host=/a b") == ("postgresql://postgres@/one?host=/a%20b", "")


def test_another_database_on_the_same_server() -> None:
    assert with_database("postgresql://h/one", "a b/c") == "postgresql://h/a%20b%2Fc"
