"""stac-fastapi-pgstac beside us: its own virtual environment, its own cluster, the same pictures, its best settings.

    python -m bench.peer up --items 1000000 --instances 3 --port 15612
    python -m bench.peer down

One collection per instance, partitioned by year, analysed, an index on the queryable property, items hydrated in the
application, one worker. Its database cluster has the settings of ours; `--set name=value` changes one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import psutil

from bench.cache import default_directory
from bench.database import run_sql
from bench.items import render_items
from bench.pictures import pictures_of
from bench.plan import Dataset, DatasetSpec
from bench.product import wait_until_answers
from bench.sequences import collection_of
from panofed.cluster import Cluster, ClusterConfig

PACKAGES = (
    "pypgstac[psycopg]==0.10.0",
    "stac-fastapi-pgstac==7.2.0",
    "uvicorn==0.54.0",
    "uvloop==0.23.0",
    "httptools==0.9.0",
)
REPORTED = ("pypgstac", "stac-fastapi", "fastapi", "starlette", "asyncpg", "pydantic", "hydraters", "uvicorn", "uvloop")
#: Where its best differs from ours: many partitions in one statement, and PostgreSQL's own choice of plans, with which
#: it is 5 to 15 % faster than with plans made anew for every call.
EXTRA_SETTINGS: Mapping[str, str] = {"max_locks_per_transaction": "2048", "plan_cache_mode": "auto"}
QUERYABLE = "view:azimuth"
REBUILT_LINKS = frozenset({"root", "parent", "self", "collection"})


class PeerError(Exception):
    """The peer could not be set up; the message says what failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfig:
    """Where the peer lives and what it serves; `lean` items carry no EXIF and no links."""

    directory: Path
    spec: DatasetSpec
    port: int = 15_612
    lean: bool = False
    #: only collections, one per sequence: for the list of collections
    listing: bool = False
    workers: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> Path:
        """The virtual environment."""
        return self.directory / "venv"

    @property
    def state_file(self) -> Path:
        """What runs at present."""
        return self.directory / ("running-listing.json" if self.listing else "running.json")

    @property
    def database(self) -> str:
        """One database per data set, so that several can stay."""
        key = sha256(f"{self.spec} {self.lean}".encode()).hexdigest()[:8]
        return f"{'listing' if self.listing else 'peer'}_{self.spec.items}_{key}"


def cluster_of(config: PeerConfig) -> Cluster:
    """The peer's own database cluster."""
    extra = {**EXTRA_SETTINGS, **config.settings}
    return Cluster(ClusterConfig(directory=config.directory / "pg", extra=extra))


def install(config: PeerConfig) -> dict[str, str]:
    """Make the virtual environment unless it is there; returns the versions of what matters."""
    wanted = config.environment / "wanted.txt"
    if not wanted.exists() or wanted.read_text().split() != list(PACKAGES):
        venv.create(config.environment, with_pip=True, clear=True)
        _run([_program(config, "pip"), "install", "--quiet", *PACKAGES])
        wanted.write_text("\n".join(PACKAGES))
    frozen = _run([_program(config, "pip"), "freeze"]).splitlines()
    versions = dict(line.split("==") for line in frozen if "==" in line)
    return {name: version for name, version in versions.items() if name.startswith(REPORTED)}


def _program(config: PeerConfig, name: str) -> str:
    return str(config.environment / "bin" / name)


def _run(command: list[str], *, env: Mapping[str, str] | None = None, stdin: bytes | None = None) -> str:
    done = subprocess.run(command, env={**os.environ, **(env or {})}, input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise PeerError(f"{' '.join(command[:4])}: {done.stderr.decode(errors='replace')[-2_000:]}")
    return done.stdout.decode()


def _database_env(cluster: Cluster, database: str) -> dict[str, str]:
    status = cluster.status()
    return {
        "PGHOST": str(status.socket_dir),
        "PGPORT": str(status.port),
        "PGUSER": "postgres",
        "PGPASSWORD": "",
        "PGDATABASE": database,
    }


def collections_of(dataset: Dataset) -> Iterator[dict[str, object]]:
    """One collection per instance; `item_assets` holds what all assets share, so that items are stored without it."""
    shared = {
        "hd": ("HD picture", "Highest resolution available of this picture", "data"),
        "sd": ("SD picture", "Picture in standard definition (fixed width of 2048px)", "visual"),
        "thumb": ("Thumbnail", "Picture in low definition (fixed width of 500px)", "thumbnail"),
    }
    assets = {
        name: {"title": title, "description": text, "roles": [role], "type": "image/jpeg"}
        for name, (title, text, role) in shared.items()
    }
    for instance in dataset.instances:
        yield {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": instance.name,
            "description": f"Pictures of {instance.name}",
            "license": instance.license,
            "links": [],
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [["2018-01-01T00:00:00Z", None]]},
            },
            "item_assets": assets,
        }


