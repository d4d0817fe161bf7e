"""The command line, the private cluster and the demonstration; sits above the rooms, nobody imports it."""

from __future__ import annotations
