"""Filters as clients write them, CQL2 text or JSON, read into one JSON tree whose size is bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cql2
import orjson

from catalog_api.edge.responses import BadRequest

#: Longer text than this is refused; what is longer is machine-made and can be sent as JSON.
TEXT_BYTES_MAX = 8_192
#: A filter with a geometry of 2,000 vertices fits.
JSON_BYTES_MAX = 200_000
#: The parser's own stack ends at 1,600 parentheses or 20,000 NOT, and takes the process with it.
DEPTH_MAX = 32
#: Operators, functions and names. Values in lists and coordinates are not counted; bytes bound those.
TERMS_MAX = 200
#: Where a text is wrong, the parser tries what is in parentheses twice, in every pair anew: 0.5 us a token, doubled by
#: each pair. Twenty pairs around one mistake took 2.4 s, 32 would take hours. This is 0.1 s.
_TRIES_MAX = 200_000

TEXT, JSON = "cql2-text", "cql2-json"
_LANGUAGES = (TEXT, JSON)
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|[A-Za-z_][\w:.|-]*|[\d.]+|[()]|[-+*/^%<>=!|]+|[^\s]""")

#: A tree: objects with `op` and `args`, `property`, literals.
Tree = Any


def read_filter(parameter: str, asked: object, lang: object) -> Tree:
    """The tree of a filter given as text or as JSON; BadRequest says what is wrong with it."""
    check_language(lang)
    tree = asked
    if isinstance(asked, str):
        tree = _read_json(parameter, asked) if lang == JSON else _read_text(parameter, asked)
    elif lang == TEXT:
        raise BadRequest("filter-lang", lang, "the filter is not a text")
    if not isinstance(tree, dict | bool):
        raise BadRequest(parameter, asked, "is neither a CQL2 text nor a CQL2 object")
    check_tree(parameter, tree)
    return tree


def check_language(lang: object) -> None:
    """Refuse a language that is not read here, also where there is no filter in it."""
    if lang not in (None, "", *_LANGUAGES):
        raise BadRequest("filter-lang", lang, f"is not one of {', '.join(_LANGUAGES)}")


def _read_json(parameter: str, asked: str) -> Tree:
    if len(asked) > JSON_BYTES_MAX:
        raise BadRequest(parameter, asked, f"is longer than {JSON_BYTES_MAX} bytes")
    try:
        return orjson.loads(asked)
    except orjson.JSONDecodeError as error:
        raise BadRequest(parameter, asked, f"is not JSON: {error}") from error


def _read_text(parameter: str, asked: str) -> Tree:
    scan_text(parameter, asked)
    try:
        return cql2.parse_text(asked).to_json()
    except (cql2.ParseError, cql2.ValidationError, ValueError) as error:
        raise BadRequest(parameter, asked, f"is not CQL2: {_first_lines(error)}") from error


def _first_lines(error: Exception) -> str:
    """What the parser says, without the filter repeated in it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    place = lines[0].removeprefix("--> ") if lines else ""
    wanted = next((line.removeprefix("= ") for line in lines if line.startswith("= ")), "it cannot be read")
    return f"at {place}: {wanted}"[:300]


def scan_text(parameter: str, text: str) -> None:
    """Refuse what the parser must not see; BadRequest.

    >>> scan_text("filter", "(" * 40 + "a = 1" + ")" * 40)
    Traceback (most recent call last):
    ...
    catalog_api.edge.responses.BadRequest: filter: has parentheses nested more than 32 deep
    """
    if len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:
        raise BadRequest(parameter, text, f"is longer than {TEXT_BYTES_MAX} bytes: send it as {JSON}")
    if any(ord(letter) < 32 and letter not in "\t\n\r" for letter in text):
        raise BadRequest(parameter, text, "has a control character")
    size = _measure(text)
    if size.depth > DEPTH_MAX:
        raise BadRequest(parameter, text, f"has parentheses nested more than {DEPTH_MAX} deep")
    if not size.is_balanced:
        raise BadRequest(parameter, text, "has parentheses that do not match")
    if size.terms > TERMS_MAX:
        raise BadRequest(parameter, text, f"has more than {TERMS_MAX} terms")
    if size.tokens << size.depth > _TRIES_MAX:
        raise BadRequest(parameter, text, f"is nested too deep for its length: use fewer parentheses, or {JSON}")


@dataclass(slots=True)
class _Size:
    """How large a text is: `depth` of parentheses, or of NOT and signs in a row."""

    depth: int = 0
    tokens: int = 0
    terms: int = 0
    is_balanced: bool = True


def _measure(text: str) -> _Size:
    size, depth, row = _Size(), 0, 0
    for token in _TOKEN.findall(text):
        size.tokens += 1
        is_sign = token[0] in "-+"
        depth += (token == "(") - (token == ")")
        row = row + len(token) if is_sign else row + 1 if token.upper() == "NOT" else 0
        size.depth = max(size.depth, depth, row)
        size.is_balanced &= depth >= 0
        if token[0] not in "'(),." and not token[0].isdigit():
            size.terms += len(token) if is_sign else 1
    size.is_balanced &= depth == 0
    return size


def check_tree(parameter: str, tree: Tree) -> None:
    """Refuse a tree that is too deep or too large; BadRequest. It does not recurse, so any depth is safe."""
    terms = values = 0
    level: list[Any] = [tree]
    depth = 0
    while level:
        # operators and lists alternate
        if depth > 2 * DEPTH_MAX:
            raise BadRequest(parameter, tree, f"is nested more than {DEPTH_MAX} deep")
        terms += sum("op" in node or "property" in node for node in level if isinstance(node, dict))
        values += len(level)
        if terms > TERMS_MAX:
            raise BadRequest(parameter, tree, f"has more than {TERMS_MAX} terms")
        if values > JSON_BYTES_MAX // 8:
            raise BadRequest(parameter, tree, "has too many values")
        level = [below for node in level for below in _below(node)]
        depth += 1


def _below(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node
