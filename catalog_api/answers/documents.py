"""Items as objects, for what has to look into them: whatever an origin wrote, it can be read and written again."""

from __future__ import annotations

import json
from typing import Any

import orjson


def open_item(text: bytes) -> dict[str, Any]:
    r"""The members of an item. Half a surrogate pair, which JSON can say and UTF-8 cannot, becomes a question mark.

    >>> open_item(b'{"title": "a\\ud800b"}')
    {'title': 'a?b'}
    """
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = _mended(json.loads(text))
    return found if isinstance(found, dict) else {}


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_mended(each) for each in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(each) for key, each in value.items()}
    return value
