"""Nothing but `federation/outbound.py` opens a connection: seen by the interpreter itself, and read in the sources."""

from __future__ import annotations

import ast
import asyncio
import ipaddress
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.harvest_world import World
from tests.hostile import redirect
from tests.liar import Liar

ROOT = Path(__file__).parents[3]
ROOMS = ("federation", "harvester", "catalog_api", "panofed")
#: Modules of the standard library and others by which a program gets out.
WAYS_OUT = {
    "socket", "_socket", "ssl", "urllib.request", "urllib3", "requests", "httpx", "httpx2", "http.client", "ftplib",
    "smtplib", "poplib", "imaplib", "nntplib", "telnetlib", "xmlrpc.client", "aiohttp", "pycurl", "websockets",
    "wsproto", "pystac_client", "multiprocessing.connection", "aiodns", "dns", "aiosmtplib",
}  # fmt: skip
#: What else asyncio and others have for it.
CALLS_OUT = {
    "open_connection", "create_connection", "create_datagram_endpoint", "sock_connect", "urlopen", "urlretrieve",
    "ClientSession", "TCPConnector", "getaddrinfo", "gethostbyname", "start_tls",
}  # fmt: skip
#: Who may, with the reason.
MAY = {
    "federation/outbound": "it is the way out",
    "panofed/demo/": "talks to its own servers on loopback",
    "panofed/services.py": "asks the program's own server on loopback whether it is ready",
    "panofed/": "looks for free ports",
    "catalog_api/serve.py": "listens",
    "federation/addresses.py": "knows numbers of address families",
}

VISIT = """
import asyncio, sys
import orjson

connected = []

def hook(event, details):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        frame, files = sys._getframe(), []
        while frame is not None:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        where = details[1] if event.startswith(("socket.connect", "socket.sendto")) else details[0]
        connected.append([event, where if isinstance(where, str) else str(where[0]), files])

sys.addaudithook(hook)

from federation.database import Role, open_pool
from harvester.visit import Harvester
from tests.harvest_world import harvest_settings

async def main(dsn):
    settings = harvest_settings()
    async with open_pool(dsn, Role.WRITER, settings) as pool:
        harvester = Harvester(dsn=dsn, pool=pool, settings=settings)
        ended = await harvester.visit_all(lambda _: None)
    said = {each.instance: [each.outcome, each.last_error] for each in ended}
    sys.stdout.buffer.write(orjson.dumps([said, connected]))

asyncio.run(main(sys.argv[1]))
"""


async def test_a_visit_opens_connections_to_the_instances_and_the_database_only(world: World) -> None:
    """In a process of its own, since what is hooked stays hooked; asset and licence links lead elsewhere."""
    north = await world.origin("north")
    north.add_sequence(12)
    async with Liar() as liar:
        liar.truth.add_sequence(3)
        liar.on("/configuration", redirect("http://10.0.0.1/"))
        await world.register("hostile", liar.url)
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", VISIT, world.dsn], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        ended, connected = orjson.loads(done.stdout)
        assert ended["north"][0] == "done"
        assert "10.0.0.1" in ended["hostile"][1]
        assert len(liar.server.requests) > 0
    database = [files for _, where, files in connected if where.startswith("/")]
    assert all(any("/asyncpg/" in file for file in files) for files in database)
    elsewhere = [each for each in connected if not each[1].startswith("/")]
    assert len(elsewhere) >= 2
    for event, host, files in elsewhere:
        assert event == "socket.connect", (event, host)
        assert ipaddress.ip_address(host).is_loopback
        assert str(ROOT / "federation/outbound.py") in files


MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts)


def _ways_out(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__":
            names = ["__import__"]
            found.add("__import__")
        elif isinstance(node, ast.Attribute) and node.attr in CALLS_OUT:
            found.add(node.attr)
        found |= {way for way in WAYS_OUT for name in names if name == way or name.startswith(way + ".")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_other_module_knows_a_way_out(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    if not name.startswith(tuple(MAY)):
        assert _ways_out(path) == set()


def test_a_way_out_would_be_seen(tmp_path: Path) -> None:
    for number, line in enumerate(
        [
            "import socket",
            "from urllib import request",
            "import http.client as h",
            "def f():\n    import aiohttp",
            "async def f(): await asyncio.open_connection('a', 1)",
            "__import__('socket')",
        ]
    ):
        path = tmp_path / f"m{number}.py"
        path.write_text(line)
        assert _ways_out(path), line


def test_only_outbound_makes_sessions_with_sockets_of_their_own() -> None:
    makers = re.compile(r"ClientSession\(|TCPConnector\(|socket\.socket\(")
    there = [path.relative_to(ROOT).as_posix() for path in MODULES if makers.search(path.read_text(encoding="utf-8"))]
    # visits and checks; notices to an administrator's address; certificates: each asks the guard about every address
    guarded = {"federation/outbound.py", "federation/outbound_post.py", "federation/outbound_tls.py"}
    assert {name for name in there if name.startswith(("federation/", "harvester/"))} == guarded
    for name in guarded:
        assert "why_address_refused(" in (ROOT / name).read_text(encoding="utf-8")
