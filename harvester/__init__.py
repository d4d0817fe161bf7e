"""Visits the registered instances and keeps the index equal to what an anonymous visitor sees there."""

from __future__ import annotations