def sequences_of(dataset: Dataset) -> Iterator[dict[str, object]]:
    """Every sequence as the collection that its instance says."""
    for plan in dataset.sequences():
        base = f"https://{dataset.instances[plan.instance].name}.example"
        yield collection_of(pictures_of(plan), base)


def peer_item(item: dict[str, Any], instance: str, *, lean: bool) -> dict[str, Any]:
    """An item as the peer stores it: same id, place, time and properties, in the collection of its instance."""
    item["properties"]["panoramax:sequence"] = item["collection"]
    item["collection"] = instance
    item["links"] = [] if lean else [link for link in item["links"] if link["rel"] not in REBUILT_LINKS]
    if lean:
        del item["properties"]["exif"]
    return item


def item_lines(dataset: Dataset, *, lean: bool) -> Iterator[bytes]:
    """Every item of the data set as a line of JSON, instance by instance as the loader likes it."""
    for number, instance in enumerate(dataset.instances):
        base = f"https://{instance.name}.example"
        for plan in dataset.sequences(instance=number):
            for rendered in render_items(pictures_of(plan), base):
                yield orjson.dumps(peer_item(orjson.loads(rendered.body), instance.name, lean=lean)) + b"\n"


def load(config: PeerConfig, cluster: Cluster) -> dict[str, float]:
    """Fill the database of this data set unless it is filled already; returns seconds per step."""
    marker = config.directory / f"{config.database}.json"
    if marker.exists():
        steps: dict[str, float] = json.loads(marker.read_text())
        return steps
    run_sql(cluster, "postgres", f'DROP DATABASE IF EXISTS "{config.database}";')
    cluster.ensure_database(config.database)
    env = _database_env(cluster, config.database)
    dataset = Dataset(config.spec)
    pypgstac = _program(config, "pypgstac")
    _run([pypgstac, "migrate"], env=env)
    run_sql(cluster, config.database, f'ALTER DATABASE "{config.database}" SET search_path TO pgstac, public;')
    made = sequences_of(dataset) if config.listing else collections_of(dataset)
    collections = b"\n".join(orjson.dumps(collection) for collection in made)
    _run([pypgstac, "load", "collections", "stdin"], env=env, stdin=collections)
    if config.listing:
        run_sql(cluster, config.database, "VACUUM ANALYZE;")
        marker.write_text("{}")
        return {}
    run_sql(cluster, config.database, "UPDATE pgstac.collections SET partition_trunc = 'year';")
    begin = time.perf_counter()
    _load_items([pypgstac, "load", "items", "stdin", "--method", "insert"], env, item_lines(dataset, lean=config.lean))
    loaded = time.perf_counter()
    _index_queryable(config, pypgstac, env)
    run_sql(cluster, config.database, "VACUUM ANALYZE;")
    steps = {"load_s": loaded - begin, "index_and_analyse_s": time.perf_counter() - loaded}
    _check_count(cluster, config, dataset.pictures)
    marker.write_text(json.dumps(steps))
    return steps


