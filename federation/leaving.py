"""An instance leaves: from one commit on nothing of it is shown; a worker deletes it in batches after that."""

from __future__ import annotations

from federation.database import Connection, explained
from federation.events import Kind, note
from federation.queries import query
from federation.takedowns import as_writer


async def leave(connection: Connection, instance: int, actor: str) -> bool:
    """Begin: its visits end, no reader shows it any more. False when it is leaving or has left already."""
    async with explained("leaving"), as_writer(connection):
        # as takedowns do: what is recalled is numbered one after the other
        await connection.execute(query("lock_takedowns"))
        row = await connection.fetchrow(query("begin_leaving"), instance)
        if row is None:
            return False
        await connection.execute(query("recall_instance"), instance)
        await connection.execute(query("hide_leaving"))
        await note(connection, Kind.LEAVING, actor=actor, instance=instance, details={"name": row["name"]})
    return True


async def leaving(connection: Connection) -> list[int]:
    """Numbers of the instances of which there may still be something to delete."""
    async with explained("reading who leaves"):
        return [row["n"] for row in await connection.fetch(query("instances_leaving"))]
