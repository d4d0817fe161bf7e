"""The program under measurement, as a user runs it: its command line, its environment, its data folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from panofed.cluster import DATABASE, Cluster, ClusterConfig

PANOFED = [sys.executable, "-m", "panofed"]
HARVEST = (*PANOFED, "harvest", "--once")
SERVE = (*PANOFED, "serve")
MIGRATE = (*PANOFED, "db", "migrate")
START_TIMEOUT_S = 60.0
#: no pause between requests
IMPOLITE = {"instance_requests_per_s": "0", "instance_rest_share": "0"}


class ProductError(Exception):
    """The program under measurement failed; the message ends with what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One installation under measurement; `settings` are PANOFED_ variables without the prefix."""

    directory: Path
    ports: tuple[int, ...]
    port: int = 15_640
    settings: Mapping[str, str] = field(default_factory=dict)
    #: whether instances are asked at the default pace
    polite: bool = False

    @property
    def cluster(self) -> Cluster:
        """Its database cluster: durable, as at a user's."""
        return Cluster(ClusterConfig(directory=self.directory / "pg"))

    @property
    def environment(self) -> dict[str, str]:
        """Politeness off unless wanted, local instances allowed, everything else as it comes."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PANOFED_")}
        settings = {
            "data_dir": str(self.directory),
            "instances_file": str(self.directory / "instances.yaml"),
            "port": str(self.port),
            "workers": "1",
            **({} if self.polite else IMPOLITE),
            "outbound_allow_loopback": "true",
            "outbound_allow_http": "true",
            "outbound_ports": json.dumps(self.ports),
            "log_level": "warning",
            **self.settings,
        }
        return inherited | {f"PANOFED_{name.upper()}": value for name, value in settings.items()}


def prepare(product: Product, instances: Sequence[str]) -> None:
    """Make the data folder, the list of instances, the cluster and the schema."""
    product.directory.mkdir(parents=True, exist_ok=True)
    entries = [
        {"id": name, "name": name, "url": f"http://127.0.0.1:{port}/api", "enabled": True}
        for name, port in zip(instances, product.ports, strict=True)
    ]
    # JSON is YAML
    (product.directory / "instances.yaml").write_text(json.dumps({"instances": entries}, indent=1))
    product.cluster.ensure_running()
    product.cluster.ensure_database(DATABASE)
    done = subprocess.run(MIGRATE, env=product.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProductError(f"{' '.join(MIGRATE[2:])}: {done.stdout}{done.stderr}")


@contextmanager
def serving(product: Product) -> Iterator[str]:
    """Run the catalog with one worker; gives its API root."""
    with served(product) as (root, _):
        yield root


@contextmanager
def served(product: Product) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The same, with the program that was started."""
    log = product.directory / "serve.log"
    with log.open("wb") as output:
        server = subprocess.Popen(SERVE, env=product.environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        root = f"http://127.0.0.1:{product.port}/api"
        wait_until_answers(root, server, log)
        yield root, server
    finally:
        stop(server)


def wait_until_answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the first success; ProductError when the program ended or never answered."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise ProductError(f"No answer at {url}: {log.read_text(errors='replace')[-2_000:]}")


def stop(program: subprocess.Popen[bytes]) -> None:
    """End a program that we started."""
    if program.poll() is None:
        program.send_signal(signal.SIGTERM)
        try:
            program.wait(timeout=15)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
