"""Dumps a database to a file and restores one from it; neither can leave half a result behind."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from federation.errors import ClusterError
from federation.sqlfiles import sql_directory
from panofed.cluster.client import Client

#: pages are zstd values already: more effort costs minutes and saves little
COMPRESSION = "1"
RESTORE_JOBS = "2"
SWAP_ATTEMPTS = 10

BytesTick = Callable[[int], None]


def ignore(_size: int) -> None:
    """The progress nobody watches."""


def dump(client: Client, file: Path, tick: BytesTick = ignore) -> int:
    """Write the database to `file` (pg_dump's custom format, one snapshot); returns its bytes.

    The file appears under its name only when it is complete and on the disk; an older one is replaced only then.
    `tick` is called with the bytes written so far.
    """
    half = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    _refuse_unwritable(half)
    command = client.command("pg_dump", "--format=custom", f"--compress={COMPRESSION}", f"--file={half}")
    try:
        client.long_command(command, lambda: tick(_size_of(half)))
        with half.open("rb") as written:
            os.fsync(written.fileno())
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)
    return file.stat().st_size


def restore(client: Client, file: Path, tick: BytesTick = ignore, *, keep_old: bool = False) -> str:
    """Fill a fresh database from `file` and give it the client's database's name; returns the old one's name if kept.

    The old database serves until the swap, and is dropped only afterwards. A new change epoch begins: transaction
    numbers of the old cluster mean nothing here. `tick` is called with the fresh database's bytes so far.
    """
    check_dump(client, file)
    admin = client.on("postgres")
    suffix = secrets.token_hex(3)
    fresh, old = client.on(f"{client.database}_new_{suffix}"), client.on(f"{client.database}_old_{suffix}")
    admin.script("create_database", name=fresh.database)
    try:
        fill(fresh, file, tick)
        _swap(admin, wanted=client.database, fresh=fresh.database, old=old.database)
    except BaseException:
        admin.script("drop_database", name=fresh.database)
        raise
    if keep_old:
        return old.database if old.database in admin.script("list_databases").splitlines() else ""
    admin.script("drop_database", name=old.database)
    return ""


def fill(fresh: Client, file: Path, tick: BytesTick = ignore) -> None:
    """Restore `file` into the empty database `fresh`: first the roles it grants to, last the statistics."""
    fresh.text((sql_directory() / "schema/010_roles.sql").read_text(encoding="utf-8"))
    options = ["--exit-on-error", f"--jobs={RESTORE_JOBS}"]
    fresh.long_command([*fresh.command("pg_restore", *options), str(file)], _size_tick(fresh, tick))
    fresh.script("after_restore")


def check_dump(client: Client, file: Path) -> None:
    """Raise ClusterError unless `file` is a dump that pg_restore can read."""
    if not file.is_file():
        raise ClusterError(f"There is no file {file}")
    with file.open("rb") as opened:
        if opened.read(5) != b"PGDMP":
            raise ClusterError(f"{file} is not a dump made by `panofed db dump` (pg_dump's custom format)")
    command = [str(client.bindir / "pg_restore"), "--list", str(file)]
    client.long_command(command, lambda: None)


def _swap(admin: Client, *, wanted: str, fresh: str, old: str) -> None:
    """Rename both; a pool that connects again in between makes it fail, so it is tried a few times."""
    for attempt in range(1, SWAP_ATTEMPTS + 1):
        try:
            admin.script("swap_databases", wanted=wanted, fresh=fresh, old=old)
            return
        except ClusterError as error:
            if "being accessed by other users" not in str(error) or attempt == SWAP_ATTEMPTS:
                raise
            time.sleep(0.2)


def _size_tick(client: Client, tick: BytesTick) -> Callable[[], None]:
    """Ask for the database's size every two seconds, not at every tick: each question is a new connection."""
    asked_at = time.monotonic()

    def ask() -> None:
        nonlocal asked_at
        if tick is not ignore and time.monotonic() - asked_at > 2:
            asked_at = time.monotonic()
            tick(int(client.script("size")))

    return ask


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _refuse_unwritable(half: Path) -> None:
    try:
        half.touch(mode=0o600)
    except OSError as error:
        raise ClusterError(f"{half.parent} cannot be written to: {error.strerror}") from error
