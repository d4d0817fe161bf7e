"""Writes the export: only leaves that changed, resumable, and readers see the one before until all of it is there."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import xxhash

from catalog_api.answers.stac import Writer
from catalog_api.index.connections import Connections
from catalog_api.index.feed import Fetch, read_head, write_token
from catalog_api.index.recalls import recalled
from catalog_api.index.registry import Registry
from catalog_api.routes.exports import MANIFEST
from catalog_api.slots import own_address
from federation.database import Role, connect
from federation.errors import ConfigurationError, DatabaseUnavailable, ExportError
from federation.leaves import LeafSet, load_leaves
from federation.payload import Unpacker
from federation.queries import query
from federation.settings import Settings
from panofed.exports.leaf import LeafWriter
from panofed.exports.manifest import File, Manifest, read_manifest, write_manifest
from panofed.exports.stale import touched_since, unit_of, units, units_of

#: What an interrupted export had written already.
_PARTIAL = "partial.json"


@dataclass(slots=True)
class Report:
    """How far it is; the functions are called as it goes on."""

    on_start: Callable[[int, int], None] = lambda leaves, pictures: None
    on_leaf: Callable[[str], None] = lambda leaf: None
    on_pictures: Callable[[int], None] = lambda pictures: None


@dataclass(slots=True, kw_only=True)
class Export:
    """One run into one folder."""

    settings: Settings
    dsn: str
    folder: Path
    report: Report = field(default_factory=Report)
    #: only these leaves, by their cells in hexadecimal; all when empty
    only: frozenset[str] = frozenset()
    #: files of leaves that changed are gone before anything is written
    drop_stale: bool = False

    def write(self) -> Manifest:
        """Bring the folder up to date; returns its new manifest."""
        try:
            with _alone(self.folder), asyncio.Runner() as runner:
                connections = Connections(self.dsn, self.settings)
                try:
                    return self._write(runner, connections)
                finally:
                    runner.run(connections.close())
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseUnavailable(f"exporting: {error}") from error
        except OSError as error:
            raise ExportError(f"{self.folder}: {error.strerror or error}") from error

    def _write(self, runner: asyncio.Runner, connections: Connections) -> Manifest:
        registry = Registry(connections, Unpacker())
        runner.run(registry.prepare([]))
        made_for = self._made_for(registry)
        plan = runner.run(_plan(connections.fetch, self._leaves(runner, connections), self._former(made_for)))
        if self.only:
            plan = plan.only(self.only)
        manifest = self._manifest(plan, made_for)
        if self.drop_stale and plan.missing:
            self._publish(replace(manifest, complete=False))
        connection = runner.run(connect(self.dsn, Role.READER, self.settings))
        try:
            leaf_writer = LeafWriter(
                runner=runner, connection=connection, registry=registry, row_group=self.settings.export_row_group,
                writer=Writer(self._base, self.settings.catalog_title, registry), on_pictures=self.report.on_pictures,
            )  # fmt: skip
            manifest = self._fill(leaf_writer, plan, manifest)
        finally:
            runner.run(connection.close())
        self._publish(manifest)
        return manifest

    @property
    def _base(self) -> str:
        return f"{self.settings.public_url or own_address(self.settings)}/api"

    def _made_for(self, registry: Registry) -> str:
        names = sorted((number, each.name, each.web) for number, each in registry.instances.items())
        return xxhash.xxh3_64_hexdigest(repr((self._base, names)).encode())

    def _leaves(self, runner: asyncio.Runner, connections: Connections) -> LeafSet:
        async def load() -> LeafSet:
            async with connections.use() as connection:
                return await load_leaves(connection)

        return runner.run(load())

    def _former(self, made_for: str) -> list[Manifest]:
        """What is here already and can be used again: the export before, and an interrupted one."""
        found = (read_manifest(self.folder / name) for name in (MANIFEST, _PARTIAL))
        return [
            replace(each, files=tuple(file for file in each.files if self._is_whole(file)))
            for each in found
            if each is not None and each.made_for == made_for
        ]

    def _is_whole(self, file: File) -> bool:
        path = self.folder / file.file
        return path.is_file() and path.stat().st_size == file.bytes

    def _manifest(self, plan: Plan, made_for: str) -> Manifest:
        written_at = datetime.now(UTC).isoformat(timespec="seconds")
        files = tuple(plan.kept.values())
        return Manifest(token=plan.token, written_at=written_at, made_for=made_for, files=files, complete=plan.complete)

    def _fill(self, leaf_writer: LeafWriter, plan: Plan, manifest: Manifest) -> Manifest:
        """Write what is missing. What is done is noted after each leaf: who starts again goes on there."""
        files = {file.leaf: file for file in manifest.files}
        self.report.on_start(len(plan.missing), sum(plan.missing.values()))
        for cell in plan.missing:
            file = leaf_writer.write(cell, self.folder)
            if file is None:
                files.pop(f"{cell:x}", None)
            else:
                files[file.leaf] = file
            manifest = replace(manifest, files=tuple(files[leaf] for leaf in sorted(files)))
            write_manifest(self.folder / _PARTIAL, replace(manifest, complete=False))
            self.report.on_leaf(f"{cell:x}")
        return manifest

    def _publish(self, manifest: Manifest) -> None:
        """Show it, then drop what it does not name: nothing that was withdrawn stays."""
        write_manifest(self.folder / MANIFEST, manifest)
        named = {file.file for file in manifest.files}
        for path in [*self.folder.glob("*.parquet"), *self.folder.glob(".*.new")]:
            if path.name not in named:
                path.unlink()
        (self.folder / _PARTIAL).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`kept` files are good as they are; `missing` leaves are written, with about how many pictures each.

    `stale` are files of missing leaves as they were at `stale_token`.
    """

    token: str
    kept: dict[str, File]
    missing: dict[int, int]
    stale: dict[str, File] = field(default_factory=dict)
    stale_token: str = ""
    complete: bool = True

    def only(self, leaves: frozenset[str]) -> Plan:
        """Restricted to some leaves. Others stay as they were, so the token stays too; or they stay missing."""
        known = {f"{cell:x}" for cell in self.missing} | set(self.kept)
        if unknown := sorted(leaves - known):
            raise ConfigurationError(f"--leaf {unknown[0]}: there is no such leaf")
        left_out = {f"{cell:x}" for cell in self.missing} - leaves
        stays = {leaf: file for leaf, file in self.stale.items() if leaf in left_out}
        return replace(
            self, missing={cell: size for cell, size in self.missing.items() if f"{cell:x}" in leaves},
            kept=self.kept | stays, token=self.stale_token if stays else self.token,
            complete=len(stays) == len(left_out),
        )  # fmt: skip


