"""What happens on two instances, chapter by chapter: first everything is new, then it changes in every way."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.origin import Origin, OriginPicture, OriginSequence


@dataclass(slots=True, kw_only=True)
class Story:
    """Two instances and the dice. `copied` are ids both may hold: those do not move, as who is first would matter."""

    north: Origin
    south: Origin
    dice: random.Random
    copied: set[str] = field(default_factory=set)

    @property
    def chapters(self) -> list[Callable[[], None]]:
        """In their order; each changes the instances."""
        return [self.beginning, self.edits, self.moves, self.departures, self.returns]

    def beginning(self) -> None:
        """Streets of one town, so that its leaf splits; the south has copies of some of the north's."""
        for number in range(16):
            self._street(self.north, number)
        for number in range(6):
            self._street(self.south, number + 40)
        for sequence in list(self.north.sequences.values())[:5]:
            self._copy(sequence, whole=self.dice.random() < 0.5)

    def edits(self) -> None:
        """Pictures and sequences are changed, hidden, deleted, turned round and added."""
        for origin in (self.north, self.south):
            for sequence in self._some(origin, 6):
                chosen = self.dice.randrange(5)
                picture = self.dice.choice(sequence.pictures)
                if chosen == 0:
                    origin.delete_picture(picture)
                elif chosen == 1:
                    origin.hide_picture(picture)
                elif chosen == 2:
                    origin.edit(picture, license="CC-BY-4.0")
                elif chosen == 3:
                    sequence.pictures.reverse()
                    origin.touch(sequence)
                else:
                    origin.add_picture(sequence, 2.36, 48.86)
            origin.hide_sequence(self.dice.choice(self._visible(origin)))
            self._street(origin, 70 + len(origin.sequences))

    def moves(self) -> None:
        """Pictures change sequence and place; sequences merge and split."""
        for origin in (self.north, self.south):
            for source in self._some(origin, 5):
                target = self.dice.choice(self._visible(origin))
                for picture in self._free(source)[: self.dice.randrange(1, 5)]:
                    if target is not source:
                        origin.move(picture, target)
            for sequence in self._some(origin, 3):
                for picture in sequence.pictures[:2]:
                    picture.longitude, picture.latitude = self.dice.choice(
                        ((47.5, -18.9), (179.99, -16.8), (2.4, 48.9))
                    )
                origin.touch(sequence)

    def departures(self) -> None:
        """What was copied goes in the north, so the copies of the south are promoted; some of theirs go, too."""
        for id in sorted(self.copied & set(self.north.sequences)):
            if self.dice.random() < 0.7:
                self.north.hide_sequence(self.north.sequences[id])
        for sequence in self._some(self.south, 3):
            self.south.hide_sequence(sequence)

    def returns(self) -> None:
        """What was hidden comes back, behind the copies that took its place; one sequence loses every picture."""
        for origin in (self.north, self.south):
            for sequence in [each for each in origin.sequences.values() if each.gone]:
                if self.dice.random() < 0.7:
                    origin.hide_sequence(sequence, hidden=False)
            emptied = self.dice.choice(self._visible(origin))
            for picture in emptied.pictures:
                picture.deleted = True
            origin.touch(emptied)

    def _street(self, origin: Origin, number: int) -> None:
        at = (2.35 + self.dice.uniform(0, 0.05), 48.85 + number * 0.0005)
        origin.add_sequence(self.dice.randrange(4, 15), at=at)

    def _copy(self, sequence: OriginSequence, *, whole: bool) -> None:
        """The same ids in the south, with other contents; not `whole`: under another sequence, and only some."""
        kept = sequence.pictures if whole else sequence.pictures[::2]
        pictures = [
            OriginPicture(
                id=each.id, longitude=each.longitude, latitude=each.latitude, captured=each.captured,
                properties={"license": "CC-BY-SA-4.0"},
            )
            for each in kept
        ]  # fmt: skip
        id = sequence.id if whole else self.south.new_id()
        self.south.sequences[id] = OriginSequence(id=id, title="a copy", updated=sequence.updated, pictures=pictures)
        self.south.touch(self.south.sequences[id])
        self.copied |= {sequence.id, id} | {each.id for each in pictures}

    def _visible(self, origin: Origin) -> list[OriginSequence]:
        return [each for each in origin.sequences.values() if not each.gone]

    def _some(self, origin: Origin, count: int) -> list[OriginSequence]:
        filled = [each for each in self._visible(origin) if each.pictures]
        return self.dice.sample(filled, min(count, len(filled)))

    def _free(self, sequence: OriginSequence) -> list[OriginPicture]:
        return [each for each in sequence.pictures if each.id not in self.copied]
