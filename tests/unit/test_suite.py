"""`make test` runs every test once."""

from __future__ import annotations

from pathlib import Path

from tests.__main__ import STEPS

ROOT = Path(__file__).parents[2]


def test_every_folder_of_tests_is_in_one_part() -> None:
    folders = [folder for step in STEPS for part in step for folder in part.folders]
    assert len(folders) == len(set(folders))
    there = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    # what takes long is called by itself: make conformance
    missing = {
        folder
        for folder in there - {"tests/conformance"}
        if not any(folder == part or folder.startswith(f"{part}/") for part in folders)
    }
    assert missing == set()
