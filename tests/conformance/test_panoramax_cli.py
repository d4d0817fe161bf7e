"""panoramax_cli downloads sequences from the catalog as it does from an instance; files come from the origin."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conformance.conftest import Judged
from tests.conformance.environments import environment

#: The smallest thing with a JPEG's ends.
JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


class _Origins(BaseHTTPRequestHandler):
    """A proxy in whose world every address is a picture: the instances of the catalog under test do not exist."""

    def do_GET(self) -> None:
        assert self.path.startswith(("http://north.example/api/pictures/", "http://south.example/api/pictures/"))
        self.send_response(200)
        self.send_header("content-type", "image/jpeg")
        self.send_header("content-length", str(len(JPEG)))
        self.end_headers()
        self.wfile.write(JPEG)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def origins() -> Iterator[dict[str, str]]:
    """The environment in which every host but this machine is the proxy's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Origins) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        proxy = f"http://127.0.0.1:{server.server_port}"
        yield {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        server.shutdown()
        thread.join()


def run(arguments: list[str], judged: Judged, origins: dict[str, str], home: Path) -> str:
    program = environment("panoramax-cli") / "panoramax_cli"
    command = [str(program), *arguments, "--api-url", judged.url.removesuffix("/api")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | origins | {"HOME": str(home)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_downloads_a_sequence_with_its_metadata(judged: Judged, origins: dict[str, str], tmp_path: Path) -> None:
    stored = judged.sequences[0]
    run(
        ["download", "--collection", stored.id, "--path", str(tmp_path), "--file-name", "id",
         "--external-metadata-dir-name", "metadata"], judged, origins, tmp_path,
    )  # fmt: skip
    folder = tmp_path / "Rue_de_Rivoli"
    assert {path.stem for path in folder.glob("*.jpg")} == set(stored.items)
    assert all(path.read_bytes() == JPEG for path in folder.glob("*.jpg"))
    for path in (folder / "metadata").iterdir():
        document = json.loads(path.read_text())
        assert document["properties"] == stored.items[document["id"]]["properties"]


@pytest.mark.parametrize("quality", ["sd", "thumb"])
def test_it_downloads_other_sizes(judged: Judged, origins: dict[str, str], tmp_path: Path, quality: str) -> None:
    stored = judged.sequences[3]
    run(
        ["download", "--collection", stored.id, "--path", str(tmp_path), "--quality", quality],
        judged,
        origins,
        tmp_path,
    )
    assert len(list((tmp_path / "Taveuni").glob("*.jpg"))) == 8
