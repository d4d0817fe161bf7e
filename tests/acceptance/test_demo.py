"""`panofed demo` as a user starts it: two real servers, one catalog that follows in seconds, gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from federation.errors import OriginError
from panofed.demo import changes
from panofed.demo.api import Api
from panofed.demo.origins import Origins
from panofed.demo.server import free_port
from panofed.demo.state import read_state

START_S = 240.0
#: what the demonstration promises of its second start, on a machine that does nothing else
SECOND_START_S = 15.0
FOLLOW_S = 15.0
STOP_S = 30.0


@dataclass(slots=True)
class Demo:
    """One `panofed demo` with a data folder and a port of its own."""

    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    told: Path = field(init=False)

    def __post_init__(self) -> None:
        self.told = self.data.with_suffix(".log")

    def start(self) -> float:
        """Start it and wait until it says where everything is; returns after how many seconds that was."""
        started = time.monotonic()
        mine = {"PANOFED_DATA_DIR": str(self.data), "PANOFED_PORT": str(self.port)}
        with self.told.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "panofed", "demo"], env=os.environ | mine, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_until(START_S, self.told.read_text, lambda: self.is_announced() or self.process_ended())
        assert self.is_announced(), self.told.read_text()
        return time.monotonic() - started

    def is_announced(self) -> bool:
        """Whether demo.json is there."""
        return (self.data / "demo.json").exists()

    def process_ended(self) -> bool:
        """Whether the command is over."""
        return self.process is None or self.process.poll() is not None

    def described(self) -> dict[str, Any]:
        """What demo.json says."""
        described: dict[str, Any] = json.loads((self.data / "demo.json").read_text())
        return described

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def processes(self) -> list[str]:
        """Command lines of what belongs to it and still runs."""
        found = []
        for each in psutil.process_iter():
            with suppress(psutil.Error):
                ours = each.environ().get("PANOFED_DATA_DIR") == str(self.data) or str(self.data) in each.cmdline()
                if (ours or any(str(self.data) in word for word in each.cmdline())) and each.pid != os.getpid():
                    found.append(" ".join(each.cmdline()))
        return found


@pytest.fixture(scope="module")
def demo(origins: Origins, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demonstration that has not been started; it finds the environment of its instances made already."""
    data = tmp_path_factory.mktemp("demo") / "data"
    (data / "demo").mkdir(parents=True)
    made = origins.python.parent.parent
    (data / "demo" / made.name).symlink_to(made)
    demo = Demo(data, free_port())
    try:
        yield demo
    finally:
        if not demo.process_ended():
            demo.stop()
        assert demo.processes() == []


def test_first_start_shows_both_instances_in_one_catalog(demo: Demo) -> None:
    demo.start()
    described = demo.described()
    assert demo.process is not None
    assert described["pid"] == demo.process.pid
    assert described["catalog"] == f"http://127.0.0.1:{demo.port}/api"
    assert [each["name"] for each in described["instances"]] == ["demo-paris", "demo-lyon"]
    found = Api(url=described["catalog"]).get("/search?bbox=2.340,48.857,2.348,48.861&limit=5")["features"]
    assert len(found) == 5
    around = Api(url=described["catalog"]).get("/search?bbox=2.340,48.857,2.348,48.861&limit=1000")["features"]
    origins = {link["instance_name"] for item in around for link in item["links"] if link["rel"] == "via"}
    assert origins == {"demo-paris", "demo-lyon"}
    total = sum(
        each["stats:items"]["count"] for each in Api(url=described["catalog"]).get("/collections")["collections"]
    )
    assert total == 503  # of 504 one is its owner's only
    assert "Ctrl-C stops everything" in demo.told.read_text()


def test_edit_shows_within_seconds(demo: Demo) -> None:
    described = demo.described()
    catalog, paris = Api(url=described["catalog"]), described["instances"][0]
    state = read_state(demo.data / "demo" / paris["name"] / "instance.json")
    assert state is not None
    sequence = catalog.get("/search?bbox=2.343,48.851,2.345,48.854&limit=1")["features"][0]["collection"]
    changes.rename_sequence(Api(url=paris["url"], token=state.tokens["alice"]), sequence, "Renamed by a test")
    wait_until(
        FOLLOW_S, demo.told.read_text, lambda: catalog.get(f"/collections/{sequence}")["title"] == "Renamed by a test"
    )


def test_second_demonstration_in_the_same_folder_is_refused(demo: Demo) -> None:
    mine = {"PANOFED_DATA_DIR": str(demo.data), "PANOFED_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-m", "panofed", "demo"], env=os.environ | mine, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "already runs" in done.stderr
    assert demo.is_announced()


def test_sigterm_leaves_nothing_running(demo: Demo) -> None:
    catalog = demo.described()["catalog"]
    assert demo.stop(signal.SIGTERM) == 0
    assert not demo.is_announced()
    assert demo.processes() == []
    with pytest.raises(OriginError):
        Api(url=catalog).get("/live")


def test_second_start_is_quick_and_keeps_what_was_edited(demo: Demo) -> None:
    seconds = demo.start()
    # others at work on the machine lengthen it in proportion
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert seconds < SECOND_START_S * busy
    catalog = Api(url=demo.described()["catalog"])
    titles = {each["title"] for each in catalog.get("/collections")["collections"]}
    assert "Renamed by a test" in titles


def test_parts_end_with_a_demonstration_that_is_killed_and_the_next_start_takes_over(demo: Demo) -> None:
    demo.stop(signal.SIGKILL)
    # the instances stay and are found again; catalog and harvester would hold the port
    wait_until(STOP_S, demo.told.read_text, lambda: not any("-m panofed" in each for each in demo.processes()))
    (demo.data / "demo.json").unlink()
    demo.start()


def test_second_ctrl_c_ends_everything_at_once(demo: Demo) -> None:
    assert demo.process is not None
    demo.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    with suppress(ProcessLookupError):
        demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(STOP_S) in (0, 130)
    wait_until(STOP_S, demo.told.read_text, lambda: demo.processes() == [])
    assert not demo.is_announced()


def wait_until(seconds: float, explain: Callable[[], str], ready: Callable[[], bool]) -> None:
    """Ask until `ready`; fails with what `explain` says."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.1)
