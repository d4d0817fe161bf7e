"""Several instances at once: one cluster and one environment for all, started, loaded and stopped side by side."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from panofed.cluster import Cluster, ClusterConfig
from panofed.demo.datasets import LYON, PARIS
from panofed.demo.environment import GEOVISIO_VERSION, Report, ensure_environment
from panofed.demo.geovisio import CC_BY_SA, ETALAB, Instance, InstanceConfig, License, ensure_template
from panofed.demo.pictures import make_pictures
from panofed.demo.walk import SequenceSpec

EVERYONE = "both instances"
#: says which instance a step belongs to, then as Report
OriginReport = Callable[[str, str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginPlan:
    """One instance to be: its name, licence and streets."""

    name: str
    title: str
    license: License
    sequences: Sequence[SequenceSpec]


def _silent(whose: str, text: str, done: int, total: int) -> None:
    """The report of nobody."""


DEMO_PLANS = (
    OriginPlan(name="demo-paris", title="Panoramax demo Paris", license=ETALAB, sequences=PARIS),
    OriginPlan(name="demo-lyon", title="Panoramax demo Lyon", license=CC_BY_SA, sequences=LYON),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginPlaces:
    """Where their parts are. The environment may be shared with others; the rest belongs to these instances."""

    directory: Path
    environment: Path
    #: as ClusterConfig has them
    bindir: str = ""
    dist_directory: Path | None = None

    @property
    def cluster(self) -> ClusterConfig:
        """Their own cluster. Not durable: what it holds can be made again in seconds."""
        return ClusterConfig(
            directory=self.directory / "pg", bindir=self.bindir, dist_directory=self.dist_directory, durable=False,
            shared_buffers="64MB",
        )  # fmt: skip


def default_environment(base: Path) -> Path:
    """The environment's folder under `base`, one for each version of GeoVisio."""
    return base / f"geovisio-{GEOVISIO_VERSION}"


class Origins:
    """The instances of some plans. `start` may be called again at any time; it only makes what is missing."""

    def __init__(self, plans: Sequence[OriginPlan], places: OriginPlaces) -> None:
        self._plans, self._places = plans, places
        self._report: OriginReport = _silent
        self.cluster = Cluster(places.cluster, report=lambda text: self._report(EVERYONE, text, 0, 0))
        self.instances: tuple[Instance, ...] = ()

    @property
    def python(self) -> Path:
        """The Python of the instances' environment."""
        return self._places.environment.absolute() / "bin/python"

    def start(self, report: OriginReport = _silent) -> tuple[Instance, ...]:
        """Bring all up with their pictures, in the order of the plans. Raises DemoError or ClusterError.

        `report` is called from several threads; what it raises ends the start.
        """
        self._report = report
        python = ensure_environment(self._places.environment, self._reporter(EVERYONE))
        self.cluster.ensure_running()
        ensure_template(python, self.cluster, self._reporter(EVERYONE))
        report(EVERYONE, "environment and database are there", 1, 1)
        self.instances = tuple(self._instance(plan) for plan in self._plans)
        with ThreadPoolExecutor(len(self._plans)) as pool:
            list(pool.map(self._bring_up, self._plans, self.instances))
        shutil.rmtree(self._pictures, ignore_errors=True)
        return self.instances

    def stop(self) -> None:
        """Stop the instances, then their cluster; what they hold stays."""
        self._report = _silent
        instances = self._all()
        with ThreadPoolExecutor(len(instances)) as pool:
            list(pool.map(Instance.stop, instances))
        self.cluster.stop()

    def kill(self) -> None:
        """End the servers at once, those too that an earlier process started."""
        for instance in self._all():
            instance.kill()

    def remove(self) -> None:
        """Stop them and delete everything they hold; the environment stays."""
        self.stop()
        self.cluster.remove()
        shutil.rmtree(self._places.directory, ignore_errors=True)

    def _all(self) -> tuple[Instance, ...]:
        return self.instances or tuple(self._instance(plan) for plan in self._plans)

    @property
    def _pictures(self) -> Path:
        return self._places.directory.absolute() / "pictures"

    def _bring_up(self, plan: OriginPlan, instance: Instance) -> None:
        report = self._reporter(plan.name)
        instance.start()
        missing = instance.missing(plan.sequences)
        if missing:
            report("drawing pictures", 0, 0)
            instance.load(missing, make_pictures(self.python, missing, self._pictures / plan.name))
        report(f"ready on {instance.url}", 1, 1)

    def _instance(self, plan: OriginPlan) -> Instance:
        config = InstanceConfig(
            name=plan.name, title=plan.title, license=plan.license, directory=self._places.directory / plan.name,
            python=self.python,
        )  # fmt: skip
        return Instance(config, self.cluster, self._reporter(plan.name))

    def _reporter(self, whose: str) -> Report:
        return lambda text, done, total: self._report(whose, text, done, total)
