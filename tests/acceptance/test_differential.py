"""A random walk of changes on two real instances, harvesters killed meanwhile: nothing is missed, nothing leaks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from federation.errors import OriginRefused
from panofed.demo.geovisio import Instance
from panofed.demo.origins import Origins
from panofed.demo.upload import wait_until_idle
from tests.soak.steps import STEPS
from tests.soak.town import Town
from tests.soak.walk import Plan, prepared

#: Short walks, half a minute of work each. A seed that ever failed is added, with its steps, and stays.
PLANS = [Plan(seed=7, steps=95)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder everybody can enter: root's database server runs as somebody else."""
    made = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def restored(origins: Origins, instances: tuple[Instance, Instance]) -> Iterator[Origins]:
    """The instances; those who test after us find licences and accounts' names as they were."""
    configs = [instance.config for instance in instances]
    yield origins
    for instance, config in zip(instances, configs, strict=True):
        if instance.config != config:
            instance.config = config
            instance.stop()
        instance.start()
        for account in ("alice", "bob"):
            origins.cluster.client(config.database).text(
                f"UPDATE accounts SET name = '{account}' WHERE name LIKE '{account} %';"
            )


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"seed-{plan.seed}")
async def test_random_walk_on_two_instances_ends_without_a_difference(
    plan: Plan, restored: Origins, folder: Path
) -> None:
    with prepared(plan, restored, folder, print) as walk:
        try:
            await walk.go()
        finally:
            clear(walk.town)
        done = set(walk.done)
        assert {"blow kill", "blow freeze", "blow thaw", "blow database", "blow instance"} <= done
        kinds = {each.__name__ for each in STEPS}
        # some may be refused, or have nothing to be done to
        assert len(kinds & done) >= len(kinds) - 4, f"never done: {kinds - done}"


def clear(town: Town) -> None:
    """Delete what the walk has made."""
    for street in town.streets:
        with suppress(OriginRefused):
            place = f"upload_sets/{street.upload_set}" if street.upload_set else f"collections/{street.sequence}"
            street.api.call("DELETE", f"/{place}")
    for instance in town.instances:
        wait_until_idle(instance.api())
