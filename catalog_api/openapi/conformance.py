"""What this catalog conforms to: one list, for every document. A class stands here when tests show it."""

from __future__ import annotations

_STAC, _OGC = "https://api.stacspec.org", "http://www.opengis.net/spec"

#: A class that was renamed stands here by both names: clients look for the one they were written with. CQL2's functions
#: were operators until OGC 21-065r2; the filter and collection search extensions have no release but candidates, and
#: instances name collection search without the candidate.
CONFORMS_TO = [
    f"{_STAC}/v1.0.0/core",
    f"{_STAC}/v1.0.0/collections",
    f"{_STAC}/v1.0.0/ogcapi-features",
    f"{_STAC}/v1.0.0/ogcapi-features#fields",
    f"{_STAC}/v1.0.0/item-search",
    f"{_STAC}/v1.0.0/item-search#fields",
    f"{_STAC}/v1.0.0/item-search#sort",
    f"{_STAC}/v1.0.0/item-search#filter",
    f"{_STAC}/v1.0.0-rc.3/item-search#filter",
    f"{_STAC}/v1.0.0/collection-search",
    f"{_STAC}/v1.0.0-rc.1/collection-search",
    f"{_STAC}/v1.0.0-rc.1/collection-search#free-text",
    f"{_STAC}/v1.0.0-rc.1/collection-search#sort",
    f"{_STAC}/v1.0.0-rc.1/collection-search#filter",
    f"{_OGC}/ogcapi-common-2/1.0/conf/simple-query",
    f"{_OGC}/ogcapi-features-1/1.0/conf/core",
    f"{_OGC}/ogcapi-features-1/1.0/conf/geojson",
    f"{_OGC}/ogcapi-features-3/1.0/conf/filter",
    f"{_OGC}/cql2/1.0/conf/cql2-text",
    f"{_OGC}/cql2/1.0/conf/cql2-json",
    f"{_OGC}/cql2/1.0/conf/basic-cql2",
    f"{_OGC}/cql2/1.0/conf/advanced-comparison-operators",
    f"{_OGC}/cql2/1.0/conf/case-insensitive-comparison",
    f"{_OGC}/cql2/1.0/conf/accent-insensitive-comparison",
    f"{_OGC}/cql2/1.0/conf/basic-spatial-functions",
    f"{_OGC}/cql2/1.0/conf/basic-spatial-functions-plus",
    f"{_OGC}/cql2/1.0/conf/spatial-functions",
    f"{_OGC}/cql2/1.0/conf/temporal-functions",
    f"{_OGC}/cql2/1.0/conf/property-property",
    f"{_OGC}/cql2/1.0/conf/basic-spatial-operators",
    f"{_OGC}/cql2/1.0/conf/spatial-operators",
    f"{_OGC}/cql2/1.0/conf/temporal-operators",
]
