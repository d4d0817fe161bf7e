"""zstd dictionaries: one per instance, trained on its own first items, committed before use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from federation.database import Connection, Pool, rows_of
from federation.leaves import load_leaves
from federation.payload import Packer, Unpacker, train
from federation.queries import query
from federation.record import Picture
from federation.settings import Settings

logger = logging.getLogger(__name__)

#: Samples beyond this many bytes add nothing to a dictionary and would fill the memory.
_SAMPLE_BYTES_MAX = 32_000_000
_REPACK_SEQUENCES = 20


@dataclass(slots=True)
class PackerOf:
    """The packer of one instance during a visit: plain until there are enough items to train a dictionary on."""

    instance: int
    settings: Settings
    packer: Packer
    #: sequences packed before the dictionary was made: to be packed again at the end of the visit
    plain_sequences: list[int] = field(default_factory=list)
    _samples: list[bytes] = field(default_factory=list)
    _sample_bytes: int = 0
    _training: bool = False

    @staticmethod
    async def load(connection: Connection, instance: int, settings: Settings) -> PackerOf:
        """With the instance's newest dictionary, if it has one."""
        row = await connection.fetchrow(query("read_dictionary"), instance)
        if row is None:
            return PackerOf(instance, settings, Packer.make(settings.zstd_level))
        return PackerOf(instance, settings, Packer.make(settings.zstd_level, row["n"], row["content"]))

    async def learn(self, connection: Connection, sequence: int, pictures: Iterable[Picture]) -> None:
        """Take samples until there are enough, then train once."""
        if self.packer.dictionary:
            return
        if not self.plain_sequences or self.plain_sequences[-1] != sequence:
            self.plain_sequences.append(sequence)
        if self._training:
            return
        for picture in pictures:
            self._samples.append(picture.text)
            self._sample_bytes += len(picture.text)
        if len(self._samples) >= self.settings.dictionary_items or self._sample_bytes >= _SAMPLE_BYTES_MAX:
            samples, self._samples = self._samples, []
            await self.train_on(connection, samples)

    async def train_on(self, connection: Connection, samples: Sequence[bytes]) -> None:
        """Train, commit, and use the dictionary from now on; with nothing in common, all stays as it is."""
        self._training = True
        content = await asyncio.to_thread(train, samples, self.settings.dictionary_bytes)
        if not content:
            return
        number = await connection.fetchval(query("keep_dictionary"), self.instance, content, len(samples))
        self.packer = Packer.make(self.settings.zstd_level, number, content)
        logger.info("dictionary trained", extra={"instance": self.instance, "items": len(samples)})


async def repack(pool: Pool, sequences: Sequence[int], packer: Packer) -> int:
    """Pack again what was stored before the dictionary was there; returns how many pictures. Small transactions."""
    unpacker = Unpacker()
    unpacker.learn(0)
    total = 0
    for start in range(0, len(sequences), _REPACK_SEQUENCES):
        some = sequences[start : start + _REPACK_SEQUENCES]
        leaves = await load_leaves(pool)
        cells = leaves.standing_for(row[0] for row in await pool.fetch(query("cells_of_sequences"), some))
        rows = await pool.fetch(query("plain_payloads"), cells, some)
        packed = packer.pack(unpacker.unpack(0, row["payload"]) for row in rows)
        keys = [[row[name] for row in rows] for name in ("cell", "sequence", "rank", "id")]
        total += rows_of(await pool.execute(query("repack_payloads"), cells, packer.dictionary, *keys, packed))
    return total
