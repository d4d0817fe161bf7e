"""The catalog's public API: the whole federation as one STAC API, on Starlette."""

from __future__ import annotations
