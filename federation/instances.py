"""Who is harvested: instances.yaml read and checked, and the table `instances` brought in line with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from federation.database import Connection, Row, explained
from federation.errors import InstancesFileError
from federation.instances_fields import READERS, REQUIRED, WrongValue, clip, near, shown
from federation.instances_file import compose, is_empty, line_of, pairs, read_text
from federation.place import place_of
from federation.queries import query

#: Why an instance is paused whose entry is gone; only this reason is lifted when the entry comes back.
VANISHED = "its entry vanished from instances.yaml"

#: A wrong file of 1 MB can have 300,000 problems; nobody reads so many.
_PROBLEMS_TOLD = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceEntry:
    """One entry of instances.yaml. `id` never changes and is the identity; `name` and `url` may change.

    `pictures` says how large it was when the entry was written; `requests_per_s` (0: no limit) and `concurrency`
    replace the settings of the same name for this instance, and so does `cadence_s`; in `quiet_hours` ("22:00-06:00",
    UTC) no visit begins; `asset_hosts` are where else its pictures lie; `line` is where the entry starts.
    """

    id: str
    name: str
    url: str
    enabled: bool = False
    pictures: int | None = None
    requests_per_s: float | None = None
    concurrency: int | None = None
    cadence_s: float | None = None
    quiet_hours: str = ""
    asset_hosts: tuple[str, ...] = ()
    contact: str = ""
    note: str = ""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceChange:
    """One field of one instance that the file changed in the table."""

    id: str
    name: str
    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What the file changed in the table; names, but for `changed`."""

    added: tuple[str, ...] = ()
    changed: tuple[InstanceChange, ...] = ()
    paused: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.paused or self.resumed)


@dataclass(frozen=True, slots=True)
class _Problem:
    line: int
    field: str
    said: str


# --- reading the file ---------------------------------------------------------------------------------------------


def load_instances(path: Path) -> tuple[InstanceEntry, ...]:
    """All entries of instances.yaml, in its order; an empty file has none.

    InstancesFileError has every problem found, each with file, line and field.
    """
    return parse_instances(read_text(path), path)


def parse_instances(text: str, path: Path = Path("instances.yaml")) -> tuple[InstanceEntry, ...]:
    """The entries of a text; `path` is what errors call it.

    >>> [entry.url for entry in parse_instances("instances: [{id: a, name: a, url: 'https://a.example/api/'}]")]
    ['https://a.example/api']
    >>> parse_instances("instances: [{id: a, nam: a, url: 'https://a.example/api/'}]")
    Traceback (most recent call last):
    ...
    federation.errors.InstancesFileError: instances.yaml:1: nam: is not a field of an instance: did you mean 'name'?
    instances.yaml:1: name: is missing
    """
    problems: list[_Problem] = []
    entries = list(_entries(compose(text, path), problems))
    problems.extend(_duplicates(entries))
    if problems:
        raise _told(sorted(problems, key=lambda problem: problem.line), path)
    return tuple(entries)


def entry_nodes(root: yaml.Node | None) -> list[yaml.MappingNode]:
    """The nodes of the entries of a file that load_instances accepts: for those who edit the text in place."""
    if not isinstance(root, yaml.MappingNode):
        return []
    lists = (value for key, _, value in pairs(root) if key == "instances" and isinstance(value, yaml.SequenceNode))
    return [node for items in lists for node in items.value if isinstance(node, yaml.MappingNode)]


def _told(problems: Sequence[_Problem], path: Path) -> InstancesFileError:
    told = [InstancesFileError(path, p.line, p.field, p.said) for p in problems[:_PROBLEMS_TOLD]]
    if len(problems) > len(told):
        told.append(InstancesFileError(path, 0, "", f"and {len(problems) - len(told):,} more problems"))
    first = told[0]
    return InstancesFileError(path, first.line, first.field, first.problem, told[1:])


