"""What harvester and catalog agree on: settings, records, cells, payloads, the database and the errors."""

from __future__ import annotations
