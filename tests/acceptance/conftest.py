"""Two real Panoramax instances for the acceptance tests, with a few streets each, started once per session.

The instances' environment is kept between sessions in PANOFED_TEST_CACHE (default ~/.cache/panofed-tests); databases
and pictures are made anew. When an instance cannot be made the tests fail: nothing is proven without a real one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from federation.errors import PanofedError
from federation.settings import load_settings
from panofed.cluster import Cluster
from panofed.demo.changes import sequences_of, upload_pictures
from panofed.demo.datasets import GOPRO, LYON, PARIS, shortened
from panofed.demo.geovisio import ACCOUNTS, Instance
from panofed.demo.origins import DEMO_PLANS, OriginPlaces, Origins, default_environment
from panofed.demo.pictures import make_more_pictures, make_pictures
from panofed.demo.walk import SequenceSpec
from tests.acceptance.federated import FederatedCatalog, federated
from tests.integration.conftest import cluster, template, untouched

# where the catalog under test keeps its index
__all__ = ["cluster", "template", "untouched"]

PICTURES_EACH = 5
# flat and 360, shared streets, without headings, every account, the antimeridian from both sides, both poles
STREETS = {
    "demo-paris": [PARIS[number] for number in (0, 1, 3, 5, 8, 9)],
    "demo-lyon": [LYON[number] for number in (0, 3, 5, 6, 8, 9)],
}

StreetPictures: TypeAlias = Callable[[SequenceSpec], list[Path]]


@pytest.fixture(scope="session")
def origins() -> Iterator[Origins]:
    """The two instances' house: environment, cluster, servers."""
    cache = Path(os.environ.get("PANOFED_TEST_CACHE") or Path.home() / ".cache/panofed-tests").absolute()
    sessions = cache / "sessions"
    sessions.mkdir(parents=True, exist_ok=True)
    _remove_dead_sessions(cache, sessions)
    with _session_folder(sessions) as folder:
        house = _house(cache, folder)
        try:
            house.start()
            yield house
        except PanofedError as error:
            pytest.fail(
                f"The acceptance tests need real Panoramax instances, and there are none: {error}", pytrace=False
            )
        finally:
            house.remove()


@pytest.fixture(scope="session")
def instances(origins: Origins) -> tuple[Instance, Instance]:
    """Two live instances, 6 sequences of 5 pictures each; some are tagged, one of the second's is hidden."""
    first, second = origins.instances
    return first, second


@pytest.fixture(scope="session")
def instance_tokens(instances: Sequence[Instance]) -> Mapping[str, Mapping[str, str]]:
    """API tokens: instance name -> account name ("Default account" is the administrator, "alice", "bob") -> token."""
    return {
        instance.config.name: {account: instance.state.tokens[account] for account in ACCOUNTS}
        for instance in instances
    }


@pytest.fixture(scope="module")
async def catalog(
    instances: tuple[Instance, Instance], cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FederatedCatalog]:
    """A catalog of both instances for this test module, with an empty index; it is served by a process of its own."""
    async with federated(cluster, template, instances, tmp_path_factory.mktemp("catalog")) as made:
        yield made


@pytest.fixture
def more_pictures(origins: Origins, tmp_path: Path) -> Callable[[Instance, str, int], list[Path]]:
    """`more_pictures(instance, title, count)`: files that continue the street a loaded sequence was made from."""

    def make(instance: Instance, title: str, count: int) -> list[Path]:
        specs = {spec.title: spec for spec in shortened(STREETS[instance.config.name], PICTURES_EACH)}
        return make_more_pictures(origins.python, specs[title], count, tmp_path)

    return make


@pytest.fixture
def street_pictures(origins: Origins, tmp_path: Path) -> StreetPictures:
    """`street_pictures(spec)`: the files of any street, not uploaded anywhere yet."""
    return lambda spec: make_pictures(origins.python, [spec], tmp_path)[spec.title]


@pytest.fixture
def own_street() -> Callable[..., SequenceSpec]:
    """`own_street(**changes_to_the_spec)`: a street nobody else has, as an instance refuses a picture it holds."""
    street = SequenceSpec(
        title="A street", lat=45.75, lon=4.85, heading=20, camera=GOPRO, start=datetime(2025, 3, 1, 10, tzinfo=UTC),
        pictures=PICTURES_EACH, account="alice",
    )  # fmt: skip

    def make(**changes: Any) -> SequenceSpec:
        own: dict[str, Any] = {"title": f"Street {secrets.token_hex(4)}", "lat": 45.7 + secrets.randbelow(10_000) / 1e5}
        return replace(street, **(own | changes))

    return make


@pytest.fixture
def new_sequence(own_street: Callable[..., SequenceSpec], street_pictures: StreetPictures) -> Callable[..., str]:
    """`new_sequence(instance, **changes_to_the_spec)`: the id of a sequence of this test's own, alice's by default."""

    def make(instance: Instance, **changes: Any) -> str:
        spec = own_street(**changes)
        api = instance.api(spec.account)
        return sequences_of(api, upload_pictures(api, spec.title, street_pictures(spec)))[0]

    return make


def _house(cache: Path, folder: Path) -> Origins:
    places = OriginPlaces(
        directory=folder, environment=default_environment(cache), bindir=load_settings().pg_bindir,
        dist_directory=cache / "pgdist",
    )  # fmt: skip
    plans = [replace(plan, sequences=shortened(STREETS[plan.name], PICTURES_EACH)) for plan in DEMO_PLANS]
    return Origins(plans, places)


@contextmanager
def _session_folder(sessions: Path) -> Iterator[Path]:
    """A folder of this session's own, locked as long as the session lives."""
    folder = sessions / secrets.token_hex(4)
    with _lock_of(folder).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            _lock_of(folder).unlink()


def _remove_dead_sessions(cache: Path, sessions: Path) -> None:
    """A session that was killed leaves its servers running: end them, and only them."""
    for path in sessions.glob("*.lock"):
        with path.open("r+") as lock, suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _house(cache, path.with_suffix("")).remove()
            path.unlink()


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")