def _entries(root: yaml.Node | None, problems: list[_Problem]) -> Iterator[InstanceEntry]:
    if root is None or is_empty(root):
        return
    if not isinstance(root, yaml.MappingNode):
        problems.append(_Problem(line_of(root), "", "the file must hold 'instances:' and a list under it"))
        return
    found = _fields(root, ("instances",), "of this file", problems)
    items = found.get("instances")
    if items is None or is_empty(items):
        return
    if not isinstance(items, yaml.SequenceNode):
        problems.append(_Problem(line_of(items), "instances", f"must be a list of entries, not {shown(items)}"))
        return
    for node in items.value:
        entry = _entry(node, problems)
        if entry is not None:
            yield entry


def _entry(node: yaml.Node, problems: list[_Problem]) -> InstanceEntry | None:
    if not isinstance(node, yaml.MappingNode):
        problems.append(_Problem(line_of(node), "instances", f"an entry must have fields, not be {shown(node)}"))
        return None
    known = len(problems)
    found = _fields(node, tuple(READERS), "of an instance", problems)
    values: dict[str, Any] = {}
    for name, read in READERS.items():
        value = found.get(name)
        if value is None or is_empty(value):
            if name in REQUIRED:
                problems.append(_Problem(line_of(value or node), name, "is missing"))
            continue
        try:
            values[name] = read(value)
        except WrongValue as wrong:
            problems.append(_Problem(line_of(value), name, str(wrong)))
    return None if len(problems) > known else InstanceEntry(**values, line=line_of(node))


def _fields(
    node: yaml.MappingNode, known: tuple[str, ...], whose: str, problems: list[_Problem]
) -> Mapping[str, yaml.Node]:
    lines: dict[str, int] = {}
    found: dict[str, yaml.Node] = {}
    for name, key, value in pairs(node):
        if name in lines:
            problems.append(_Problem(line_of(key), clip(name), f"is there twice: first in line {lines[name]}"))
        elif name not in known:
            problems.append(_Problem(line_of(key), clip(name), f"is not a field {whose}{near(name[:50], known)}"))
        else:
            found[name] = value
        lines.setdefault(name, line_of(key))
    return found


def _duplicates(entries: Sequence[InstanceEntry]) -> Iterator[_Problem]:
    for name in ("id", "name", "url"):
        first: dict[str, int] = {}
        for entry in entries:
            value = getattr(entry, name)
            if value in first:
                said = f"{value!r} is used twice: by the entries of lines {first[value]} and {entry.line}"
                yield _Problem(entry.line, name, said)
            first.setdefault(value, entry.line)


# --- the file into the table --------------------------------------------------------------------------------------


async def sync_instances(
    connection: Connection, entries: Sequence[InstanceEntry], path: Path = Path("instances.yaml")
) -> SyncReport:
    """Bring the table in line with the file, in one transaction: add, change, pause what vanished; never delete.

    What a person or the brake stopped stays stopped. Two processes at once are safe: one waits for the other.
    InstancesFileError when an entry is at the address of an instance that came by registration; `path` is for it.
    """
    async with explained("reading instances.yaml into the database"), connection.transaction():
        await connection.execute(query("lock_registry"))
        rows: dict[str, Row] = {row["id"]: row for row in await connection.fetch(query("read_registry"))}
        wanted = {entry.id: entry for entry in entries}
        _refuse_registered(rows, wanted, path)
        absent = [row for row in rows.values() if row["id"] not in wanted]
        renamed = await _free_names(connection, rows, wanted)
        changed = [*renamed, *[change for entry in entries for change in _changes(rows.get(entry.id), entry)]]
        resumed = [entry.name for entry in entries if entry.id in rows and _has_vanished(rows[entry.id])]
        for entry in entries:
            await _write(connection, entry, rows.get(entry.id))
        paused = [row for row in absent if row["source"] == "file" and row["state"] in ("enabled", "disabled")]
        for row in paused:
            await connection.execute(query("set_instance_state"), row["n"], "paused", VANISHED)
        return SyncReport(
            added=tuple(entry.name for entry in entries if entry.id not in rows),
            changed=tuple(changed),
            paused=tuple(row["name"] for row in paused),
            resumed=tuple(resumed),
        )


