"""The incremental pass over a real instance: GeoVisio with 150 sequences of 25 pictures, all of them edited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.database import run_sql, statement
from bench.product import Product, prepare
from bench.visits import EDITED_LENGTH, EDITED_SEQUENCES, VisitCost, measure_edited
from panofed.demo.datasets import PARIS
from panofed.demo.origins import DEMO_PLANS, OriginPlaces, Origins, default_environment


@contextmanager
def real_instance(directory: Path, environments: Path, *, copies: int = EDITED_SEQUENCES - 1) -> Iterator[Origins]:
    """A real instance that holds one sequence, copied in its own database so many times; gone afterwards."""
    places = OriginPlaces(directory=directory, environment=default_environment(environments))
    street = replace(PARIS[0], pictures=EDITED_LENGTH)
    house = Origins([replace(DEMO_PLANS[0], sequences=(street,))], places)
    house.start()
    try:
        _in_its_database(house, statement("real_clone", copies=str(copies)))
        yield house
    finally:
        house.remove()


def _in_its_database(house: Origins, script: str) -> None:
    run_sql(house.cluster, house.instances[0].config.database, script)


def measure_real(product: Product, environments: Path) -> list[VisitCost]:
    """The pass with nothing new and the pass after the edits, polite and not."""
    with real_instance(product.directory / "real", environments) as house:
        port = house.instances[0].state.port
        measured = []
        for polite in (True, False):
            here = replace(product, ports=(port,), polite=polite)
            prepare(here, ["real"])
            costs = measure_edited(here, lambda: _in_its_database(house, statement("real_edit")))
            measured += [
                replace(one, name=f"{one.name}, {'defaults' if polite else 'politeness off'}") for one in costs
            ]
    return measured
