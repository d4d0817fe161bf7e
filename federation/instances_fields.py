"""The fields of an entry of instances.yaml: from a YAML node to a value, or a sentence about what is wrong with it."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import yaml

from federation.asset_hosts import HOSTS_MOST, clean_hosts
from federation.quiet_hours import QuietHours

_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_INTEGER = re.compile(r"[+-]?[0-9][0-9_]*")
_NUMBER = re.compile(r"[+-]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_TAG = "tag:yaml.org,2002:"
_TEXT_MAX = 2_000
#: Seconds between visits: less is no news, and more than a week is forgotten.
CADENCE_LEAST_S = 5
CADENCE_MOST_S = 604_800


class WrongValue(Exception):
    """One value is wrong; whoever reads the file adds its place."""


def near(word: str, known: Sequence[str]) -> str:
    """A hint to append to an error: what was probably meant.

    >>> near("osm-ft", ["ign", "osm-fr"])
    ": did you mean 'osm-fr'?"
    """
    found = difflib.get_close_matches(word, known, 3)
    return f": did you mean {' or '.join(map(repr, found))}?" if found else ""


def clip(text: str, most: int = 60) -> str:
    """As much of a text as an error shows."""
    return text if len(text) <= most else text[:most] + "..."


def shown(node: yaml.Node) -> str:
    """A node as an error names it."""
    if isinstance(node, yaml.ScalarNode):
        return repr(clip(node.value))
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise WrongValue(f"must be text, not {shown(node)}")
    if node.tag != _TAG + "str":
        raise WrongValue(f"must be text: YAML reads {shown(node)} as something else, put it in quotes")
    if len(node.value) > _TEXT_MAX:
        raise WrongValue(f"is longer than {_TEXT_MAX:,} characters")
    odd = next((c for c in node.value if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"), None)
    if odd is not None:
        raise WrongValue(f"holds the character {odd!r}, which is not text")
    return str(node.value).strip()


def is_slug(text: str) -> bool:
    """Whether a text can be a name or an id.

    >>> is_slug("osm-fr"), is_slug("OSM FR")
    (True, False)
    """
    return _SLUG.fullmatch(text) is not None


def _slug(node: yaml.Node) -> str:
    text = _text(node)
    if not is_slug(text):
        raise WrongValue(f"{clip(text)!r} must be 1 to 64 lower-case letters, digits and '-', not '-' first or last")
    return text


def _url(node: yaml.Node) -> str:
    text = _text(node)
    try:
        return clean_url(text)
    except ValueError as error:
        raise WrongValue(f"{clip(text)!r} {error}") from error


def clean_url(text: str) -> str:
    """The address of an API's landing page in the one form it is stored in; ValueError says what is wrong with it.

    >>> clean_url("HTTPS://Panoramax.Example/api/")
    'https://panoramax.example/api'
    """
    if any(c.isspace() or c == "\\" for c in text):
        raise ValueError("must not contain blanks or backslashes")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is not an address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("is not an http(s) address")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user name or password")
    if "?" in text or "#" in text:
        raise ValueError("must not have a query (?) or a fragment (#)")
    netloc = f"[{host}]" if ":" in host else host
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        netloc += f":{port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"


def _boolean(node: yaml.Node) -> bool:
    if isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "bool" and node.value.lower() in _BOOLEANS:
        return _BOOLEANS[node.value.lower()]
    raise WrongValue(f"must be true or false, not {shown(node)}")


def _integer(least: int, most: int) -> Callable[[yaml.Node], int]:
    def read(node: yaml.Node) -> int:
        plain = isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "int" and len(node.value) <= 30
        if not plain or not _INTEGER.fullmatch(node.value):
            raise WrongValue(f"must be a whole number, not {shown(node)}")
        value = int(node.value.replace("_", ""))
        if not least <= value <= most:
            raise WrongValue(f"{value} is not within {least} and {most:,}")
        return value

    return read


def _rate(node: yaml.Node) -> float:
    plain = isinstance(node, yaml.ScalarNode) and node.tag != _TAG + "bool" and len(node.value) <= 30
    if not plain or not _NUMBER.fullmatch(node.value):
        raise WrongValue(f"must be a number, not {shown(node)}")
    value = float(node.value.replace("_", ""))
    if not (math.isfinite(value) and 0 <= value <= 1_000):
        raise WrongValue(f"{node.value} is not within 0 (no limit) and 1,000")
    return value


def _seconds(node: yaml.Node) -> float:
    plain = isinstance(node, yaml.ScalarNode) and node.tag != _TAG + "bool" and len(node.value) <= 30
    if not plain or not _NUMBER.fullmatch(node.value):
        raise WrongValue(f"must be a number of seconds, not {shown(node)}")
    value = float(node.value.replace("_", ""))
    if not (math.isfinite(value) and CADENCE_LEAST_S <= value <= CADENCE_MOST_S):
        raise WrongValue(f"{node.value} is not within {CADENCE_LEAST_S} and {CADENCE_MOST_S:,} seconds")
    return value


def _quiet_hours(node: yaml.Node) -> str:
    text = _text(node)
    try:
        QuietHours.parse(text)
    except ValueError as error:
        raise WrongValue(f"{clip(text)!r} {error}") from error
    return text


def _asset_hosts(node: yaml.Node) -> tuple[str, ...]:
    if not isinstance(node, yaml.SequenceNode):
        raise WrongValue(f"must be a list of at most {HOSTS_MOST} hosts, not {shown(node)}")
    try:
        return clean_hosts(_text(each) for each in node.value)
    except ValueError as error:
        raise WrongValue(str(error)) from error


REQUIRED = ("id", "name", "url")
READERS: Mapping[str, Callable[[yaml.Node], Any]] = {
    "id": _slug,
    "name": _slug,
    "url": _url,
    "enabled": _boolean,
    "pictures": _integer(0, 10**12),
    "requests_per_s": _rate,
    "concurrency": _integer(1, 32),
    "cadence_s": _seconds,
    "quiet_hours": _quiet_hours,
    "asset_hosts": _asset_hosts,
    "contact": _text,
    "note": _text,
}