def _refuse_registered(rows: Mapping[str, Row], wanted: Mapping[str, InstanceEntry], path: Path) -> None:
    """One instance under two identities would be harvested twice."""
    here = [row for row in rows.values() if row["source"] == "registered" and row["state"] != "left"]
    registered = {place_of(row["url"]): row for row in here}
    problems = []
    for entry in wanted.values():
        row = registered.get(place_of(entry.url))
        if row is not None and row["id"] not in wanted:
            said = f"{clip(entry.url)!r} was registered as {row['name']!r}: to rule it here use its id, {row['id']}"
            problems.append(_Problem(entry.line, "url", said))
    if problems:
        raise _told(problems, path)


def _has_vanished(row: Row) -> bool:
    return bool(row["state"] == "paused" and row["state_reason"] == VANISHED)


def state_of(entry: InstanceEntry) -> str:
    """The state an entry asks for, where nobody paused the instance and no brake holds it."""
    return "enabled" if entry.enabled else "disabled"


def asked_state(path: Path, instance: str) -> str:
    """The state that the file asks for an instance, by its id: for who resumes it elsewhere than where it is read.

    Where the file is not on this machine it is enabled: its entry has the last word at the next reading.
    """
    if not path.exists():
        return "enabled"
    entry = next((entry for entry in load_instances(path) if entry.id == instance), None)
    return "disabled" if entry is None else state_of(entry)


#: States that an entry does not change: a person, the brake or its operator said so.
STAYS = ("paused", "braked", "leaving", "left")


def _state(entry: InstanceEntry, row: Row | None) -> tuple[str, str]:
    if row is not None and row["state"] in STAYS and not _has_vanished(row):
        return row["state"], row["state_reason"]
    return state_of(entry), ""


def _values(entry: InstanceEntry, row: Row | None) -> dict[str, Any]:
    state, reason = _state(entry, row)
    return {
        "name": entry.name,
        "url": entry.url,
        "state": state,
        "state_reason": reason,
        "requests_per_s": entry.requests_per_s,
        "concurrency": entry.concurrency,
        "contact": entry.contact,
        "source": "file",
        "cadence_s": entry.cadence_s,
        "quiet_hours": entry.quiet_hours,
        "asset_hosts": list(entry.asset_hosts),
    }


def _same(before: Any, after: Any) -> bool:
    # `real` keeps 24 bits: 0.1 comes back as 0.10000000149
    if isinstance(before, float) and isinstance(after, float):
        return math.isclose(before, after, rel_tol=1e-6)
    return bool(before == after)


def _changes(row: Row | None, entry: InstanceEntry) -> Iterator[InstanceChange]:
    if row is None:
        return
    for name, after in _values(entry, row).items():
        if name != "state_reason" and not _same(row[name], after):
            yield InstanceChange(
                id=entry.id, name=entry.name, field=name, before=_told_value(row[name]), after=_told_value(after)
            )


def _told_value(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value or "")


async def _write(connection: Connection, entry: InstanceEntry, row: Row | None) -> None:
    values = _values(entry, row)
    if row is None:
        await connection.execute(query("add_instance"), entry.id, *values.values())
    elif any(not _same(row[name], value) for name, value in values.items()):
        await connection.execute(query("change_instance"), row["n"], *values.values())


async def _free_names(
    connection: Connection, rows: Mapping[str, Row], wanted: Mapping[str, InstanceEntry]
) -> list[InstanceChange]:
    """Names are unique at every moment: those that change go to a name no entry can have, so that two can be swapped.

    An instance without an entry gives its name up to an entry that wants it.
    """
    taken = {row["name"] for row in rows.values()} | {entry.name for entry in wanted.values()}
    asked = {entry.name for entry in wanted.values()}
    changes = []
    for row in rows.values():
        entry = wanted.get(row["id"])
        if entry is not None and entry.name != row["name"]:
            await connection.execute(query("rename_instance"), row["n"], f"#{row['n']}")
        elif entry is None and row["name"] in asked:
            free = next(name for name in (f"{row['name']}-{i}" for i in range(2, 100_000)) if name not in taken)
            taken.add(free)
            await connection.execute(query("rename_instance"), row["n"], free)
            changes.append(InstanceChange(id=row["id"], name=free, field="name", before=row["name"], after=free))
    return changes
