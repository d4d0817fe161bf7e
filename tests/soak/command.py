"""`python -m tests.soak.command ARGUMENTS`: the program `panofed`, with settings its users may not choose.

SOAK_RELAXED is a JSON object of settings that are taken unchecked: leaves and overlaps small enough for a short test.
SOAK_BREAK damages the harvester on purpose, to see that the test notices:

- `strict-watermark`: it asks only for what changed after the greatest `updated` it has seen;
- `lost-page`: one page of pictures in seven is read and forgotten;
- `blind-to-tombstones`: what an instance says is gone stays.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import federation.settings
from panofed.parent import end_with_parent

_load = federation.settings.load_settings


def relaxed_settings(**overrides: object) -> federation.settings.Settings:
    """What the environment says, then what SOAK_RELAXED says."""
    changes: dict[str, Any] = json.loads(os.environ.get("SOAK_RELAXED", "{}"))
    if os.environ.get("SOAK_BREAK") == "strict-watermark":
        changes["overlap_s"] = 0.0
    return _load(**overrides).model_copy(update=changes)


def lose_pages() -> None:
    """Every seventh page of pictures reaches no lane."""
    from harvester.lane import Lane

    real, calls = Lane.add, itertools.count(1)

    async def forgetful(self: Lane, pictures: Any, **more: Any) -> None:
        if next(calls) % 7:
            await real(self, pictures, **more)

    Lane.add = forgetful  # type: ignore[method-assign]


def overlook_tombstones() -> None:
    """Listings are read as if they named nothing that is gone."""
    from harvester.client import InstanceClient

    real = InstanceClient._listing_page

    def blind(self: InstanceClient, answer: Any) -> Any:
        page = real(self, answer)
        return replace(page, entries=tuple(entry for entry in page.entries if entry.raw is not None))

    InstanceClient._listing_page = blind  # type: ignore[method-assign]


DAMAGE: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "strict-watermark": lambda: None,
    "lost-page": lose_pages,
    "blind-to-tombstones": overlook_tombstones,
}


if __name__ == "__main__":
    end_with_parent()
    # before anything imports it by name
    federation.settings.load_settings = relaxed_settings
    from panofed.cli import main

    DAMAGE[os.environ.get("SOAK_BREAK", "")]()
    main()
