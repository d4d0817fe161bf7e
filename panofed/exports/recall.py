"""Files that hold what was withdrawn since: the export is written anew at once, archives of the map are deleted."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from federation.database import Role, connect, explained
from federation.errors import DatabaseError
from federation.queries import query
from federation.settings import Settings

logger = logging.getLogger(__name__)

#: How long a withdrawal may wait for the export; what is recalled is not served meanwhile.
_LOOK_S = 10.0
#: Archives of the map that were written, and the last recall each knows of.
_ARCHIVES = "archives.json"


@dataclass(slots=True)
class Recall:
    """The last recall, as it was looked up last."""

    settings: Settings
    dsn: str
    last: int = field(default=0)

    def is_new(self) -> bool:
        """Look: whether there was another one since the last look. DatabaseUnavailable when that cannot be told."""
        found = asyncio.run(self._read())
        changed, self.last = found != self.last, found
        return changed

    def wait(self, seconds: float) -> None:
        """So long, or until there is another one. `is_new` tells of it after that too."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_LOOK_S, left))
            try:
                if asyncio.run(self._read()) != self.last:
                    return
            except DatabaseError as error:
                logger.info("no recall is looked for: %s", error)

    async def _read(self) -> int:
        async with explained("looking for recalls"):
            connection = await connect(self.dsn, Role.READER, self.settings)
            try:
                return int(await connection.fetchval(query("export_recall")))
            finally:
                await connection.close(timeout=2)


def keep_archive(settings: Settings, file: Path, recall: int) -> None:
    """Remember that this archive was written, and what it knows."""
    known = archives(settings)
    _write(settings, known | {str(file.resolve()): recall})


def archives(settings: Settings) -> dict[str, int]:
    """Archives that were written and are still there, with the last recall each knows of."""
    try:
        known = json.loads((settings.data_dir / _ARCHIVES).read_bytes())
    except (OSError, ValueError):
        return {}
    return {path: recall for path, recall in known.items() if Path(path).is_file()}


def drop_archives(settings: Settings, recall: int) -> list[Path]:
    """Delete archives that do not know of this recall; returns them. They are written again by whoever wrote them."""
    known = archives(settings)
    gone = [Path(path) for path, knows in known.items() if knows < recall]
    for path in gone:
        path.unlink(missing_ok=True)
        logger.warning("deleted, since it holds what was withdrawn; write it again: %s", path)
    _write(settings, {path: knows for path, knows in known.items() if Path(path) not in gone})
    return gone


def _write(settings: Settings, known: dict[str, int]) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    path = settings.data_dir / _ARCHIVES
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)
