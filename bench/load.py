"""Requests per second and latency of one server: `wrk` where it is installed, else a small client of our own."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

SCRIPT = Path(__file__).parent / "load.lua"


class LoadError(Exception):
    """The load client failed; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measurement: rate, latencies in milliseconds, mean body bytes, answers that were no success."""

    requests: int
    per_second: float
    p50_ms: float
    p95_ms: float
    mean_bytes: float
    failed: int


def has_wrk() -> bool:
    """Whether the `wrk` program is there."""
    return shutil.which("wrk") is not None


def measure(
    root: str, paths: list[str], *, concurrency: int, seconds: float, own: bool = False, etag: str = ""
) -> Measure:
    """Ask for the paths round and round for some seconds, over that many connections kept open; `own`: never by wrk.

    `etag` is what the client says it has.
    """
    if not own and has_wrk():
        return _with_wrk(root, paths, concurrency, seconds, etag)
    return asyncio.run(_with_sockets(root, paths, concurrency, seconds, etag=etag))


def _with_wrk(root: str, paths: list[str], concurrency: int, seconds: float, etag: str) -> Measure:
    base = urlsplit(root)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
        listing.write("\n".join(base.path + path for path in paths))
        listing.flush()
        # wrk takes whole seconds only
        command = ["wrk", "-t1", f"-c{concurrency}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
        command += ["-s", str(SCRIPT), f"{base.scheme}://{base.netloc}", "--", listing.name]
        command += [etag] if etag else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("measured "):
            return _parse_wrk([float(word) for word in line.split()[1:]])
    raise LoadError(f"wrk: {done.stderr.strip() or done.stdout.strip()}")


def _parse_wrk(numbers: list[float]) -> Measure:
    requests, duration_us, received, failed, p50_us, p95_us = numbers
    return Measure(
        requests=int(requests),
        per_second=requests / (duration_us / 1e6),
        p50_ms=p50_us / 1000,
        p95_ms=p95_us / 1000,
        mean_bytes=received / max(1, requests),
        failed=int(failed),
    )


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, int]:
    """Send one request and read its answer to the end; returns status and body length."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    if status in (204, 304):
        return status, 0
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if found:
        length = int(rest.split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        return status, length
    total = 0
    while size := int(await reader.readuntil(b"\r\n"), 16):
        total += size
        await reader.readexactly(size + 2)
    await reader.readexactly(2)
    return status, total


async def ask(base: SplitResult, target: str) -> tuple[int, int]:
    """One request over a connection of its own; its status, and the length of its body."""
    reader, writer = await asyncio.open_connection(base.hostname, base.port or 80, limit=1 << 22)
    try:
        return await _exchange(reader, writer, f"GET {target} HTTP/1.1\r\nHost: {base.netloc}\r\n\r\n".encode())
    finally:
        writer.close()


def each_once(root: str, paths: list[str]) -> Measure:
    """Ask for every path once, in order, over one connection."""
    return asyncio.run(_with_sockets(root, paths, 1, float("inf"), most=len(paths)))


async def _with_sockets(
    root: str, paths: list[str], concurrency: int, seconds: float, *, most: int | None = None, etag: str = ""
) -> Measure:
    base = urlsplit(root)
    known = f"If-None-Match: {etag}\r\n" if etag else ""
    requests = [f"GET {base.path}{path} HTTP/1.1\r\nHost: {base.netloc}\r\n{known}\r\n".encode() for path in paths]
    latencies: list[float] = []
    counters = {"sent": 0, "bytes": 0, "failed": 0}
    begin = time.perf_counter()

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(base.hostname, base.port or 80, limit=1 << 22)
        while time.perf_counter() - begin < seconds and (most is None or counters["sent"] < most):
            request = requests[counters["sent"] % len(requests)]
            counters["sent"] += 1
            started = time.perf_counter()
            status, length = await _exchange(reader, writer, request)
            latencies.append(time.perf_counter() - started)
            counters["bytes"] += length
            counters["failed"] += status not in (200, 204, 304)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(connection() for _ in range(concurrency)))
    elapsed = time.perf_counter() - begin
    latencies.sort()
    return Measure(
        requests=len(latencies),
        per_second=len(latencies) / elapsed,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p95_ms=latencies[int(len(latencies) * 0.95)] * 1000,
        mean_bytes=counters["bytes"] / len(latencies),
        failed=counters["failed"],
    )
