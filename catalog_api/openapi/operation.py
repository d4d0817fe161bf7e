"""What is said of one operation, and of one answer."""

from __future__ import annotations

from dataclasses import dataclass

from catalog_api.openapi.parameters import Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer: its media types, each with the name of its schema ("" for none that JSON Schema could say)."""

    description: str
    content: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `errors` are statuses besides those that every operation may have."""

    summary: str
    tag: str
    takes: tuple[Parameter, ...] = ()
    answers: tuple[tuple[int, Response], ...]
    errors: tuple[int, ...] = ()
    body: str = ""
    secured: bool = False
