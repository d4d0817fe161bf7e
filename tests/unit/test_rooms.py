"""The rooms and their doors: who may import whom, who may open connections, where SQL and output belong."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("federation", "harvester", "catalog_api", "panofed")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts)
#: Room to the rooms it may import from, besides itself.
DOORS = {
    "federation": set[str](),
    "harvester": {"federation"},
    "catalog_api": {"federation"},
    "panofed": {"federation", "harvester", "catalog_api"},
}
#: Library to where it may be imported.
KEEPERS = {
    "starlette": re.compile(r"catalog_api/"),
    "uvicorn": re.compile(r"catalog_api/"),
    "aiohttp": re.compile(r"federation/outbound\w*\.py|harvester/"),
    "apscheduler": re.compile(r"harvester/schedule\.py"),
    "pgqueuer": re.compile(r"harvester/queue\.py"),
    "rustac": re.compile(r"panofed/exports/"),
    "arro3": re.compile(r"panofed/exports/"),
    "h3": re.compile(r"federation/cells\.py"),
    "jinja2": re.compile(r"catalog_api/web/pages\.py"),
    "pystac_client": re.compile(r"harvester/"),
    # the demo's own servers and the readiness of the own service, on loopback
    "urllib.request": re.compile(r"panofed/demo/api\.py|panofed/services\.py"),
    # serve.py listens with its own
    "socket": re.compile(r"federation/outbound\w*\.py|federation/addresses\.py|catalog_api/serve\.py|panofed/"),
    "requests": re.compile(r"never"),
    "httpx": re.compile(r"never"),
    "httpx2": re.compile(r"never"),
    "urllib3": re.compile(r"never"),
    "http.client": re.compile(r"never"),
    "ftplib": re.compile(r"never"),
    "smtplib": re.compile(r"never"),
    "aiosmtplib": re.compile(r"federation/outbound_mail\.py"),
}
SQL = re.compile(
    r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|TRUNCATE|GRANT)\s+[\w(*]+", re.ASCII
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> Iterator[str]:
    """Modules imported anywhere in the file, inside functions too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_or_below(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_through_its_doors(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    wrong = {
        module
        for module in imports_of(path)
        for other in (*ROOMS, "bench", "tests")
        if other != room and other not in DOORS[room] and is_or_below(module, other)
    }
    assert not wrong, f"{name_of(path)} imports {wrong}"


@pytest.mark.parametrize("library", KEEPERS)
def test_a_library_is_imported_only_where_it_is_kept(library: str) -> None:
    wrong = [
        name_of(path)
        for path in MODULES
        if any(is_or_below(module, library) for module in imports_of(path))
        and not KEEPERS[library].match(name_of(path))
    ]
    assert wrong == []


#: The rooms of the catalog from the ground up: each imports only from those before it.
FLOORS = (
    "edge", "index", "watch", "query", "search", "tiles", "answers", "access", "openapi", "web", "routes", "app",
    "serve",
)  # fmt: skip
#: Modules that stand beside a room, on its floor.
BESIDE = {"state": "answers", "slots": "edge", "memory": "edge"}


def test_the_rooms_of_the_catalog_import_downwards() -> None:
    def floor(module: str) -> int:
        room = module.split(".")[1]
        return FLOORS.index(BESIDE.get(room, room))

    wrong = [
        f"{name_of(path)} imports {module}"
        for path in MODULES
        if path.is_relative_to(ROOT / "catalog_api") and path.name != "__init__.py"
        for module in imports_of(path)
        if module.startswith("catalog_api.")
        if floor(module) > floor(name_of(path).removesuffix(".py").replace("/", "."))
    ]
    assert wrong == []


def _declared() -> set[str]:
    """Names of the distributions that pyproject.toml asks for itself, not through another one."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return {re.split(r"[^\w-]", line)[0].lower() for line in wanted}


def test_every_library_that_is_imported_is_declared() -> None:
    """One that is only in this environment, by hand or through another library, is missing at the next one's."""
    at_home = packages_distributions()
    tops = {module.split(".")[0] for path in MODULES for module in imports_of(path)} - {*ROOMS}
    undeclared = {
        top
        for top in tops - set(sys.stdlib_module_names)
        if not {name.lower().replace("_", "-") for name in at_home.get(top, [])} & (_declared() | {"pydantic"})
    }
    assert undeclared == set()


def test_only_outbound_opens_outgoing_connections() -> None:
    """aiohttp's client is made nowhere else, and asyncio's own way out is not taken."""
    openers = {"ClientSession", "TCPConnector", "open_connection", "create_connection", "urlopen"}
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute)
        and node.attr in openers
        and not re.match(r"federation/outbound\w*\.py|panofed/demo/api\.py|panofed/services\.py", name_of(path))
    ]
    assert wrong == []


def _needed(path: Path) -> set[str]:
    """As `imports_of`, but `from package import module` needs the module, not the package's names."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in below if (ROOT / (name.replace(".", "/") + ".py")).exists()}
            found |= modules | ({node.module or ""} if len(modules) < len(below) else set())
    return found


def test_no_module_imports_itself_by_a_detour() -> None:
    modules = {name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in MODULES}
    needs = {name: _needed(path) & set(modules) - {name} for name, path in modules.items()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in sorted(needs[name]):
                walk(other, (*trail, name))
            done.add(name)

    for name in modules:
        walk(name, ())


def test_nothing_prints() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "breakpoint")
    ]
    assert wrong == []


def _texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """Texts of the program, docstrings left out."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, holders) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node


#: Statements that no file of named queries can hold, with the reason.
SQL_IN_PYTHON = {
    # administration of a cluster: names of databases and roles cannot be parameters
    "panofed/cluster",
    "panofed/db_cli.py",
    "panofed/demo",
}


def test_sql_is_in_sql_files() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}: {str(node.value)[:60]}"
        for path in MODULES
        if not name_of(path).startswith(tuple(SQL_IN_PYTHON))
        for node in _texts(tree_of(path))
        if SQL.match(str(node.value)) and "pg_advisory_lock" not in str(node.value)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_for_and_stays_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(tree_of(path)), f"{name_of(path)} has no docstring"
    assert text.count("\n") <= 400, f"{name_of(path)} has {text.count(chr(10))} lines"
    assert "from __future__ import annotations" in text or not tree_of(path).body[1:], name_of(path)
