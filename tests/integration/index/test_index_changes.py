"""The change log: a reader that follows it skips nothing, in whatever order transactions commit."""

from __future__ import annotations

import uuid

import asyncpg

from federation.database import Role, connect
from tests.index_world import Index
from tests.origin import eventually

SAFE = """
    SELECT xid::text::bigint AS xid, n, sequence FROM changes
    WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) AND (xid::text::bigint, n) > ($1, $2) ORDER BY xid, n"""
WRITE = "INSERT INTO changes (instance, sequence, kind) VALUES (1, $1, 'upsert')"


class Follower:
    """Reads what is new, after a position."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.position = (0, 0)
        self.seen: list[uuid.UUID] = []

    async def read(self) -> None:
        for row in await self.connection.fetch(SAFE, *self.position):
            self.position = (row["xid"], row["n"])
            self.seen.append(row["sequence"])


async def test_a_reader_skips_nothing_when_transactions_commit_in_reverse_order(index: Index) -> None:
    first, second = [await connect(index.dsn, Role.WRITER, index.settings) for _ in range(2)]
    follower = Follower(await connect(index.dsn, Role.READER, index.settings))
    early, late = uuid.uuid4(), uuid.uuid4()
    slow = first.transaction()
    await slow.start()
    await first.execute(WRITE, early)
    async with second.transaction():
        await second.execute(WRITE, late)
    await follower.read()
    assert follower.seen == [], "what comes after a running transaction is not given out yet"
    await slow.commit()
    # transactions of other databases of the same server hold it back as well

    async def both_read() -> bool:
        await follower.read()
        return len(follower.seen) == 2

    await eventually(both_read)
    assert follower.seen == [early, late]
    await follower.read()
    assert len(follower.seen) == 2
    for connection in (first, second, follower.connection):
        await connection.close()


async def test_a_merge_tells_of_each_sequence_once_with_its_box_before_and_after(index: Index) -> None:
    writer = await index.writer()
    number, id = await writer.new_sequence()
    await writer.write((number, id, writer.pictures(5)))
    await writer.write((number, id, writer.pictures(5)))
    await writer.remove(number)
    rows = await index.admin.fetch("SELECT * FROM changes ORDER BY xid::text::bigint, n")
    assert [row["kind"] for row in rows] == ["upsert", "upsert", "remove"]
    assert rows[0]["bbox_before"] is None
    assert rows[1]["bbox_before"] == rows[0]["bbox_after"]
    assert rows[2]["bbox_before"] == rows[1]["bbox_after"]
    assert rows[2]["bbox_after"] is None
    assert {str(row["sequence"]) for row in rows} == {id}
