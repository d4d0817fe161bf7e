"""Instances whose health is watched: an index that is harvested into, and a catalog that tells of it."""

from __future__ import annotations

from tests.integration.catalog.conftest import client, factory, serving
from tests.integration.harvest.conftest import world

__all__ = ["client", "factory", "serving", "world"]
