"""`panofed instances check`: each step in a line, what to do under it, and an exit status for scripts."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.integration.registration.conftest import Desk
from tests.joining import Joining


async def run(url: str, folder: Path, *options: str, **settings: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PANOFED_")}
    environment |= {
        "PANOFED_DATA_DIR": str(folder), "PANOFED_OUTBOUND_ALLOW_LOOPBACK": "true",
        "PANOFED_OUTBOUND_ALLOW_HTTP": "true", "PANOFED_INSTANCE_REQUESTS_PER_S": "0", "COLUMNS": "500",
    } | settings  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "panofed", "instances", "check", url, *options, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_a_good_instance(tmp_path: Path) -> None:
    async with Joining() as instance:
        instance.add_sequence(pictures=3)
        code, said = await run(instance.url, tmp_path, "--full")
        assert code == 0, said
        assert "ok      Landing page. The landing page is that of a STAC API (1.0.0)." in said
        assert "It can be harvested; what is amiss stands above." in said
        assert "Speed" in said
        assert os.listdir(tmp_path) == [], "no database is made for it"


async def test_a_bad_one(tmp_path: Path) -> None:
    async with Joining() as instance:
        instance.configuration["name"] = {"label": "[red]x[/red]"}
        instance.open_api = False
        code, said = await run(instance.url, tmp_path)
        assert code == 1
        assert "failed  Reading from other sites (CORS)." in said
        assert "-> Let the server or its proxy send Access-Control-Allow-Origin: *" in said
        assert "[red]x[/red]" in said, "what an instance says is no markup"


async def test_it_is_compared_with_known_instances(tmp_path: Path, desk: Desk) -> None:
    await desk.admin.execute(
        "INSERT INTO instances (id, name, url, state) VALUES ('a', 'already', $1, 'enabled')", desk.instance.url
    )
    code, said = await run(desk.instance.url, tmp_path, PANOFED_DATABASE_URL=desk.dsn)
    assert code == 1
    assert "This is the address of already" in said


async def test_what_is_no_address(tmp_path: Path) -> None:
    code, said = await run("ftp://a.org", tmp_path)
    assert (code, said) == (1, "error: 'ftp://a.org' is not an http(s) address\n")


async def test_an_address_inside_is_refused(tmp_path: Path) -> None:
    code, said = await run("http://127.0.0.1:1/api", tmp_path, PANOFED_OUTBOUND_ALLOW_LOOPBACK="false")
    assert code == 1
    assert "cannot be visited" in said