def _load_items(command: list[str], env: Mapping[str, str], lines: Iterator[bytes]) -> None:
    with subprocess.Popen(
        command, env={**os.environ, **env}, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as loader:
        assert loader.stdin is not None and loader.stderr is not None
        try:
            loader.stdin.writelines(lines)
            loader.stdin.close()
        except BrokenPipeError:
            pass  # the loader's own message below says why
        error = loader.stderr.read().decode(errors="replace")
    if loader.returncode:
        raise PeerError(f"The peer's loader failed: {error[-2_000:]}")


def _index_queryable(config: PeerConfig, pypgstac: str, env: Mapping[str, str]) -> None:
    path = config.directory / "queryables.json"
    schema = {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "type": "object",
        "properties": {QUERYABLE: {"type": "number", "title": "Azimuth"}},
    }
    path.write_text(json.dumps(schema))
    _run([pypgstac, "load_queryables", str(path), "--index_fields", f'["{QUERYABLE}"]'], env=env)


def _check_count(cluster: Cluster, config: PeerConfig, expected: int) -> None:
    stored = int(run_sql(cluster, config.database, "SELECT count(*) FROM pgstac.items;"))
    if stored != expected:
        raise PeerError(f"The peer holds {stored} pictures, expected {expected}")


def up(config: PeerConfig) -> dict[str, object]:
    """Install, load and serve; returns what runs: url, pid, versions, seconds of loading."""
    versions = install(config)
    cluster = cluster_of(config)
    cluster.ensure_running()
    steps = load(config, cluster)
    down(config, database=False)
    env = _database_env(cluster, config.database)
    # The application builds a URL of its parts: a socket folder must be escaped in it.
    env |= {"PGHOST": quote(env["PGHOST"], safe=""), "USE_API_HYDRATE": "true"}
    env |= {"DB_MIN_CONN_SIZE": "2", "DB_MAX_CONN_SIZE": "8"}
    command = [
        _program(config, "uvicorn"),
        "stac_fastapi.pgstac.app:create_app",
        "--factory",
        "--workers",
        str(config.workers),
    ]
    command += ["--port", str(config.port), "--no-access-log", "--loop", "uvloop", "--http", "httptools"]
    log_file = config.directory / f"server-{config.port}.log"
    log = log_file.open("wb")
    with log:
        server = subprocess.Popen(
            command, env={**os.environ, **env}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    url = f"http://127.0.0.1:{config.port}"
    state: dict[str, object] = {"url": url, "pid": server.pid, "versions": versions, "seconds": steps}
    state |= {"database": cluster.dsn(config.database), "lean": config.lean}
    config.state_file.write_text(json.dumps(state))
    wait_until_answers(url + "/", server, log_file)
    return state


def down(config: PeerConfig, *, database: bool = True) -> None:
    """Stop the server, and its database cluster too unless told otherwise; data stays."""
    if config.state_file.exists():
        pid = int(json.loads(config.state_file.read_text())["pid"])
        if _is_ours(pid, config):
            os.kill(pid, signal.SIGTERM)
            psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
        config.state_file.unlink()
    if database:
        cluster_of(config).stop()


def _is_ours(pid: int, config: PeerConfig) -> bool:
    """Whether that process is our peer, and not a later one that got its number."""
    try:
        return str(config.environment) in " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peer", description=__doc__)
    parser.add_argument("action", choices=["up", "down", "versions"])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long-sequence", action="store_true")
    parser.add_argument("--lean", action="store_true", help="items without EXIF and links: less work for the peer")
    parser.add_argument("--port", type=int, default=15_612)
    parser.add_argument("--directory", type=Path, default=default_directory() / "peer")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of its PostgreSQL")
    return parser.parse_args(words)


def config_of(options: argparse.Namespace) -> PeerConfig:
    """The configuration that the command line asks for."""
    return PeerConfig(
        directory=options.directory,
        spec=DatasetSpec(
            items=options.items, instances=options.instances, seed=options.seed, long_sequence=options.long_sequence
        ),
        port=options.port,
        lean=options.lean,
        settings=dict(setting.split("=", 1) for setting in options.set),
    )


def main(words: Sequence[str] | None = None) -> None:
    """Bring the peer up or down."""
    options = _arguments(words)
    config = config_of(options)
    config.directory.mkdir(parents=True, exist_ok=True)
    if options.action == "down":
        down(config)
        return
    state = up(config) if options.action == "up" else {"versions": install(config)}
    sys.stdout.write(json.dumps(state, indent=1) + "\n")


if __name__ == "__main__":
    main()
