"""The demonstration around its instances: what it refuses, remembers, announces, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from federation.errors import ConfigurationError, DemoError, OriginRefused, OriginUnreachable
from federation.instances import load_instances
from federation.settings import load_settings
from panofed.cluster import Cluster
from panofed.demo import run
from panofed.demo.api import Api
from panofed.demo.environment import LOCK_FILE
from panofed.demo.geovisio import ETALAB, Instance, InstanceConfig
from panofed.demo.origins import OriginPlaces
from panofed.demo.server import ServerFiles, find_server, free_port
from panofed.demo.signals import Stopping, StopRequest
from panofed.demo.state import InstanceState, UploadedSet, read_state, write_state


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance that was once started; nothing of it runs."""
    config = InstanceConfig(name="demo-a", title="A", license=ETALAB, directory=tmp_path / "a", python=Path("/none"))
    write_state(tmp_path / "a/instance.json", InstanceState(port=15499))
    places = OriginPlaces(directory=tmp_path, environment=tmp_path / "environment")
    return Instance(config, Cluster(places.cluster), lambda text, done, total: None)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_taken_port_is_refused_by_the_name_of_its_setting(taken_port: int, tmp_path: Path) -> None:
    settings = load_settings(port=taken_port, data_dir=tmp_path)
    with pytest.raises(ConfigurationError, match=f"PANOFED_PORT={taken_port}"):
        run.run_demo(settings, Console())
    assert not (tmp_path / "demo.json").exists()


def test_a_second_demo_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with run._only_one(tmp_path / "demo"), pytest.raises(DemoError, match=re.escape(str(tmp_path))):
        with run._only_one(tmp_path / "demo"):
            pass


def test_the_registry_is_one_the_catalog_reads(instance: Instance, tmp_path: Path) -> None:
    run.write_instances(tmp_path / "instances.yaml", [instance])
    (entry,) = load_instances(tmp_path / "instances.yaml")
    assert (entry.id, entry.name, entry.url, entry.enabled) == ("demo-a", "demo-a", "http://127.0.0.1:15499/api", True)


def test_the_catalog_may_talk_to_the_instances_and_to_no_other_port(instance: Instance, tmp_path: Path) -> None:
    settings = run.demo_settings(load_settings(data_dir=tmp_path), [instance])
    assert settings.outbound_allow_loopback and settings.outbound_allow_http
    assert settings.outbound_ports == (80, 443, 15499)
    assert settings.instances_file == tmp_path / "demo/instances.yaml"


def test_demo_json_is_there_exactly_while_it_runs(instance: Instance, tmp_path: Path) -> None:
    with run._announced(tmp_path, "http://127.0.0.1:8080/api", [instance]):
        assert json.loads((tmp_path / "demo.json").read_text()) == {
            "catalog": "http://127.0.0.1:8080/api",
            "instances": [{"name": "demo-a", "url": "http://127.0.0.1:15499/api"}],
            "pid": os.getpid(),
        }
    assert not (tmp_path / "demo.json").exists()


def test_state_is_remembered_and_private(tmp_path: Path) -> None:
    state = InstanceState(port=1, tokens={"alice": "t"}, upload_sets={"Å": UploadedSet(id="u", account="alice")})
    write_state(tmp_path / "instance.json", state)
    assert read_state(tmp_path / "instance.json") == state
    assert (tmp_path / "instance.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"port": 1}', '{"port": 1, "upload_sets": {"a": {"nonsense": 1}}}'])
def test_damaged_state_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "instance.json").write_text(text)
    with pytest.raises(DemoError, match=r"instance\.json is damaged"):
        read_state(tmp_path / "instance.json")


def test_a_pid_file_that_names_another_program_is_not_believed(tmp_path: Path) -> None:
    files = ServerFiles(directory=tmp_path)
    assert find_server(files) is None
    for text in ("", "nonsense", str(os.getpid()), "999999999"):
        files.pid.write_text(text)
        assert find_server(files) is None


def test_a_wanted_port_is_kept_while_it_is_free(taken_port: int) -> None:
    assert free_port(taken_port) != taken_port
    free = free_port()
    assert free_port(free) == free


def test_the_lock_file_names_no_address_and_every_hash() -> None:
    text = LOCK_FILE.read_text()
    assert "://" not in text
    for entry in re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_unwinds(number: signal.Signals) -> None:
    forced: list[bool] = []
    stop = StopRequest(force=lambda: forced.append(True))
    with stop.listening(), pytest.raises(Stopping):
        os.kill(os.getpid(), number)
        stop.wait(5)
    with pytest.raises(Stopping):
        stop.check()
    assert not forced
    assert signal.getsignal(number) != stop._receive


def test_an_api_says_which_way_a_call_failed(taken_port: int) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()
            self.wfile.write(b'{"message": "no"}')

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(OriginRefused, match="404") as refused:
            Api(url=f"http://127.0.0.1:{server.server_port}/api").get("/collections")
        thread.join()
    assert refused.value.status == 404
    with pytest.raises(OriginUnreachable):
        Api(url=f"http://127.0.0.1:{free_port()}/api").get("/")
    with pytest.raises(DemoError, match="the impossible did not happen"):
        Api(url="http://127.0.0.1:1/api").wait("the impossible", lambda: False, timeout_s=0.1)
