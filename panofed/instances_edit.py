"""Edits the text of instances.yaml in place: comments, order and layout stay as their author wrote them."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from federation.errors import ConfigurationError
from federation.instances import InstanceEntry, entry_nodes, parse_instances
from federation.instances_file import compose, is_empty, pairs, read_text

Edit = Callable[[str, Path], str]


def edit_file(path: Path, edit: Edit, expected: Sequence[InstanceEntry]) -> None:
    """Apply an edit to the file, whole or not at all; ConfigurationError if the result is not what was `expected`.

    The second reading is the safety belt: YAML has more ways to write a list than an edit in place can know.
    """
    text = read_text(path)
    changed = edit(text, path)
    if parse_instances(changed, path) != tuple(expected):
        raise ConfigurationError(f"{path} is laid out in a way this command cannot edit: please edit it by hand")
    if changed != text:
        write_whole(path, changed)


def write_whole(path: Path, text: str) -> None:
    """Replace a file by a new one in one step, with the old one's rights; a crash leaves the old or the new one."""
    target = path.resolve()
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with fresh.open("xb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            status = target.stat()
            fresh.chmod(status.st_mode & 0o7777)
            if (status.st_uid, status.st_gid) != (fresh.stat().st_uid, fresh.stat().st_gid):
                os.chown(fresh, status.st_uid, status.st_gid)
        fresh.replace(target)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        fresh.unlink(missing_ok=True)


def set_enabled(name: str, enabled: bool) -> Edit:
    """An edit that sets `enabled` of one entry.

    >>> text = "instances:\\n- id: a # x\\n  name: a\\n  url: https://a.example\\n  enabled: no   # why\\n"
    >>> print(set_enabled("a", True)(text, Path("i.yaml")).splitlines()[-1])
      enabled: true   # why
    """
    word = "true" if enabled else "false"

    def edit(text: str, path: Path) -> str:
        node = _node(text, path, name)
        for key, key_node, value in pairs(node):
            if key == "enabled" and not (is_empty(value) and value.start_mark.index == value.end_mark.index):
                return text[: value.start_mark.index] + word + text[value.end_mark.index :]
            if key == "enabled":
                return _insert(text, key_node.end_mark.index + 1, f" {word}")
        first = node.value[0][0].start_mark
        separator = ", " if node.flow_style else _newline(text) + " " * first.column
        return _insert(text, first.index, f"enabled: {word}{separator}")

    return edit


def append_entry(entry: InstanceEntry) -> Edit:
    """An edit that puts an entry at the end of the list."""

    def edit(text: str, path: Path) -> str:
        newline = _newline(text)
        nodes = entry_nodes(compose(text, path))
        if nodes:
            column, at = _dash(text, nodes[-1])[1], _end(text, nodes[-1])
        else:
            text, at = _with_empty_list(text, path)
            column = 2
        if at and text[at - 1] != "\n":
            text, at = _insert(text, at, newline), at + len(newline)
        return _insert(text, at, _written(entry, column, newline))

    return edit


def remove_entry(name: str) -> Edit:
    """An edit that takes one entry out, with the comments inside it."""

    def edit(text: str, path: Path) -> str:
        node = _node(text, path, name)
        dash = _dash(text, node)[0]
        start = text.rfind("\n", 0, dash) + 1
        if not text[start:dash].isspace() and start != dash:
            # "instances: [{...}]": the check of edit_file tells the person
            return text
        return text[:start] + text[_end(text, node) :]

    return edit


def _node(text: str, path: Path, name: str) -> yaml.MappingNode:
    for node in entry_nodes(compose(text, path)):
        if any(key == "name" and value.value == name for key, _, value in pairs(node)):
            return node
    raise ConfigurationError(f"{path} has no entry named {name!r}")


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _insert(text: str, at: int, addition: str) -> str:
    return text[:at] + addition + text[at:]


def _dash(text: str, node: yaml.MappingNode) -> tuple[int, int]:
    """Where the dash before an entry stands: index and column."""
    index = len(text[: node.start_mark.index].rstrip()) - 1
    return index, index - (text.rfind("\n", 0, index) + 1)


def _end(text: str, node: yaml.MappingNode) -> int:
    """Index of the line after the last value of an entry."""
    last = max(value.end_mark.index for _, _, value in pairs(node))
    if last and text[last - 1] == "\n":
        return last
    found = text.find("\n", last)
    return len(text) if found < 0 else found + 1


def _with_empty_list(text: str, path: Path) -> tuple[str, int]:
    """A file without entries, made ready for the first one: the text, and where the entry goes."""
    root = compose(text, path)
    newline = _newline(text)
    if not isinstance(root, yaml.MappingNode):
        text = text if not text or text.endswith("\n") else text + newline
        text += f"instances:{newline}"
        return text, len(text)
    key, value = next((key, value) for name, key, value in pairs(root) if name == "instances")
    text = text[: key.end_mark.index] + ":" + text[max(value.end_mark.index, key.end_mark.index + 1) :]
    found = text.find("\n", key.end_mark.index)
    return text, len(text) if found < 0 else found + 1


_OPTIONAL = ("pictures", "requests_per_s", "concurrency", "cadence_s", "quiet_hours", "asset_hosts", "contact", "note")


def _written(entry: InstanceEntry, column: int, newline: str) -> str:
    fields: dict[str, object] = {"id": entry.id, "name": entry.name, "url": entry.url, "enabled": entry.enabled}
    fields |= {name: getattr(entry, name) for name in _OPTIONAL}
    lines = [f"{name}: {_scalar(value)}" for name, value in fields.items() if value not in (None, "", ())]
    indent = " " * column
    return f"{indent}- " + f"{newline}{indent}  ".join(lines) + newline


def _scalar(value: object) -> str:
    if isinstance(value, str) and _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Whether YAML reads the text back as itself without quotes: not so `no`, `12` or `a: b`."""
    try:
        return bool(yaml.safe_load(f"- {text}") == [text])
    except (yaml.YAMLError, ValueError):
        return False
