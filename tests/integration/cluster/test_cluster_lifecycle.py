"""A private cluster is made, started, found, stopped and made again, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from federation.errors import ClusterError
from panofed.cluster import Cluster, ClusterConfig
from tests.integration.cluster.conftest import ORDINARY_USER, AsUser, MakeCluster


def ask(cluster: Cluster, question: str, database: str = "postgres") -> str:
    """What psql prints for a query."""
    return cluster.client(database).text(question)


def refusal(as_user: AsUser, directory: Path) -> str:
    """What an ordinary user is told who wants a cluster in `directory`."""
    return as_user(
        f"config = panofed.cluster.ClusterConfig(directory=Path({str(directory)!r}))\n"
        "try: panofed.cluster.Cluster(config).ensure_running()\n"
        "except panofed.cluster.server.ClusterError as error: print(error)\n"
    )


def test_a_cluster_is_absent_then_running_then_stopped(folder: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(folder / "pg")
    assert cluster.status().state == "absent"
    cluster.ensure_running()
    assert cluster.status().state == "running"
    cluster.stop()
    assert cluster.status().state == "stopped"
    cluster.stop()


def test_looking_makes_nothing(folder: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(folder / "pg")
    cluster.status()
    cluster.stop()
    cluster.dsn()
    assert list(folder.iterdir()) == []


def test_a_second_call_changes_nothing(cluster: Cluster) -> None:
    pid = cluster.status().pid
    cluster.ensure_running()
    cluster.ensure_database("one")
    cluster.ensure_database("one")
    assert cluster.status().pid == pid


def test_a_database_comes_with_postgis(cluster: Cluster) -> None:
    cluster.ensure_database('it\'s "odd"')
    assert str(ask(cluster, "SELECT postgis_lib_version()", 'it\'s "odd"')) >= "3.3"
    tile = "SELECT length(ST_AsMVT(t)) FROM (SELECT ST_AsMVTGeom(ST_Point(1, 1), ST_TileEnvelope(0, 0, 0))) t"
    assert ask(cluster, tile, 'it\'s "odd"')


def test_psql_understands_the_address(cluster: Cluster) -> None:
    cluster.ensure_database("one")
    command = [*cluster.psql_command("one"), "-XAtc", "SELECT current_database()"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "one\n"


def test_eight_callers_at_once_make_one_server(folder: Path, make_cluster: MakeCluster) -> None:
    clusters = [make_cluster(folder / "pg") for _ in range(8)]

    def bring_up(cluster: Cluster) -> int:
        cluster.ensure_running()
        cluster.ensure_database("one")
        return cluster.status().pid

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(bring_up, clusters))) == 1


BRING_UP = """
import sys
from pathlib import Path
from panofed.cluster import Cluster, ClusterConfig
cluster = Cluster(ClusterConfig(directory=Path(sys.argv[1]), durable=False))
cluster.ensure_running()
print(cluster.status().pid)
"""


def test_two_processes_at_once_make_one_server(folder: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(folder / "pg")
    command = [sys.executable, "-c", BRING_UP, str(folder / "pg")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    pids = {process.communicate(timeout=60)[0] for process in both}
    assert pids == {f"{cluster.status().pid}\n"}
    # and it outlives both
    assert ask(cluster, "SELECT 1") == "1"


def test_the_server_has_the_settings_it_needs(cluster: Cluster) -> None:
    wanted = {
        "jit": "off",
        "TimeZone": "UTC",
        "listen_addresses": "",
        "plan_cache_mode": "force_custom_plan",
        "random_page_cost": "1.1",
        "wal_compression": "lz4",
        "default_toast_compression": "lz4",
        "server_encoding": "UTF8",
        "shared_buffers": "16MB",
        "max_locks_per_transaction": "1024",
    }
    assert {name: ask(cluster, f"SHOW {name}") for name in wanted} == wanted


def test_two_copies_on_one_machine_do_not_meet(folder: Path, make_cluster: MakeCluster) -> None:
    one, two = make_cluster(folder / "one/pg"), make_cluster(folder / "two/pg")
    one.ensure_running()
    two.ensure_running()
    one.ensure_database("only_here")
    assert one.status().pid != two.status().pid
    question = "SELECT count(*) FROM pg_database WHERE datname = 'only_here'"
    assert (ask(one, question), ask(two, question)) == ("1", "0")
    one.stop()
    assert two.status().state == "running"


async def test_a_port_asks_for_a_password_unless_trusted(folder: Path, make_cluster: MakeCluster) -> None:
    strict = make_cluster(folder / "strict/pg", port=15703)
    strict.ensure_running()
    assert ask(strict, "SHOW port") == "15703"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect("postgresql://postgres@127.0.0.1:15703/postgres", password="wrong", ssl=False)
    trusting = make_cluster(folder / "trusting/pg", port=15704, tcp_trust=True)
    trusting.ensure_running()
    connection = await asyncpg.connect("postgresql://postgres@127.0.0.1:15704/postgres", ssl=False)
    await connection.close()


FOLDER_NAMES = {"long": "x" * 100, "comma": "a,b", "quote": "it's a \\ folder", "percent": "pg%20pg?"}


@pytest.mark.parametrize("name", FOLDER_NAMES.values(), ids=FOLDER_NAMES)
def test_any_folder_name_works(folder: Path, make_cluster: MakeCluster, name: str) -> None:
    cluster = make_cluster(folder / name / "pg")
    cluster.ensure_running()
    assert ask(cluster, "SELECT 1") == "1"
    sockets = cluster.status().socket_dir
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    cluster.stop()
    assert cluster.status().socket_dir == sockets
    cluster.remove()
    assert not sockets.exists()


def test_a_name_in_tmp_that_is_not_ours_is_not_used(folder: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(folder / ("x" * 100) / "pg")
    cluster.ensure_running()
    planted = cluster.status().socket_dir
    cluster.stop()
    (cluster.config.directory / "socket-dir").unlink()
    shutil.rmtree(planted)
    planted.symlink_to("/tmp")
    try:
        cluster.ensure_running()
        assert cluster.status().socket_dir != planted
        assert ask(cluster, "SELECT 1") == "1"
    finally:
        planted.unlink()


def test_the_files_are_closed_to_everybody_else(cluster: Cluster) -> None:
    home = cluster.status().directory
    for path in (home, home / "data", home / "sock", home / "log"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    owner = home.stat().st_uid
    assert owner != 0
    assert {path.stat().st_uid for path in home.iterdir()} == {owner}


def test_a_half_made_cluster_is_made_again(folder: Path, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(folder / "pg")
    cluster.ensure_running()
    cluster.stop()
    home = cluster.status().directory
    (home / "data").rename(home / "data.making")
    assert cluster.status().state == "absent"
    cluster.ensure_running()
    assert cluster.status().state == "running"


def test_root_steps_down_to_postgres(as_root: None, cluster: Cluster) -> None:
    assert pwd.getpwuid(os.stat(f"/proc/{cluster.status().pid}").st_uid).pw_name == "postgres"


def test_root_steps_down_to_the_folders_owner(as_root: None, folder: Path, make_cluster: MakeCluster) -> None:
    shutil.chown(folder, ORDINARY_USER)
    cluster = make_cluster(folder / "pg")
    cluster.ensure_running()
    assert pwd.getpwuid(os.stat(f"/proc/{cluster.status().pid}").st_uid).pw_name == ORDINARY_USER
    assert ask(cluster, "SELECT 1") == "1"


def test_a_folder_the_server_cannot_reach_is_moved(as_root: None, folder: Path, make_cluster: MakeCluster) -> None:
    folder.chmod(0o700)
    cluster = make_cluster(folder / "pg")
    cluster.ensure_running()
    home = cluster.status().directory
    assert home.parent == Path("/var/lib/panofed")
    assert (home / "belongs-to").read_text() == f"{folder}/pg\n"
    assert ask(cluster, "SELECT 1") == "1"
    pid = cluster.status().pid
    cluster.ensure_running()
    assert cluster.status().pid == pid
    cluster.remove()
    assert not home.exists()


def test_a_deleted_data_folder_does_not_meet_its_earlier_life(
    as_root: None, folder: Path, make_cluster: MakeCluster
) -> None:
    folder.chmod(0o700)
    first = make_cluster(folder / "pg")
    first.ensure_running()
    first.ensure_database("earlier")
    first.stop()
    orphan = first.status().directory
    shutil.rmtree(folder / "pg")
    try:
        second = make_cluster(folder / "pg")
        second.ensure_running()
        assert ask(second, "SELECT count(*) FROM pg_database WHERE datname = 'earlier'") == "0"
    finally:
        shutil.rmtree(orphan)


def test_a_moved_folder_that_vanished_is_named(as_root: None, folder: Path) -> None:
    (folder / "pg").mkdir()
    (folder / "pg/moved-to").write_text("/var/lib/panofed/gone\n")
    with pytest.raises(ClusterError, match="/var/lib/panofed/gone, which does not exist"):
        Cluster(ClusterConfig(directory=folder / "pg")).ensure_running()


USER_RUN = """
cluster = panofed.cluster.Cluster(panofed.cluster.ClusterConfig(directory=Path({directory!r}), durable=False))
cluster.ensure_running()
cluster.ensure_database("one")
psql = [*cluster.psql_command("one"), "-XAtc", "SELECT postgis_lib_version()"]
print(json.dumps({{
    "pid": cluster.status().pid,
    "postgis": subprocess.run(psql, capture_output=True, text=True, check=True).stdout.strip(),
}}))
"""


def test_an_ordinary_user_runs_the_server_himself(as_user: AsUser, folder: Path, make_cluster: MakeCluster) -> None:
    found = json.loads(as_user(USER_RUN.format(directory=str(folder / "pg"))))
    cluster = make_cluster(folder / "pg")  # root sees and stops it
    assert cluster.status().pid == found["pid"]
    expected = pwd.getpwnam(ORDINARY_USER).pw_uid if os.geteuid() == 0 else os.geteuid()
    assert os.stat(f"/proc/{found['pid']}").st_uid == expected
    assert found["postgis"] >= "3.3"


def test_an_ordinary_user_is_told_whose_cluster_it_is(as_root: None, cluster: Cluster, as_user: AsUser) -> None:
    assert "belongs to user postgres" in refusal(as_user, cluster.config.directory)


def test_an_ordinary_user_is_told_where_he_may_not_write(as_root: None, as_user: AsUser, folder: Path) -> None:
    shutil.chown(folder, "root")
    assert refusal(as_user, folder / "pg") == f"The folder {folder}/pg cannot be made: Permission denied"


def test_an_ordinary_user_is_told_what_he_cannot_reach(as_root: None, as_user: AsUser, folder: Path) -> None:
    shutil.chown(folder, "root")
    folder.chmod(0o700)
    assert f"{folder}/pg cannot be reached: Permission denied" in refusal(as_user, folder / "pg")


async def test_asyncpg_understands_the_address(folder: Path, make_cluster: MakeCluster) -> None:
    for name in FOLDER_NAMES.values():
        cluster = make_cluster(folder / name / "pg")
        cluster.ensure_running()
        cluster.ensure_database("o d%d")
        connection = await asyncpg.connect(cluster.dsn("o d%d"), timeout=10)
        assert await connection.fetchval("SELECT current_database()") == "o d%d"
        await connection.close()
