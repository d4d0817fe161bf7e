"""Whose records are not taken from a catalog: ours, and those of the instances that are harvested directly."""

from __future__ import annotations

from federation.database import Pool
from federation.queries import query
from federation.settings import Settings
from harvester.provenance import Known


async def known_places(pool: Pool, instance: int, settings: Settings) -> Known:
    """For a visit to the catalog that is this instance: the others, and every address this catalog may be named by."""
    rows = await pool.fetch(query("known_places"), instance)
    hosts = {settings.host, "127.0.0.1", "localhost"} - {"0.0.0.0", "::"}
    ours = [settings.public_url, *(f"http://{host}:{settings.port}" for host in hosts)]
    return Known.of([*(row["url"] for row in rows), *filter(None, ours)])
