"""`panofed export`: the whole catalog as files, once with a progress bar, or at a period as a part of `panofed run`."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from federation.errors import ConfigurationError, PanofedError
from federation.settings import Settings, load_settings
from panofed.harvest_cli import WithParent
from panofed.messages import told
from panofed.parent import end_with_parent
from panofed.ready import ready_database

if TYPE_CHECKING:
    from panofed.exports.manifest import Manifest
    from panofed.exports.write import Report

export_app = typer.Typer(name="export", help="The whole catalog as files.", invoke_without_command=True)
console = Console(highlight=False)
logger = logging.getLogger(__name__)

Folder = Annotated[Path | None, typer.Argument(help="Where to. Without it PANOFED_EXPORTS_DIR, which is served.")]
Leaf = Annotated[list[str] | None, typer.Option("--leaf", help="Only this leaf (an H3 cell); may be given again.")]
ArchiveFile = Annotated[Path, typer.Argument(help="The archive to write.")]
DropStale = Annotated[
    bool, typer.Option("--drop-stale", help="Drop the files of leaves that changed before any is written anew.")
]


@export_app.callback()
def export(context: typer.Context, with_parent: WithParent = False) -> None:
    """Without a command: write the GeoParquet export every PANOFED_EXPORT_EVERY_S."""
    if context.invoked_subcommand is not None:
        return
    from panofed.logs import configure_logs

    with told():
        if with_parent:
            end_with_parent()
        settings = load_settings()
        if not settings.export_every_s:
            raise ConfigurationError("PANOFED_EXPORT_EVERY_S is 0: set it, or write once: panofed export geoparquet")
        dsn = settings.database_read_url or ready_database(settings)
        configure_logs(settings)
        _write_for_ever(settings, dsn)


@export_app.command()
def geoparquet(folder: Folder = None, leaf: Leaf = None, drop_stale: DropStale = False) -> None:
    """Write the catalog as STAC-GeoParquet: a file for each leaf that changed, and the manifest.

    An export that was cut off goes on where it stood.
    """
    from catalog_api.routes.exports import exports_folder
    from panofed.exports.write import Export

    with told():
        settings = load_settings()
        dsn = settings.database_read_url or ready_database(settings, report=console.print)
        where = folder or exports_folder(settings)
        try:
            with _bar() as report:
                manifest = Export(
                    settings=settings, dsn=dsn, folder=where, report=report, only=frozenset(leaf or ()),
                    drop_stale=drop_stale,
                ).write()  # fmt: skip
        except KeyboardInterrupt:
            console.print("stopped; the next export goes on from here")
            raise typer.Exit(130) from None
    console.print(_summary(manifest, where), soft_wrap=True)


@export_app.command()
def pmtiles(
    file: ArchiveFile = Path("map.pmtiles"),
    hexagons: Annotated[bool, typer.Option("--hexagons", help="The map with hexagons at every zoom.")] = False,
) -> None:
    """Write the whole map as one PMTiles archive, for any file server or CDN.

    It is read back and compared with live tiles before it takes its name. One that was cut off goes on where it stood.
    """
    from catalog_api.tiles.content import Map
    from panofed.exports.archive import Archive, Progress
    from panofed.exports.recall import Recall, keep_archive

    with told():
        settings = load_settings()
        dsn = settings.database_read_url or ready_database(settings, report=console.print)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("tiles"),
                   TimeElapsedColumn(), TimeRemainingColumn())  # fmt: skip
        try:
            with RichProgress(*columns, console=console, transient=True) as display:
                line = display.add_task("looking which tiles there are", total=None)
                progress = Progress(
                    on_start=lambda tiles: display.update(line, description="making", total=tiles),
                    on_tile=lambda: display.update(line, advance=1),
                    on_compare=lambda tiles: display.reset(line, description="comparing", total=tiles),
                )
                recall = Recall(settings, dsn)
                recall.is_new()
                written = Archive(
                    settings=settings, dsn=dsn, file=file, map=Map.V2 if hexagons else Map.V1, progress=progress
                ).write()
                keep_archive(settings, file, recall.last)
        except KeyboardInterrupt:
            console.print("stopped; the next export goes on from here")
            raise typer.Exit(130) from None
    kept = f" {written.kept:,} were there from an export that was cut off." if written.kept else ""
    console.print(
        f"{written.tiles:,} tiles, {written.bytes / 1e6:,.1f} MB, in {escape(str(file))}.{kept}"
        f" {written.compared:,} compared with live ones: all the same.",
        soft_wrap=True,
    )


def _write_for_ever(settings: Settings, dsn: str) -> None:
    from catalog_api.routes.exports import exports_folder
    from panofed.exports.recall import Recall, drop_archives
    from panofed.exports.write import Export

    folder, recall = exports_folder(settings), Recall(settings, dsn)
    while True:
        began = time.monotonic()
        try:
            recalled = recall.is_new()
            manifest = Export(settings=settings, dsn=dsn, folder=folder, drop_stale=recalled).write()
            logger.info("%s", _summary(manifest, folder))
            if recalled:
                drop_archives(settings, recall.last)
        except PanofedError as error:
            logger.error("the export failed: %s", error)
        recall.wait(max(1.0, settings.export_every_s - (time.monotonic() - began)))


def _summary(manifest: Manifest, folder: Path) -> str:
    pictures, size = (sum(getattr(file, name) for file in manifest.files) for name in ("pictures", "bytes"))
    note = "" if manifest.complete else " Some leaves are missing: write them too before others use it."
    return (
        f"{pictures:,} pictures in {len(manifest.files):,} files, {size / 1e6:,.1f} MB, in {escape(str(folder))}.{note}"
    )


@contextmanager
def _bar() -> Iterator[Report]:
    from panofed.exports.write import Report

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("pictures"),
               TimeElapsedColumn(), TimeRemainingColumn())  # fmt: skip
    with RichProgress(*columns, console=console, transient=True) as display:
        line = display.add_task("looking what changed", total=None)

        def start(leaves: int, pictures: int) -> None:
            display.update(line, description=f"{leaves:,} leaves", total=pictures)

        yield Report(on_start=start, on_pictures=lambda pictures: display.update(line, advance=pictures))
