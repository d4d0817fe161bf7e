"""The private PostgreSQL + PostGIS cluster: made, started, stopped and upgraded by this software itself."""

from __future__ import annotations

from collections.abc import Callable

from federation.settings import Settings
from panofed.cluster.config import ClusterConfig, ClusterStatus, cluster_config
from panofed.cluster.server import Cluster

DATABASE = "panofed"

__all__ = ["DATABASE", "Cluster", "ClusterConfig", "ClusterStatus", "cluster_config", "database_url"]


def database_url(settings: Settings, *, report: Callable[[str], None] | None = None) -> str:
    """Where the index is: PANOFED_DATABASE_URL, else the private cluster, started with the database made if needed."""
    if settings.database_url:
        return settings.database_url
    cluster = Cluster(cluster_config(settings), report=report)
    cluster.ensure_running()
    cluster.ensure_database(DATABASE)
    return cluster.dsn(DATABASE)
