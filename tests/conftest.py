"""Fixtures are no tests: without this, doctest collection imports every conftest.py under one name and stops."""

from __future__ import annotations

collect_ignore_glob = ["*conftest.py"]
