"""A class is declared only when a test shows it: here is which. The list is catalog_api/openapi/conformance.py."""

from __future__ import annotations

import pytest

from catalog_api.openapi.conformance import CONFORMS_TO
from tests.conformance.environments import HERE

_STAC, _OGC = "https://api.stacspec.org", "http://www.opengis.net/spec"
_VALIDATOR, _CLIENT, _FEATURES = "test_stac_api_validator.py", "test_pystac_client.py", "test_ogc_features.py"
_FILTERS = "../integration/catalog/test_catalog_search_filters.py"
_SEQUENCES = "../integration/catalog/test_catalog_sequences.py"

SHOWN_BY = {
    f"{_STAC}/v1.0.0/core": [_VALIDATOR],
    f"{_STAC}/v1.0.0/collections": [_VALIDATOR],
    f"{_STAC}/v1.0.0/ogcapi-features": [_VALIDATOR, _FEATURES],
    f"{_STAC}/v1.0.0/ogcapi-features#fields": [_VALIDATOR],
    f"{_STAC}/v1.0.0/item-search": [_VALIDATOR, _CLIENT],
    f"{_STAC}/v1.0.0/item-search#fields": [_VALIDATOR, _CLIENT],
    f"{_STAC}/v1.0.0/item-search#sort": [_VALIDATOR, _CLIENT],
    f"{_STAC}/v1.0.0/item-search#filter": [_VALIDATOR, _CLIENT],
    f"{_STAC}/v1.0.0/collection-search": [_CLIENT, _SEQUENCES],
    f"{_STAC}/v1.0.0-rc.1/collection-search": [_CLIENT, _SEQUENCES],
    f"{_STAC}/v1.0.0-rc.1/collection-search#free-text": [_CLIENT, _SEQUENCES],
    f"{_STAC}/v1.0.0-rc.1/collection-search#sort": [_SEQUENCES],
    f"{_OGC}/ogcapi-common-2/1.0/conf/simple-query": [_CLIENT],
    f"{_OGC}/ogcapi-features-1/1.0/conf/core": [_FEATURES, _VALIDATOR],
    f"{_OGC}/ogcapi-features-1/1.0/conf/geojson": [_FEATURES],
    f"{_OGC}/ogcapi-features-3/1.0/conf/filter": [_VALIDATOR, _FILTERS],
    f"{_OGC}/cql2/1.0/conf/cql2-text": [_VALIDATOR, _FILTERS],
    f"{_OGC}/cql2/1.0/conf/cql2-json": [_VALIDATOR, _FILTERS],
    f"{_OGC}/cql2/1.0/conf/basic-cql2": [_VALIDATOR, _FILTERS],
    f"{_OGC}/cql2/1.0/conf/advanced-comparison-operators": [_VALIDATOR, _FILTERS],
    f"{_OGC}/cql2/1.0/conf/basic-spatial-operators": [_VALIDATOR, "test_cql2.py"],
    f"{_OGC}/cql2/1.0/conf/temporal-operators": ["test_cql2.py"],
}


def test_what_is_declared_is_shown() -> None:
    assert sorted(CONFORMS_TO) == sorted(SHOWN_BY)


@pytest.mark.parametrize("name", sorted({each for files in SHOWN_BY.values() for each in files}))
def test_who_shows_it_is_there(name: str) -> None:
    assert (HERE / name).is_file()
