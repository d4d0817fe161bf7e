"""The bag of steps: what a walk may do, how often, and the next of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tests.soak.town import NothingThere, Town

Step: TypeAlias = Callable[[Town], str]
#: every step with how often it is taken; those of uploads.py and operations.py
STEPS: dict[Step, int] = {}
_DRAWS = 5


def step(weight: int) -> Callable[[Step], Step]:
    """Notes a function as a step taken with this weight."""

    def note(function: Step) -> Step:
        STEPS[function] = weight
        return function

    return note


def take_step(town: Town) -> str:
    """One step out of the bag; NothingThere when none of some could be done.

    The bag holds every step as often as it weighs, and is filled again when it is empty: long walks leave none out.
    """
    if not town.bag:
        town.bag += [each for each in sorted(STEPS, key=lambda each: each.__name__) for _ in range(STEPS[each])]
        town.dice.shuffle(town.bag)
    for _ in range(min(_DRAWS, len(town.bag))):
        chosen: Step = town.bag.pop()
        try:
            return f"{chosen.__name__}: {chosen(town)}"
        except NothingThere:
            # later, perhaps
            town.bag.insert(0, chosen)
    # what is left may never be possible again: others are
    town.bag.clear()
    raise NothingThere
