"""The catalog shows every sequence and picture of two real instances exactly as they do, and nothing else."""

from __future__ import annotations

from typing import Any

from panofed.demo.api import Api
from panofed.demo.visitor import anonymous_collections, anonymous_items
from tests.acceptance.federated import FederatedCatalog
from tests.acceptance.fidelity import check_all


async def test_first_harvest_holds_every_sequence_and_picture_as_the_origins_show_them(
    catalog: FederatedCatalog,
) -> None:
    visits = await catalog.visit()
    counted = check_all(catalog)
    assert counted >= 58
    for instance in catalog.instances:
        visit = visits[instance.config.name]
        assert visit.sequences_changed == len(anonymous_collections(instance.url))
        assert visit.pictures_changed == len(anonymous_items(instance.url))
        assert visit.pictures_quarantined == 0


async def test_related_pictures_include_those_the_origin_names(catalog: FederatedCatalog) -> None:
    for instance in catalog.instances:
        for id, item in anonymous_items(instance.url).items():
            single = Api(url=instance.url).get(f"/collections/{item['collection']}/items/{id}")
            ours = catalog.get(f"/pictures/{id}")
            assert _related(single) <= _related(ours)
            for link in ours["links"]:
                if link["rel"] == "related":
                    there = catalog.get(f"/pictures/{link['id']}")
                    assert there["collection"] != ours["collection"]
                    assert (there["geometry"], there["properties"]["datetime"]) == (link["geometry"], link["datetime"])


async def test_one_street_shows_pictures_of_both_instances(catalog: FederatedCatalog) -> None:
    found = catalog.get("/search?bbox=2.340,48.857,2.348,48.861&limit=1000")["features"]
    names = {link["instance_name"] for item in found for link in item["links"] if link["rel"] == "via"}
    assert names == {"demo-paris", "demo-lyon"}


def _related(item: dict[str, Any]) -> set[str]:
    return {link["id"] for link in item["links"] if link["rel"] == "related"}
