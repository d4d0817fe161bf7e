"""A local STAC server that answers like real instances but costs next to nothing: pages go from file to socket.

    python -m bench.source --items 100000 --port 15500 --instances 3

serves the n-th instance on port + n. `POST /control/touch?sequences=150` edits, `GET /control/stats` counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import BinaryIO, TextIO
from urllib.parse import parse_qsl

from bench.cache import default_directory, load, render
from bench.instance import CONFORMANCE, Answer, LocalInstance, Query, RequestError, Slice
from bench.plan import Dataset, DatasetSpec
from bench.sequences import to_json

HEAD_MAX = 8_192
REASONS = {200: "OK", 400: "BAD REQUEST", 404: "NOT FOUND", 405: "METHOD NOT ALLOWED", 500: "INTERNAL SERVER ERROR"}
CONFORMS = Answer([to_json({"conformsTo": CONFORMANCE})])


@dataclass(slots=True, kw_only=True)
class SourceState:
    """What the connections of one instance share: options, counters, the open item file."""

    instance: LocalInstance
    items_file: BinaryIO
    latency_s: float = 0.0
    compress: bool = False
    log: TextIO | None = None
    requests: int = 0
    items: int = 0
    sent_bytes: int = 0
    packed: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: str
    path: str
    query: Query
    gzip: bool


def _parse(head: bytes) -> _Request:
    line, _, headers = head.partition(b"\r\n")
    method, target, _ = line.decode("latin-1").split(" ", 2)
    path, _, text = target.partition("?")
    lowered = headers.lower()
    accepts = b"\r\naccept-encoding:" in b"\r\n" + lowered and b"gzip" in lowered
    return _Request(method, target, path, dict(parse_qsl(text, keep_blank_values=True)), accepts)


def _control(state: SourceState, request: _Request) -> Answer:
    """Edits and counters: not a part of a real instance."""
    instance, number = state.instance, int(request.query.get("sequences", "1"))
    if request.path == "/control/stats":
        usage = resource.getrusage(resource.RUSAGE_SELF)
        counters = {"requests": state.requests, "items": state.items, "sent_bytes": state.sent_bytes}
        return Answer([to_json(counters | {"cpu_s": usage.ru_utime + usage.ru_stime})])
    actions: dict[str, Callable[[], list[str]]] = {
        "/control/touch": lambda: instance.touch(
            number,
            int(request.query.get("items", "5")),
            int(request.query.get("hidden", "0")),
            int(request.query.get("about", "0")),
        ),
        "/control/delete": lambda: instance.delete(number),
        "/control/restore": instance.restore,
        "/control/undo": instance.undo,
    }
    if request.method != "POST" or request.path not in actions:
        raise RequestError(404, "Not a control request")
    return Answer([to_json({"sequences": actions[request.path]()})])


def answer(state: SourceState, request: _Request) -> Answer:
    """The answer to one request; RequestError when there is none."""
    if request.method not in ("GET", "HEAD"):
        raise RequestError(405, "Method not allowed")
    match request.path.strip("/").split("/"):
        case ["api"]:
            return state.instance.landing()
        case ["api", "conformance" | "configuration" as name]:
            return state.instance.configuration() if name == "configuration" else CONFORMS
        case ["api", "collections"]:
            return state.instance.collections(request.query)
        case ["api", "collections", sequence_id]:
            return state.instance.collection(sequence_id)
        case ["api", "collections", sequence_id, "items"]:
            return state.instance.items(sequence_id, request.query)
        case _:
            raise RequestError(404, "The requested URL was not found on the server")


def _packed(state: SourceState, reply: Answer) -> Answer:
    """The same body compressed; an unedited page asked for a second time costs nothing."""
    body = state.packed.get(reply.page) if reply.page else None
    if body is None:
        pieces = [_read(state, part) if isinstance(part, Slice) else part for part in reply.parts]
        body = gzip.compress(b"".join(pieces), compresslevel=5, mtime=0)
        if reply.page:
            state.packed[reply.page] = body
    return Answer([body], reply.content_type, reply.items)


def warm(state: SourceState, limit: int) -> None:
    """Compress every page of `limit` items now, so that no visit pays for it."""
    rendered = state.instance.rendered
    for sequence_id, count in zip(rendered.ids, rendered.counts.tolist(), strict=True):
        for after in range(0, count, limit):
            _packed(state, state.instance.items(sequence_id, {"limit": str(limit), "startAfterRank": str(after)}))


def _read(state: SourceState, part: Slice) -> bytes:
    return os.pread(state.items_file.fileno(), part.stop - part.start, part.start)


def _head(status: int, reply: Answer, length: int, *, packed: bool) -> bytes:
    encoding = "Content-Encoding: gzip\r\n" if packed else ""
    return (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nServer: gunicorn\r\nDate: {formatdate(usegmt=True)}\r\n"
        f"Connection: keep-alive\r\nContent-Type: {reply.content_type}\r\nContent-Length: {length}\r\n"
        f"Cache-Control: public\r\nVary: Accept-Encoding, Cookie\r\n{encoding}\r\n"
    ).encode()


def _reply(state: SourceState, head: bytes) -> tuple[_Request, int, Answer]:
    request = _parse(head)
    try:
        reply = _control(state, request) if request.path.startswith("/control/") else answer(state, request)
        return request, 200, reply
    except RequestError as error:
        body = to_json({"message": str(error), "status_code": error.status})
        return request, error.status, Answer([body])


async def _send(state: SourceState, connection: socket.socket, head: bytes) -> None:
    loop = asyncio.get_running_loop()
    request, status, reply = _reply(state, head)
    if state.latency_s and not request.path.startswith("/control/"):
        await asyncio.sleep(state.latency_s)
    pack = state.compress and request.gzip and status == 200
    if pack:
        reply = _packed(state, reply)
    length = sum(part.stop - part.start if isinstance(part, Slice) else len(part) for part in reply.parts)
    parts = [_head(status, reply, length, packed=pack), *([] if request.method == "HEAD" else reply.parts)]
    waiting = b""
    for part in parts:
        if isinstance(part, bytes):
            waiting += part
            continue
        # The corked head leaves with the first bytes of the file.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        await loop.sock_sendall(connection, waiting)
        waiting = b""
        await loop.sock_sendfile(connection, state.items_file, part.start, part.stop - part.start)
    await loop.sock_sendall(connection, waiting)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    if not request.path.startswith("/control/"):
        state.requests += 1
        state.items += reply.items
        state.sent_bytes += length
    if state.log is not None:
        state.log.write(f"{time.time():.6f}\t{state.instance.instance.name}\t{request.method}\t{request.target}\t")
        state.log.write(f"{status}\t{length}\t{reply.items}\n")


async def _serve_connection(state: SourceState, connection: socket.socket) -> None:
    """Answer the requests of one connection one after the other until it is closed."""
    loop = asyncio.get_running_loop()
    buffer = b""
    with connection, contextlib.suppress(ConnectionError):
        while True:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                received = await loop.sock_recv(connection, 65_536)
                if not received or len(buffer) > HEAD_MAX:
                    return
                buffer += received
                continue
            head, buffer = buffer[: end + 2], buffer[end + 4 :]
            await _send(state, connection, head)


async def _accept(state: SourceState, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    while True:
        connection, _ = await loop.sock_accept(listener)
        connection.setblocking(False)
        task = asyncio.create_task(_serve_connection(state, connection))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def _listen(port: int) -> socket.socket:
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    listener.setblocking(False)
    return listener


def open_states(spec: DatasetSpec, port: int, directory: Path) -> list[SourceState]:
    """Render what is missing and open every instance; the n-th is at port + n."""
    bases = [f"http://127.0.0.1:{port + n}" for n in range(spec.instances)]
    folder = render(spec, bases, directory)
    dataset = Dataset(spec)
    states = []
    for instance, base in zip(dataset.instances, bases, strict=True):
        rendered = load(folder, instance.name)
        local = LocalInstance(rendered, dataset, instance, base)
        states.append(SourceState(instance=local, items_file=rendered.items_path.open("rb")))
    return states


async def serve(states: Sequence[SourceState], port: int, ready: Callable[[], None] = lambda: None) -> None:
    """Serve until cancelled; `ready` is called when every port listens."""
    listeners = [_listen(port + n) for n in range(len(states))]
    try:
        ready()
        await asyncio.gather(*(_accept(state, listener) for state, listener in zip(states, listeners, strict=True)))
    finally:
        for listener in listeners:
            listener.close()


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.source", description=__doc__)
    parser.add_argument("--items", type=int, default=100_000, help="pictures in all")
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long-sequence", action="store_true", help="one more sequence, of 50,000 pictures")
    parser.add_argument("--port", type=int, default=15_500, help="of the first instance")
    parser.add_argument("--cache", type=Path, default=default_directory(), help="where rendered instances are kept")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="wait this long before every answer")
    parser.add_argument("--gzip", action="store_true", help="compress for those who accept it; pages are kept")
    parser.add_argument("--warm", type=int, default=0, metavar="LIMIT", help="with --gzip: pages of this size at once")
    parser.add_argument("--log", type=Path, help="write a line per request to this file")
    return parser.parse_args(words)


async def _run(options: argparse.Namespace, states: list[SourceState]) -> None:
    task = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, partial(task.cancel) if task else lambda: None)

    def ready() -> None:
        for state in states:
            rendered = state.instance.rendered
            sys.stdout.write(
                f"{state.instance.base}/api  {state.instance.instance.name}: "
                f"{len(rendered.ids)} sequences, {int(rendered.counts.sum())} pictures\n"
            )
        sys.stdout.flush()

    with contextlib.suppress(asyncio.CancelledError):
        await serve(states, options.port, ready)


def main(words: Sequence[str] | None = None) -> None:
    """Render (once) and serve until interrupted."""
    options = _arguments(words)
    spec = DatasetSpec(
        items=options.items, instances=options.instances, seed=options.seed, long_sequence=options.long_sequence
    )
    states = open_states(spec, options.port, options.cache)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(options.log.open("w", buffering=1 << 16)) if options.log else None
        for state in states:
            stack.enter_context(state.items_file)
            state.latency_s, state.compress, state.log = options.latency_ms / 1000, options.gzip, log
            if options.gzip and options.warm:
                warm(state, options.warm)
        asyncio.run(_run(options, states))


if __name__ == "__main__":
    main()
