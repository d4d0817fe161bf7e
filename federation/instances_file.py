"""The text of instances.yaml as YAML nodes: every fault is told with its line, and nothing in the file can hurt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from federation.errors import InstancesFileError

FILE_BYTES_MAX = 1_000_000
#: The file, its list, one entry: nothing is nested deeper, and PyYAML recurses once per level.
_DEPTH_MAX = 8


class _Refused(yaml.MarkedYAMLError):
    """YAML that is legal and not wanted here."""


class _Loader(yaml.SafeLoader):
    """Composes nodes and constructs nothing. Aliases are refused: a few lines of them unfold to gigabytes."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise _Refused(problem="anchors and aliases (& and *) are not allowed", problem_mark=event.start_mark)
        if self.depth >= _DEPTH_MAX:
            raise _Refused(problem="this is nested too deeply", problem_mark=event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def read_text(path: Path) -> str:
    """The file's text, line ends as they are; InstancesFileError if it is missing, too large or not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InstancesFileError(path, 0, "", f"cannot be read: {error.strerror or error}") from error
    if len(content) > FILE_BYTES_MAX:
        raise InstancesFileError(path, 0, "", f"is larger than {FILE_BYTES_MAX:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InstancesFileError(path, line, "", f"byte 0x{content[error.start]:02x} is not UTF-8 text") from error


def compose(text: str, path: Path) -> yaml.Node | None:
    """The root node, None for an empty file; InstancesFileError names the line of a syntax fault."""
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InstancesFileError(path, line, "", f"character {error.character!r} is not allowed") from error
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise InstancesFileError(path, line_of_mark(mark, loader), "", f"not YAML: {said}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        # PyYAML lets int() and chr() speak for themselves: "\\UFFFFFFFF" in quotes, "%YAML 1.<5,000 digits>"
        raise InstancesFileError(path, loader.line + 1, "", f"not YAML: {error}") from error
    finally:
        loader.dispose()


def line_of_mark(mark: yaml.Mark | None, loader: _Loader) -> int:
    """Lines are counted from 1; a fault without a mark is where the reader stands."""
    return (loader.line if mark is None else mark.line) + 1


def line_of(node: yaml.Node) -> int:
    """The line a node starts on, counted from 1."""
    return node.start_mark.line + 1


def is_empty(node: yaml.Node | None) -> bool:
    """Nothing there, or `null`."""
    return node is None or node.tag == "tag:yaml.org,2002:null"


def pairs(node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """(key, its node, the value's node); a key that is no plain text comes as what it is, to be refused by name."""
    for key, value in node.value:
        yield key.value if isinstance(key, yaml.ScalarNode) else "(a list or a mapping)", key, value
