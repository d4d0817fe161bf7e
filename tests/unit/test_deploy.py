"""What is in deploy/: units that systemd reads, an image whose steps name what is there, settings that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main

from federation.settings import Settings
from panofed.cli import app

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy/systemd").glob("panofed*"))
CONTAINERFILE = (ROOT / "deploy/Containerfile").read_text(encoding="utf-8")
PROGRAM = "/opt/panofed/.venv/bin/panofed"


def commands() -> set[str]:
    """What the program can be asked for, with the commands of its groups."""
    group: Any = typer.main.get_command(app)
    names = group.list_commands(None)
    groups = {name: getattr(group.get_command(None, name), "commands", {}) for name in names}
    return {*names, *(f"{name} {each}" for name, below in groups.items() for each in below)}


def instructions() -> list[tuple[str, str]]:
    """The steps of the Containerfile: (word, the rest), continued lines put together."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.MULTILINE))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_are_as_systemd_wants_them(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd here")
    program = shutil.which("true")
    for each in UNITS:
        text = each.read_text(encoding="utf-8").replace(PROGRAM, str(program))
        text = text.replace("file:/opt/panofed", f"file:{ROOT}")
        (tmp_path / each.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)],
        capture_output=True, text=True, timeout=60,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "panofed" in line]
    assert ours == [], done.stderr


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_units_start_commands_there_are_with_settings_there_are(unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    started = re.findall(re.escape(PROGRAM) + r" ([a-z]+(?: [a-z]+)?)", text)
    assert started and set(started) <= commands()
    named = set(re.findall(r"^Environment=PANOFED_([A-Z_]+)=", text, re.MULTILINE))
    assert named <= {name.upper() for name in Settings.model_fields}


def test_a_service_gives_the_program_the_time_to_stop() -> None:
    """The catalog's notice, the requests under way, the database's checkpoint."""
    settings = Settings()
    for unit in UNITS:
        found = re.search(r"^TimeoutStopSec=(\d+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
        assert found is None or int(found[1]) > settings.shutdown_notice_s + settings.shutdown_s + 60


def test_the_image_copies_what_is_there_and_all_that_the_program_is() -> None:
    copied = [source for word, rest in instructions() if word == "COPY" for source in shlex.split(rest)[:-1]]
    assert [each for each in copied if not (ROOT / each).exists()] == []
    packages = re.search(r"^packages = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert packages is not None
    assert {each.strip(' "') for each in packages[1].split(",")} <= set(copied)
    assert {"sql", "requirements.lock", "pyproject.toml", "scripts/setup", "scripts/viewer"} <= set(copied)


def test_the_image_starts_what_there_is_where_its_settings_say() -> None:
    steps = dict(instructions())
    assert steps["ENTRYPOINT"] == f'["{PROGRAM}"]'
    assert steps["CMD"].strip('[]"') in commands()
    assert steps["EXPOSE"] == str(Settings().port)
    assert f"127.0.0.1:{Settings().port}/api/live" in steps["HEALTHCHECK"]
    named = set(re.findall(r"PANOFED_([A-Z_]+)=", steps["ENV"]))
    assert named and named <= {name.upper() for name in Settings.model_fields}
    assert steps["USER"] not in ("root", "0")


def test_what_a_container_keeps_is_in_its_volumes() -> None:
    steps = dict(instructions())
    for place in re.findall(r"PANOFED_(?:DATA_DIR|INSTANCES_FILE)=(\S+)", steps["ENV"]):
        assert any(place.startswith(volume.strip(' "')) for volume in steps["VOLUME"].strip("[]").split(","))
