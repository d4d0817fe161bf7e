"""A class is declared only when a test shows it: here is which. The list is catalog_api/openapi/conformance.py."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from catalog_api.openapi.conformance import CONFORMS_TO
from tests.conformance.environments import HERE
from tests.conformance.test_stac_api_validator import RUNS

_STAC, _OGC = "https://api.stacspec.org", "http://www.opengis.net/spec"
_CATALOG = "../integration/catalog"
_VALIDATOR, _CLIENT = "test_stac_api_validator.py::test_it_finds_no_error", "test_pystac_client.py"
_FILTERS = f"{_CATALOG}/test_catalog_search_filters.py::test_filters_hold_whatever_way_is_taken"
_TEMPORAL = ["test_cql2.py::test_temporal_functions_of_instants", "test_cql2.py::test_temporal_functions_of_intervals"]
_SPATIAL, _COMPARED = ["test_cql2.py::test_spatial_functions"], ["test_cql2.py::test_comparisons"]
_ITEM_FILTER = [_VALIDATOR, f"{_CLIENT}::test_filters", _FILTERS]
_LISTED = [
    f"{_CLIENT}::test_collection_search",
    f"{_CATALOG}/test_catalog_sequences.py::test_box_and_dates_hold_together_with_an_order",
]
_SINGLE = f"{_CATALOG}/test_catalog_fields.py::test_fields_are_what_is_asked_for_and_what_an_item_is_known_by"

#: Each class, and the tests that show it, as file::function from here.
SHOWN_BY = {
    f"{_STAC}/v1.0.0/core": [_VALIDATOR],
    f"{_STAC}/v1.0.0/collections": [_VALIDATOR, f"{_CLIENT}::test_collections"],
    f"{_STAC}/v1.0.0/ogcapi-features": [_VALIDATOR, f"{_CLIENT}::test_collections"],
    # the validator knows the name of this class, and nothing to test
    f"{_STAC}/v1.0.0/ogcapi-features#fields": [_SINGLE],
    f"{_STAC}/v1.0.0/item-search": [_VALIDATOR, f"{_CLIENT}::test_everything", f"{_CLIENT}::test_places"],
    f"{_STAC}/v1.0.0/item-search#fields": [_VALIDATOR, f"{_CLIENT}::test_fields", _SINGLE],
    f"{_STAC}/v1.0.0/item-search#sort": [_VALIDATOR, f"{_CLIENT}::test_orders"],
    f"{_STAC}/v1.0.0/item-search#filter": _ITEM_FILTER,
    f"{_STAC}/v1.0.0-rc.3/item-search#filter": _ITEM_FILTER,
    f"{_STAC}/v1.0.0/collection-search": _LISTED,
    f"{_STAC}/v1.0.0-rc.1/collection-search": _LISTED,
    f"{_STAC}/v1.0.0-rc.1/collection-search#free-text": [
        f"{_CLIENT}::test_collection_search",
        f"{_CATALOG}/test_catalog_sequences.py::test_free_text_finds_titles_contributors_and_instances",
    ],
    f"{_STAC}/v1.0.0-rc.1/collection-search#sort": [
        f"{_CATALOG}/test_catalog_sequences.py::test_every_order_is_walked_whole_both_ways",
        f"{_CATALOG}/test_catalog_sequences.py::test_orders_are_what_they_say",
    ],
    f"{_STAC}/v1.0.0-rc.1/collection-search#filter": [
        "test_cql2.py::test_collections_are_filtered_by_what_their_queryables_name"
    ],
    f"{_OGC}/ogcapi-common-2/1.0/conf/simple-query": _LISTED,
    f"{_OGC}/ogcapi-features-1/1.0/conf/core": [
        _VALIDATOR,
        "test_ogc_features.py::test_landing_page_leads_to_definition_conformance_and_data",
        "test_ogc_features.py::test_every_collection_is_listed_with_its_items_and_is_the_same_by_itself",
        "test_ogc_features.py::test_bbox_selects_what_it_meets",
        "test_ogc_features.py::test_datetime_selects_instants_and_intervals",
        "test_ogc_features.py::test_parameters_that_cannot_be_are_400",
        "test_openapi.py::test_every_answer_is_one_the_document_knows",
    ],
    f"{_OGC}/ogcapi-features-1/1.0/conf/geojson": [
        "test_ogc_features.py::test_items_are_a_feature_collection_that_says_how_many_it_has",
        "test_ogc_features.py::test_one_feature_is_the_one_of_the_list",
    ],
    f"{_OGC}/ogcapi-features-3/1.0/conf/filter": [*_ITEM_FILTER, f"{_CLIENT}::test_queryables"],
    f"{_OGC}/cql2/1.0/conf/cql2-text": [_VALIDATOR, *_COMPARED, *_SPATIAL, *_TEMPORAL],
    f"{_OGC}/cql2/1.0/conf/cql2-json": [_VALIDATOR, f"{_CLIENT}::test_filters"],
    f"{_OGC}/cql2/1.0/conf/basic-cql2": [_VALIDATOR, *_COMPARED, _FILTERS],
    f"{_OGC}/cql2/1.0/conf/advanced-comparison-operators": [_VALIDATOR, *_COMPARED],
    f"{_OGC}/cql2/1.0/conf/case-insensitive-comparison": _COMPARED,
    f"{_OGC}/cql2/1.0/conf/accent-insensitive-comparison": _COMPARED,
    f"{_OGC}/cql2/1.0/conf/basic-spatial-functions": [_VALIDATOR, *_SPATIAL],
    f"{_OGC}/cql2/1.0/conf/basic-spatial-functions-plus": _SPATIAL,
    f"{_OGC}/cql2/1.0/conf/spatial-functions": _SPATIAL,
    f"{_OGC}/cql2/1.0/conf/temporal-functions": _TEMPORAL,
    f"{_OGC}/cql2/1.0/conf/property-property": _COMPARED,
    f"{_OGC}/cql2/1.0/conf/basic-spatial-operators": _SPATIAL,
    f"{_OGC}/cql2/1.0/conf/spatial-operators": _SPATIAL,
    f"{_OGC}/cql2/1.0/conf/temporal-operators": _TEMPORAL,
}


@cache
def functions_of(file: str) -> frozenset[str]:
    """The names of the tests in a file."""
    module = ast.parse((HERE / file).resolve().read_text(encoding="utf-8"))
    functions = (node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def test_what_is_declared_is_shown() -> None:
    assert sorted(CONFORMS_TO) == sorted(SHOWN_BY)


@pytest.mark.parametrize("name", sorted({each for tests in SHOWN_BY.values() for each in tests}))
def test_who_shows_it_is_there(name: str) -> None:
    file, _, function = name.partition("::")
    assert function in functions_of(file)


def test_the_validator_is_asked_for_every_class_it_shows() -> None:
    asked = {each for classes, _ in RUNS for each in classes}
    shown = {name.rpartition("/")[2] for name, tests in SHOWN_BY.items() if _VALIDATOR in tests and _STAC in name}
    known = {"ogcapi-features": "features", "item-search#filter": "filter"}
    assert {known.get(each, each) for each in shown} <= asked


def test_every_file_named_is_run() -> None:
    """Here, or with all tests."""
    folders = {(HERE / name.partition("::")[0]).resolve().parent for tests in SHOWN_BY.values() for name in tests}
    assert folders <= {HERE, Path(HERE / _CATALOG).resolve()}
