"""The slot of a worker: its number among them, the folder they share, and the address they all listen on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from federation.settings import Settings

#: The supervisor makes this file when it is told to stop: workers answer on, and say that they are no longer ready.
_STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Which of the workers this is, and the folder they share; None for one without a supervisor."""

    number: int = 0
    folder: Path | None = None

    @property
    def stopping(self) -> bool:
        """Whether the catalog is about to stop."""
        return self.folder is not None and (self.folder / _STOPPING).exists()

    def stop_soon(self) -> None:
        """Tell all workers so."""
        if self.folder is not None:
            (self.folder / _STOPPING).touch()


ALONE = Slot()


def own_address(settings: Settings) -> str:
    """The address of the socket this catalog listens on.

    >>> from federation.settings import load_settings
    >>> own_address(load_settings(host="0.0.0.0", port=8080))
    'http://127.0.0.1:8080'
    """
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
