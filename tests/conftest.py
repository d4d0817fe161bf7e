"""Fixtures are no tests: without this, doctest collection imports every conftest.py under one name and stops."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

collect_ignore_glob = ["*conftest.py"]

# pytest-xdist sets it for its own output, and programs would take it for the width of their terminal
os.environ.pop("COLUMNS", None)

# how long an example takes is the machine's business: other parts of the suite run beside
settings.register_profile("panofed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("panofed")