async def _plan(fetch: Fetch, leaves: LeafSet, former: Sequence[Manifest]) -> Plan:
    """The token is from before anything is read: what commits later is in the feed after it."""
    head = write_token(await read_head(fetch))
    kept: dict[str, File] = {}
    stale: dict[str, File] = {}
    stale_token = ""
    for manifest in former:
        touched = await touched_since(fetch, manifest.token, leaves)
        if touched is None:
            continue
        changed = {f"{cell:x}" for cell in units_of(touched, leaves)}
        if not stale_token:
            # the oldest is good for all that come after it
            stale_token = manifest.token
        stale |= {file.leaf: file for file in manifest.files if file.leaf in changed}
        kept |= {file.leaf: file for file in manifest.files if file.leaf not in changed}
    gone = await recalled(fetch, [(file.leaf, file.recall) for file in (*kept.values(), *stale.values())])
    kept, stale = ({leaf: file for leaf, file in each.items() if leaf not in gone} for each in (kept, stale))
    wanted = {f"{cell:x}": cell for cell in units(leaves)}
    kept = {leaf: file for leaf, file in kept.items() if leaf in wanted}
    sizes = await _sizes(fetch, leaves)
    missing = {cell: sizes.get(cell, 0) for leaf, cell in wanted.items() if leaf not in kept}
    return Plan(token=head, kept=kept, missing=missing, stale=stale, stale_token=stale_token)


async def _sizes(fetch: Fetch, leaves: LeafSet) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for row in await fetch(query("export_sizes")):
        cell = unit_of(row["cell"], leaves)
        sizes[cell] = sizes.get(cell, 0) + row["pictures"]
    return sizes


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else writes into this folder meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ExportError(f"{folder}: another export is being written there") from error
        yield
