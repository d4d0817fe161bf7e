"""The database, ready to work with: started if it is the private one, migrated, and the address to work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from federation.database import migrate
from federation.settings import Settings
from panofed.cluster import DATABASE, Cluster, cluster_config, database_url

#: The login of the private cluster that is no superuser; see sql/schema/010_roles.sql.
LOGIN = "panofed"


def ready_database(settings: Settings, *, report: Callable[[str], None] | None = None) -> str:
    """Start and migrate what is needed; returns the address to work with. `report` is told each step that takes time.

    Somebody else's server (PANOFED_DATABASE_URL) is migrated by the login of its address, which may be the only one
    there; it works under the roles of sql/schema/010_roles.sql all the same.
    """
    url = database_url(settings, report=report)
    asyncio.run(migrate(url))
    return working_url(settings)


def working_url(settings: Settings) -> str:
    """The address of a database that is ready already, for the working login."""
    if settings.database_url:
        return settings.database_url
    return Cluster(cluster_config(settings)).dsn(DATABASE, user=LOGIN)


def database_folder(settings: Settings) -> Path | None:
    """Where the private cluster's files are; None for somebody else's server, whose disk cannot be seen from here."""
    return None if settings.database_url else Cluster(cluster_config(settings)).status().directory
