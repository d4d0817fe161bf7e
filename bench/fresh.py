"""How soon a change on a real instance is served: `panofed run` with its defaults, beside a GeoVisio that is edited."""

from __future__ import annotations

import json
import random
import re
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.product import PANOFED, Product, ProductError, prepare, stop, wait_until_answers
from bench.real import real_instance
from panofed.demo.api import Api
from panofed.demo.changes import rename_sequence

CHANGES = 8
#: Between one change being served and the next being made: at random, so that no rhythm of visits is met; more than the
#: least time between two pings.
_PAUSE_S = (11.0, 40.0)
_NEVER_S = 300.0
_TOKEN = re.compile(r"panofed_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """Seconds from an edit's answer at the instance to the catalog that shows it, for each of some changes."""

    name: str
    seconds: tuple[float, ...]


def measure_fresh(product: Product, environments: Path) -> list[Fresh]:
    """Titles that change at the instance: waiting for the next visit, and telling the catalog by a ping."""
    with real_instance(product.directory / "real", environments, copies=0) as house:
        instance = house.instances[0]
        here = replace(product, ports=(instance.state.port,), polite=True)
        prepare(here, ["real"])
        token = _token(here)
        with _running(here) as root:
            (sequence,) = [each["id"] for each in instance.api().get("/collections")["collections"]]
            _wait(lambda: _title(root, sequence) is not None)
            owner = instance.api(next(iter(instance.state.tokens)))
            return [
                Fresh(name="next visit", seconds=_changes(root, owner, sequence, lambda: None)),
                Fresh(name="ping", seconds=_changes(root, owner, sequence, lambda: _ping(root, token))),
            ]


def _token(product: Product) -> str:
    command = [*PANOFED, "instances", "token", "create", "real"]
    done = subprocess.run(command, env=product.environment, capture_output=True, text=True, check=False)
    found = _TOKEN.search(done.stdout)
    if found is None:
        raise ProductError(f"{' '.join(command[2:])}: {done.stdout}{done.stderr}")
    return found[0]


@contextmanager
def _running(product: Product) -> Iterator[str]:
    log = product.directory / "run.log"
    with log.open("wb") as output:
        program = subprocess.Popen([*PANOFED, "run"], env=product.environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        root = f"http://127.0.0.1:{product.port}/api"
        wait_until_answers(root, program, log)
        yield root
    finally:
        stop(program)


def _changes(root: str, owner: Api, sequence: str, afterwards: Callable[[], None]) -> tuple[float, ...]:
    rng, waited = random.Random(3), []
    for number in range(CHANGES):
        time.sleep(rng.uniform(*_PAUSE_S))
        title = f"street {number} {rng.random()}"
        rename_sequence(owner, sequence, title)
        begin = time.monotonic()
        afterwards()
        _wait(lambda title=title: _title(root, sequence) == title)  # type: ignore[misc]
        waited.append(time.monotonic() - begin)
    return tuple(waited)


def _ping(root: str, token: str) -> None:
    request = urllib.request.Request(
        f"{root}/instances/real/ping", method="POST", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()


def _title(root: str, sequence: str) -> str | None:
    try:
        with urllib.request.urlopen(f"{root}/collections/{sequence}", timeout=30) as answer:
            return str(json.loads(answer.read())["title"])
    except urllib.error.HTTPError as error:
        error.close()
        return None


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _NEVER_S
    while not ready():
        if time.monotonic() > deadline:
            raise ProductError(f"the catalog did not show a change within {_NEVER_S:.0f} s")
        time.sleep(0.05)


def fresh_markdown(measured: Sequence[Fresh]) -> str:
    """A row for each way."""
    lines = ["| a change is served by | changes | median s | worst s |", "|---|---|---|---|"]
    lines += [
        f"| {one.name} | {len(one.seconds)} | {statistics.median(one.seconds):.1f} | {max(one.seconds):.1f} |"
        for one in measured
    ]
    return "\n".join(lines) + "\n"
