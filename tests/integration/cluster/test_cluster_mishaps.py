"""What a private cluster survives: a killed server, upgraded or vanished binaries, a wrong version, a full disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from federation.errors import ClusterError
from panofed.cluster import Cluster
from panofed.cluster.binaries import find_binaries
from tests.integration.cluster.conftest import MakeCluster
from tests.integration.cluster.test_cluster_lifecycle import ask


def test_no_committed_row_is_lost_when_the_server_is_killed(folder: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(folder / "pg", durable=True)
    cluster.ensure_running()
    cluster.ensure_database("one")
    cluster.client("one").text("CREATE TABLE kept (n int)")
    # psql says "INSERT 0 1" only when a commit was answered
    inserts = folder / "inserts.sql"
    inserts.write_text("".join(f"INSERT INTO kept VALUES ({n});\n" for n in range(200_000)))
    command = [*cluster.client("one").command("psql", "-X", "-v", "ON_ERROR_STOP=1"), "-f", str(inserts)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    answered = [writer.stdout.readline() for _ in range(100)]
    killed = cluster.status().pid
    os.kill(killed, signal.SIGKILL)
    cluster.ensure_running()  # at once: the dead server's children still hold its lock
    answered += writer.communicate(timeout=30)[0].splitlines(keepends=True)
    assert cluster.status().pid != killed
    assert int(ask(cluster, "SELECT count(*) FROM kept", "one")) >= answered.count(b"INSERT 0 1\n") >= 100


def test_a_child_that_outlives_the_killed_server_is_waited_for(cluster: Cluster) -> None:
    """A frozen backend keeps the shared memory: the starts fail until it is gone."""
    pid = cluster.status().pid
    child = next(p for p in psutil.Process(pid).children() if "checkpointer" in " ".join(p.cmdline()))
    child.suspend()
    os.kill(pid, signal.SIGKILL)
    waker = subprocess.Popen(["/bin/sh", "-c", f"sleep 3; kill -CONT {child.pid}"])
    began = time.monotonic()
    cluster.ensure_running()
    assert time.monotonic() - began > 2
    waker.wait()
    assert cluster.status().state == "running"


def test_a_number_given_to_another_process_is_not_the_server(cluster: Cluster) -> None:
    """After a reboot the number in postmaster.pid may belong to anybody; PostgreSQL would refuse to start."""
    cluster.stop("immediate")
    home = cluster.status().directory
    with subprocess.Popen(["sleep", "60"]) as other:
        left = f"{other.pid}\n{home}/data\n0\n5432\n{home}/sock\n\n  0 0\nready\n"
        (home / "data/postmaster.pid").write_text(left)
        assert cluster.status().state == "stopped"
        cluster.ensure_running()
        assert cluster.status().state == "running"
        other.kill()


def test_another_path_to_the_same_server_is_known(cluster: Cluster, folder: Path, make_cluster: MakeCluster) -> None:
    (folder / "link").symlink_to(folder)
    other = make_cluster(folder / "link/pg")
    assert other.status().pid == cluster.status().pid
    other.ensure_running()
    assert other.status().pid == cluster.status().pid


def test_a_lost_socket_restarts_the_server(cluster: Cluster) -> None:
    before = cluster.status()
    (before.socket_dir / ".s.PGSQL.5432").unlink()
    cluster.ensure_running()
    assert cluster.status().pid != before.pid


@pytest.fixture
def wrapped(folder: Path) -> Path:
    """A folder of binaries that can be "upgraded": each runs the real one, `postgres -V` says what `version` holds."""
    real = find_binaries().bindir
    bindir = folder / "bin"
    bindir.mkdir()
    for program in real.iterdir():
        wrapper = bindir / program.name
        wrapper.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        wrapper.chmod(0o755)
    (bindir / "postgres").write_text(
        f'#!/bin/sh\nif [ "$1" = -V ]; then cat {bindir}/version; else exec {real}/postgres "$@"; fi\n'
    )
    (bindir / "version").write_text(f"postgres (PostgreSQL) {find_binaries().version}\n")
    return bindir


def test_binaries_upgraded_under_the_server_restart_it_once(
    wrapped: Path, folder: Path, make_cluster: MakeCluster
) -> None:
    cluster = make_cluster(folder / "pg", bindir=str(wrapped))
    cluster.ensure_running()
    before = cluster.status()
    (wrapped / "version").write_text("postgres (PostgreSQL) 15.99 (Debian 15.99-1)\n")
    cluster.ensure_running()
    after = cluster.status()
    assert (after.version, after.pid != before.pid) == ("15.99", True)
    cluster.ensure_running()
    assert cluster.status().pid == after.pid
    assert ask(cluster, "SELECT 1") == "1"


def test_a_server_started_by_hand_is_asked_for_its_version(cluster: Cluster) -> None:
    before = cluster.status()
    (before.directory / "started.json").unlink()
    cluster.ensure_running()
    assert cluster.status().pid == before.pid


def test_a_server_is_stopped_though_its_binaries_are_gone(
    wrapped: Path, folder: Path, make_cluster: MakeCluster
) -> None:
    cluster = make_cluster(folder / "pg", bindir=str(wrapped))
    cluster.ensure_running()
    shutil.rmtree(wrapped)
    cluster.stop()
    assert cluster.status().state == "stopped"


def test_data_of_another_major_version_is_refused_with_both_named(cluster: Cluster) -> None:
    cluster.stop()
    (cluster.status().directory / "data/PG_VERSION").write_text("14\n")
    with pytest.raises(ClusterError, match=r"made by PostgreSQL 14, .* is PostgreSQL 1\d\..*`panofed db upgrade`"):
        cluster.ensure_running()
    with pytest.raises(ClusterError, match="install PostgreSQL 14 with PostGIS beside the new one"):
        cluster.upgrade()
    (cluster.status().directory / "data/PG_VERSION").write_text("15\n")


def test_a_refused_setting_is_named(folder: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(folder / "pg", extra={"max_conections": "7"})
    with pytest.raises(ClusterError, match=r'does not accept its settings: .*"max_conections"'):
        cluster.ensure_running()


def test_a_failed_start_shows_the_end_of_the_log(folder: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(folder / "pg", extra={"shared_preload_libraries": "no_such_library"})
    with pytest.raises(
        ClusterError, match=r"did not start\. The end of its log \(.*server\.log\):(.|\n)*no_such_library"
    ):
        cluster.ensure_running()


def test_a_taken_port_is_said(cluster: Cluster, folder: Path, make_cluster: MakeCluster) -> None:
    make_cluster(folder / "one/pg", port=15705, tcp_trust=True).ensure_running()
    second = make_cluster(folder / "two/pg", port=15705, tcp_trust=True)
    with pytest.raises(ClusterError, match="could not bind IPv4 address"):
        second.ensure_running()


def test_a_long_log_is_put_aside(cluster: Cluster) -> None:
    cluster.stop()
    log = cluster.status().directory / "server.log"
    log.write_bytes(b"x\n" * 600_000)
    cluster.ensure_running()
    assert log.stat().st_size < 10_000
    assert log.with_name("server.log.1").stat().st_size == 1_200_000


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 80 MB."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=80m,mode=0755", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_is_said_and_harms_nothing(small_disk: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(small_disk / "pg")
    cluster.ensure_running()
    cluster.ensure_database("one")
    cluster.stop()
    filler = small_disk / "filler"
    with suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"\0" * 65_536)
            file.flush()
    with pytest.raises(ClusterError, match="No space left on device"):
        cluster.ensure_running()
    filler.unlink()
    cluster.ensure_running()
    assert cluster.status().state == "running"


def test_a_cluster_that_cannot_be_made_for_want_of_space_says_so(small_disk: Path, make_cluster: MakeCluster) -> None:
    (small_disk / "filler").write_bytes(b"\0" * (60 << 20))
    cluster = make_cluster(small_disk / "pg")
    with pytest.raises(ClusterError, match="No space left on device"):
        cluster.ensure_running()
    assert cluster.status().state == "absent"
