"""A map that is written as the harvester writes and asked for as a viewer asks: tiles, decoded by another library."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import asyncpg
import httpx2
import mapbox_vector_tile
import orjson

from federation.payload import Packer
from federation.record import Picture
from federation.record import Sequence as SequenceRecord
from harvester.merge import Batch, merge_batch
from tests.index_world import Writer

START = datetime(2024, 5, 2, 9, 0, tzinfo=UTC)
ALICE = "541c79f4-6e49-4834-a1b2-60044320abfd"
CAMERA = ("GoPro", "Max")

Layers = dict[str, dict[str, Any]]
Place = tuple[float, float]


class Serving(Protocol):
    """Serves the catalog with settings of the test's choice."""

    def __call__(self, **overrides: Any) -> AbstractAsyncContextManager[httpx2.AsyncClient]: ...


def decode(body: bytes) -> Layers:
    """A tile as a client reads it; y goes down, as in the tile."""
    options = {"y_coord_down": True}
    return dict(mapbox_vector_tile.decode(body, default_options=options)) if body else {}


def features(layers: Layers, name: str) -> list[dict[str, Any]]:
    """Features of one layer; none where the layer is not there."""
    found: list[dict[str, Any]] = layers.get(name, {"features": []})["features"]
    return found


async def layers_of(client: httpx2.AsyncClient, path: str) -> Layers:
    """The layers of the tile at this path below /api."""
    answer = await client.get(f"/api/{path}")
    assert answer.status_code in (200, 204), answer.text
    return decode(answer.content)


async def all_tiles(client: httpx2.AsyncClient, path: str, z: int) -> list[Layers]:
    """Every tile of a zoom that has something in it."""
    side = 1 << z
    found = [await layers_of(client, f"{path}/{z}/{x}/{y}.mvt") for x in range(side) for y in range(side)]
    return [each for each in found if each]


@dataclass(slots=True)
class Cartographer:
    """Writes sequences through a lane. `of` an account, where one is named."""

    writer: Writer
    admin: asyncpg.Connection
    _accounts: dict[str, int] = field(default_factory=dict)
    _cameras: dict[tuple[str, str], int] = field(default_factory=dict)

    async def street(
        self, places: Sequence[Place], *, of: str = ALICE, fov: int = 70, id: str = "", at: datetime = START
    ) -> tuple[int, str]:
        """A new sequence with a picture at each place (longitude, latitude), one a second; its number and id."""
        number, new = await self.writer.new_sequence()
        if id:
            await self.admin.execute("UPDATE sequences SET id = $2 WHERE n = $1", number, id)
        await self.rewrite(number, id or new, places, of=of, fov=fov, at=at)
        return number, id or new

    async def rewrite(
        self, number: int, id: str, places: Sequence[Place], *, of: str = ALICE, fov: int = 70, at: datetime = START
    ) -> None:
        """The same sequence with other pictures."""
        pictures = [_picture(rank, place, of, fov, at) for rank, place in enumerate(places, 1)]
        lane = self.writer.lane
        await lane.add(
            pictures, sequence=number, packer=Packer.make(1), accounts={of: await self._account(of)},
            cameras={CAMERA: await self._camera(CAMERA)}, licenses={}, first_rank=1,
        )  # fmt: skip
        record = SequenceRecord.from_stac(orjson.dumps({"id": id, "title": "a street"}), instance="i")
        merged = ((number, record, await self._account(of)),)
        await merge_batch(
            lane, Batch(instance=self.writer.instance, run=self.writer.run, merged=merged), Packer.make(1)
        )

    async def remove(self, *numbers: int) -> None:
        """Taken back by their origin."""
        await self.writer.remove(*numbers)

    async def _account(self, id: str) -> int:
        if id not in self._accounts:
            self._accounts[id] = await self.admin.fetchval(
                "INSERT INTO accounts (id, instance, name) VALUES ($1, $2, $3) RETURNING n",
                uuid.UUID(id), self.writer.instance, f"account {id[:4]}",
            )  # fmt: skip
        return self._accounts[id]

    async def _camera(self, camera: tuple[str, str]) -> int:
        if camera not in self._cameras:
            self._cameras[camera] = await self.admin.fetchval(
                "INSERT INTO cameras (manufacturer, model) VALUES ($1, $2) RETURNING n", *camera
            )
        return self._cameras[camera]


def _picture(rank: int, place: Place, account: str, fov: int, at: datetime) -> Picture:
    item = {
        "id": str(uuid.uuid4()),
        "geometry": {"type": "Point", "coordinates": list(place)},
        "providers": [{"name": "alice", "roles": ["producer"], "id": account}],
        "properties": {
            "datetime": (at + timedelta(seconds=rank)).isoformat(),
            "geovisio:rank_in_collection": rank,
            "view:azimuth": 90,
            "quality:horizontal_accuracy": 4.5,
            "panoramax:horizontal_pixel_density": 17,
            "pers:interior_orientation": {
                "field_of_view": fov,
                "camera_manufacturer": CAMERA[0],
                "camera_model": CAMERA[1],
            },
        },
    }
    return Picture.from_stac(orjson.dumps(item), instance="i", collection="")


def street(longitude: float, latitude: float, count: int, step_deg: float = 0.0001) -> list[Place]:
    """So many places eastwards, some metres apart."""
    return [(longitude + number * step_deg, latitude) for number in range(count)]
