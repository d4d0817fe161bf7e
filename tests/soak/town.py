"""What one random walk has made on the instances: its streets, and where pictures for more of them come from."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from federation.errors import OriginRefused
from panofed.cluster import Cluster
from panofed.demo.api import Api
from panofed.demo.changes import sequences_of
from panofed.demo.datasets import GOPRO, GOPRO_MAX, IPHONE
from panofed.demo.geovisio import Instance
from panofed.demo.pictures import make_pictures
from panofed.demo.walk import SequenceSpec

PICTURES_EACH = 5
ACCOUNTS = ("alice", "bob")
#: when something last happened without a signal, by the instance's own clock
Moments: TypeAlias = dict[str, datetime]
#: Lyon, Antananarivo, and the antimeridian, which sequences may cross
PLACES = ((45.75, 4.83), (-18.91, 47.53), (-16.85, 179.9997))


@dataclass(slots=True, kw_only=True)
class Street:
    """One upload of this walk. `upload_set` is empty when its sequence was made the old way."""

    instance: Instance
    account: str
    files: list[Path]
    upload_set: str = ""
    sequence: str = ""
    #: nobody but its owner has ever been shown it
    secret: bool = False

    @property
    def api(self) -> Api:
        """Its owner's access."""
        return self.instance.api(self.account)

    def sequences(self) -> list[str]:
        """Those it consists of now, in an order that does not hang on their ids."""
        if not self.upload_set:
            return [self.sequence]
        listed = sequences_of(self.api, self.upload_set)
        return sorted(listed, key=lambda id: (self.api.get(f"/collections/{id}").get("title", ""), id))

    def pictures(self, sequence: str) -> list[str]:
        """Pictures of one of them as its owner sees them, hidden ones too, in order."""
        features = self.api.get(f"/collections/{sequence}/items")["features"]
        return [str(item["id"]) for item in features]


@dataclass(slots=True, kw_only=True)
class Town:
    """Two instances, the streets made there so far, and dice. Every choice is drawn from `dice`."""

    instances: Sequence[Instance]
    database: Cluster
    dice: random.Random
    stock: Iterator[list[Path]]
    streets: list[Street] = field(default_factory=list)
    #: the kinds of step that are still to come in this round
    bag: list[Any] = field(default_factory=list)
    #: instances whose accounts were renamed, whose licence changed: nothing they signal
    renamed: Moments = field(default_factory=dict)
    licensed: Moments = field(default_factory=dict)
    #: (instance, picture) that was processed after its sequence was published, told by no signal
    late: dict[tuple[str, str], datetime] = field(default_factory=dict)
    #: pictures that were deleted
    deleted: set[str] = field(default_factory=set)
    #: pictures that wait for processing: (instance's database, picture)
    waiting: list[tuple[str, str]] = field(default_factory=list)

    def street(self, **wanted: Any) -> Street:
        """Any street; with `upload_set=True` one that is an upload set, and so on; with `instance=` one there."""
        fitting = [each for each in self.streets if all(_is(getattr(each, k), v) for k, v in wanted.items())]
        if not fitting:
            raise NothingThere
        return self.dice.choice(fitting)

    def sequence(self, **wanted: Any) -> tuple[Street, str]:
        """Any sequence, with its street."""
        street = self.street(**wanted)
        try:
            there = street.sequences()
        except OriginRefused:
            # an upload set goes with the last of its sequences
            self.streets.remove(street)
            raise NothingThere from None
        if not there:
            raise NothingThere
        return street, self.dice.choice(there)

    def picture(self, **wanted: Any) -> tuple[Street, str, str]:
        """Any picture, with its street and sequence."""
        street, sequence = self.sequence(**wanted)
        there = street.pictures(sequence)
        if not there:
            raise NothingThere
        return street, sequence, self.dice.choice(there)

    def sql(self, instance: Instance, text: str) -> str:
        """What an administrator of the instance's database does."""
        return self.database.client(instance.config.database).text(text)

    def clock(self, instance: Instance) -> datetime:
        """The instance's own time, which its `updated` are of."""
        return datetime.fromisoformat(self.sql(instance, "SELECT clock_timestamp();").strip())

    def held(self) -> set[str]:
        """Ids of all pictures both instances hold, whoever may see them."""
        texts = [self.sql(instance, "SELECT id FROM pictures;") for instance in self.instances]
        return {line.strip() for text in texts for line in text.splitlines() if line.strip()}

    def secrets(self) -> set[str]:
        """Ids of pictures and sequences that were never shown to anybody but their owner."""
        ids: set[str] = set()
        for street in self.streets:
            with suppress(OriginRefused):
                for sequence in street.sequences() if street.secret else ():
                    ids |= {sequence, *street.pictures(sequence)}
        return ids


def _is(value: Any, wanted: Any) -> bool:
    return bool(value) == wanted if isinstance(wanted, bool) else value is wanted


class NothingThere(Exception):
    """The dice asked for something there is none of: the step is left out."""


def drawn_streets(python: Path, folder: Path, dice: random.Random, count: int) -> Iterator[list[Path]]:
    """Files of `count` streets of six or seven pictures, drawn at once: that is cheapest."""
    specs = list(_specs(dice, count))
    files = make_pictures(python, specs, folder)
    return iter([files[spec.title] for spec in specs])


def _specs(dice: random.Random, count: int) -> Iterator[SequenceSpec]:
    plain = SequenceSpec(
        title="", lat=0, lon=0, heading=0, camera=GOPRO, start=datetime(2025, 3, 1, 10, tzinfo=UTC), pictures=6
    )
    for number in range(count):
        lat, lon = dice.choice(PLACES)
        # titles are unique: an instance refuses bytes it holds already
        yield replace(
            plain, title=f"Walk {dice.getrandbits(48):012x} {number}", lat=lat + dice.uniform(-0.02, 0.02), lon=lon,
            heading=dice.uniform(0, 360), camera=dice.choice((GOPRO, GOPRO_MAX, IPHONE)),
            start=plain.start + timedelta(hours=number, days=dice.randrange(60)), pictures=dice.choice((6, 7)),
            with_heading=dice.random() < 0.7, artist=dice.choice(("", "Camille Demo")),
        )  # fmt: skip


def token_id(token: str) -> str:
    """The id of an API token, which its middle part says."""
    middle = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))["sub"])
