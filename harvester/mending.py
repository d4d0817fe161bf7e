"""JSON as careless servers write it, made readable, so that only the item that is wrong suffers and not its page."""

from __future__ import annotations

import re

_NAN = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?\bInfinity\b|\bNaN\b')
#: An escaped backslash first, so that what follows it is not taken for an escape.
_SURROGATE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_PAIR_BYTES = 12


def mended(body: bytes) -> bytes:
    """The same text with what no parser reads replaced: see the two functions below."""
    return without_lone_surrogates(without_nan(body))


def without_nan(body: bytes) -> bytes:
    """The NaN and Infinity of careless servers as texts, so that only the item they are in is refused.

    >>> without_nan(b'{"a": [NaN, -Infinity], "NaN": "is NaN"}')
    b'{"a": ["NaN", "-Infinity"], "NaN": "is NaN"}'
    """
    return _NAN.sub(lambda match: match[0] if match[0].startswith(b'"') else b'"' + match[0] + b'"', body)


def without_lone_surrogates(body: bytes) -> bytes:
    r"""Half a UTF-16 pair stands for no character: it becomes U+FFFD, as when it is read leniently.

    >>> print(without_lone_surrogates(rb'"\ud83d\ude00 \ud800 \\ud800"').decode())
    "\ud83d\ude00 \ufffd \\ud800"
    """

    def replaced(match: re.Match[bytes]) -> bytes:
        text = match[0]
        return text if len(text) == _PAIR_BYTES or text == rb"\\" else rb"\ufffd"

    return _SURROGATE.sub(replaced, body)
