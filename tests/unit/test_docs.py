"""The documentation names everything that exists and nothing that does not."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from starlette.routing import Route

from catalog_api.app import routes
from federation.record import ADDED_WHEN_ABSENT
from federation.settings import Settings
from panofed.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for folder in (ROOT, ROOT / "docs", ROOT / "docs/decisions", ROOT / "bench") for path in folder.glob("*.md")
)
SETTINGS_PAGE = ROOT / "docs/settings.md"
#: | `PANOFED_X` | `default` | ...
SETTING_ROW = re.compile(r"^\| `PANOFED_([A-Z0-9_]+)` \|([^|]*)\|", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MAKE_COMMAND = re.compile(r"\bmake ([a-z]+(?: [a-z]+)*)")
PROGRAM_COMMAND = re.compile(r"`?panofed ((?:[a-z]+ ?)+)")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_of(page: str) -> str:
    """What is written as code: fenced blocks and `words`."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", page)])


def commands() -> Iterator[str]:
    """Every command of the program, such as "db start"."""

    def walk(command: Any, prefix: str) -> Iterator[str]:
        if not hasattr(command, "list_commands"):
            yield prefix
            return
        for name in command.list_commands(None):
            yield from walk(command.get_command(None, name), f"{prefix} {name}".strip())

    return walk(typer.main.get_command(app), "")


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def default_shown(value: object) -> str:
    """A default as the page writes it.

    >>> default_shown(5000), default_shown(45.0), default_shown(""), default_shown((80, 443))
    ('`5000`', '`45`', '', '`[80, 443]`')
    """
    if value == "":
        return ""
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value:g}`" if isinstance(value, float) and value < 1e5 else f"`{value}`".replace(".0`", "`")


def test_every_setting_is_documented_with_its_default() -> None:
    documented = dict(SETTING_ROW.findall(SETTINGS_PAGE.read_text(encoding="utf-8")))
    real = {name.upper(): default_shown(field.default) for name, field in Settings.model_fields.items()}
    assert {name: default.strip() for name, default in documented.items()} == real


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_a_page_names_exists(page: Path) -> None:
    # two more variables belong to the tests and the measurements, not to the program
    known = {f"PANOFED_{name.upper()}" for name in Settings.model_fields} | {"PANOFED_TEST_CACHE", "PANOFED_BENCH_DIR"}
    assert set(re.findall(r"PANOFED_[A-Z0-9_]*[A-Z0-9]", page.read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_is_documented(command: str) -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert f"panofed {command}" in pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_a_page_names_exists(page: Path) -> None:
    code = code_of(page.read_text(encoding="utf-8"))
    real = {" ".join(command.split()[:words]) for command in commands() for words in (1, 2, 3)}
    for words in PROGRAM_COMMAND.findall(code):
        first_two = " ".join(words.split()[:2])
        assert first_two in real or words.split()[0] in real - {"db", "instances"}, f"panofed {words}"


@pytest.mark.parametrize("path", sorted({route.path for route in routes() if isinstance(route, Route)}))
def test_every_route_is_documented(path: str) -> None:
    assert f"`{path}`" in text_of("docs/api.md")


def test_every_route_the_page_names_exists() -> None:
    real = {route.path for route in routes() if isinstance(route, Route)}
    named = set(re.findall(r"^\| (?:GET, POST |GET )?`(/[^`]*)`", text_of("docs/api.md"), re.MULTILINE))
    assert named == real


@pytest.mark.parametrize("key", sorted(ADDED_WHEN_ABSENT))
def test_every_key_that_is_added_is_documented(key: str) -> None:
    value = ADDED_WHEN_ABSENT[key].decode()
    assert re.search(rf"^\| `{re.escape(key)}` \| `{re.escape(value)}` \|", text_of("docs/api.md"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_relative_link_is_dead(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        linked = page if path == "" else page.parent / path
        assert linked.exists(), f"{page.name} links to {target}"
        assert not heading or heading in anchors(linked), f"{page.name} links to {target}: no such heading"


def test_every_decision_is_numbered_once_and_listed() -> None:
    names = [path.name for path in (ROOT / "docs/decisions").glob("0*.md")]
    assert len({name[:4] for name in names}) == len(names)
    listed = text_of("docs/decisions/README.md")
    assert all(f"({name})" in listed for name in names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_command_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    for line in MAKE_COMMAND.findall(code_of(page.read_text(encoding="utf-8"))):
        assert set(line.split()) <= targets, f"make {line}"


def test_every_make_target_has_its_help() -> None:
    makefile = text_of("Makefile")
    targets = re.findall(r"^([a-z]+):(.*)$", makefile, re.MULTILINE)
    assert targets[0][0] == "help"
    assert all("## " in rest for _, rest in targets)
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == {name for name, _ in targets}


def test_the_gate_runs_what_the_readme_says() -> None:
    assert "make lint test" in code_of(text_of("README.md"))
    gate = text_of(".ci/run")
    assert "lint" in gate and "test" in gate


def test_the_changelog_has_this_version() -> None:
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    assert re.search(rf"^## \[{re.escape(version)}\]", text_of("CHANGELOG.md"), re.MULTILINE)


def test_the_lock_names_no_index_and_pins_everything_with_hashes() -> None:
    lock = text_of("requirements.lock")
    assert "://" not in lock and "--index" not in lock and "--find-links" not in lock
    requirements = re.split(r"\n(?=\S)", lock.strip())
    assert all("==" in each and "--hash=sha256:" in each for each in requirements)


def test_the_lock_holds_every_dependency() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))
    groups = project["dependency-groups"].values()
    wanted = [
        *project["project"]["dependencies"],
        *(each for group in groups for each in group if isinstance(each, str)),
    ]
    locked = set(re.findall(r"^([a-z0-9.-]+)==", text_of("requirements.lock"), re.MULTILINE))
    names = {re.split(r"[\[<>=!~ ;]", each, maxsplit=1)[0].lower().replace("_", "-") for each in wanted}
    assert names <= locked, "make lock"
