"""PostgreSQL fetched from the distribution: unpacked by an ordinary user, and installed without a second server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from panofed.cluster import packages
from tests.integration.cluster.conftest import AsUser, MakeCluster

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="needs a Debian family system")

UNPACK = """
config = panofed.cluster.ClusterConfig(directory=Path({directory!r}), durable=False, system_binaries=False)
said = []
cluster = panofed.cluster.Cluster(config, report=said.append)
try:
    cluster.ensure_running()
except panofed.cluster.server.BinariesMissing as error:
    print("missing:", error)
else:
    cluster.ensure_database("one")
    question = "SELECT length(ST_AsMVT(t)) > 0 FROM (SELECT ST_AsMVTGeom(ST_Transform(ST_Point(2, 48, 4326), 3857), "
    question += "ST_TileEnvelope(0, 0, 0))) t"
    print(cluster.client("one").text(question), cluster.status().bindir, len(said))
    cluster.stop()
    cluster.ensure_running()
    print(len(said))
"""


def test_an_ordinary_user_gets_postgresql_uninstalled(as_user: AsUser, folder: Path, make_cluster: MakeCluster) -> None:
    make_cluster(folder / "pg")  # to be stopped and removed by root
    said = as_user(UNPACK.format(directory=str(folder / "pg")))
    if said.startswith("missing:") and "download" in said:
        pytest.skip(said)
    # unpacked and made once: two reports, and none at the second start
    assert said.splitlines() == [f"t {folder}/pgdist/root/usr/lib/postgresql/15/bin 2", "2"]


def test_no_main_cluster_is_made_while_installing(as_root: None) -> None:
    conf = "/etc/postgresql-common/createcluster.conf"
    if not (shutil.which("pg_conftool") and Path(conf).exists()):
        pytest.skip("needs postgresql-common")
    ask = ["pg_conftool", conf, "show", "-bs", "create_main_cluster"]  # what the package's own script asks
    with packages.no_main_cluster([], needed=True):
        assert subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip() == "off"
    assert not packages.NO_MAIN_CLUSTER.exists()
    assert subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip() != "off"


def test_an_installed_package_brings_nothing() -> None:
    package = packages.postgis_package()
    if not package:
        pytest.skip("no package lists")
    missing = packages.to_install(package)
    assert packages.brings_server(package) == any(name == package.removesuffix("-postgis-3") for name in missing)
