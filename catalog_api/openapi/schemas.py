"""JSON Schemas of the answers, for the OpenAPI document. Tests hold real answers to them."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_UUID: Schema = {"type": "string", "format": "uuid"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number", "minimum": 0}
_TEXTS: Schema = {"type": "array", "items": _TEXT}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(required: list[str] | None = None, **members: Schema) -> Schema:
    """An object with these members, all required unless named; others may be there."""
    return {"type": "object", "required": sorted(members) if required is None else required, "properties": members}


def _named(members: dict[str, Schema], *required: str) -> Schema:
    return {"type": "object", "required": list(required), "properties": members}


_LINKS = _many(_ref("Link"))
_EXTENT = _object(
    spatial=_object(bbox=_many({"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6})),
    temporal=_object(interval=_many({"type": "array", "items": _maybe(_TIME), "minItems": 2, "maxItems": 2})),
)
_POINT = _object(type={"const": "Point"}, coordinates={"type": "array", "items": {"type": "number"}, "minItems": 2})
_CATALOG = _object(type={"const": "Catalog"}, stac_version=_TEXT, id=_TEXT, description=_TEXT, links=_LINKS)
_USER = _object(id=_UUID, name=_TEXT, label=_TEXT, instance_name=_TEXT, links=_LINKS)
_ITEM_REQUIRED = ("type", "stac_version", "id", "geometry", "bbox", "properties", "links", "assets", "collection")

SCHEMAS: dict[str, Schema] = {
    "Error": _object(status=_COUNT, status_code=_COUNT, message=_TEXT, details={}),
    "Link": _object(["rel", "href"], rel=_TEXT, href=_TEXT, type=_TEXT, title=_TEXT),
    "Status": _object(["status"], status=_TEXT),
    "Conformance": _object(conformsTo=_TEXTS),
    "Catalog": _CATALOG,
    "Landing": {
        "allOf": [_CATALOG, _object(conformsTo=_TEXTS, extent=_EXTENT, nb_pictures=_COUNT, nb_sequences=_COUNT)]
    },
    "Configuration": _object(
        name=_ref("Label"), description=_ref("Label"), color=_TEXT, auth=_object(enabled={"type": "boolean"}),
        license={"type": "object"}, licenses=_many(_object(["id"], id=_TEXT, url=_TEXT)),
    ),
    "Style": _object(
        version={"const": 8}, name=_TEXT, metadata={"type": "object"}, layers=_many({"type": "object"}),
        sources={"type": "object"},
    ),
    "TileJson": _object(
        tilejson={"const": "3.0.0"}, name=_TEXT, tiles=_TEXTS, minzoom=_COUNT, maxzoom=_COUNT,
        bounds=_many({"type": "number"}),
        vector_layers=_many(_object(id=_TEXT, minzoom=_COUNT, maxzoom=_COUNT, fields={"type": "object"})),
    ),
    "Label": _object(label=_TEXT, langs={"type": "object", "additionalProperties": _TEXT}),
    "Collection": _object(
        type={"const": "Collection"}, stac_version=_TEXT, id=_TEXT, description=_TEXT, license=_TEXT, extent=_EXTENT,
        links=_LINKS,
    ),
    "Deleted": _named({"id": _UUID, "geovisio:status": {"const": "deleted"}}, "id", "geovisio:status"),
    "Collections": _object(
        ["collections", "links", "numberReturned"],
        collections=_many({"anyOf": [_ref("Collection"), _ref("Deleted")]}), links=_LINKS, numberReturned=_COUNT,
        numberMatched=_COUNT,
    ),
    "Item": _named(
        {
            "type": {"const": "Feature"}, "stac_version": _TEXT, "id": _TEXT, "collection": _TEXT, "geometry": _POINT,
            "bbox": {"type": "array", "items": {"type": "number"}}, "properties": {"type": "object"}, "links": _LINKS,
            "assets": {"type": "object"},
        },
        *_ITEM_REQUIRED,
    ),
    "Feature": _object(["type"], type={"const": "Feature"}),
    "ItemCollection": _object(
        ["type", "features", "links", "numberReturned"], type={"const": "FeatureCollection"},
        features=_many(_ref("Feature")), links=_LINKS, numberReturned=_COUNT, numberMatched=_COUNT,
    ),
    "Search": {
        "type": "object",
        "description": "The parameters of a search by their names; lists as arrays, geometries and filters as objects",
        "properties": {
            "limit": {"type": "integer", "minimum": 1}, "bbox": _many({"type": "number"}),
            "intersects": {"type": "object"}, "datetime": _TEXT, "ids": _TEXTS, "collections": _TEXTS,
            "filter": {"type": ["object", "string", "boolean"]}, "filter-lang": {"enum": ["cql2-text", "cql2-json"]},
            "sortby": {"type": ["array", "string"]}, "fields": {"type": ["object", "array", "string"]},
            "token": _TEXT,
        },
        "examples": [{"bbox": [2.3, 48.8, 2.4, 48.9], "limit": 10}],
    },
    "Queryables": _object(["type", "properties"], type={"const": "object"}, properties={"type": "object"}),
    "User": _USER,
    "Users": {"allOf": [_CATALOG, _object(users=_many(_ref("User")))]},
    "FoundUsers": _object(features=_many(_ref("User"))),
    "HealthOfInstance": _object(
        state={"enum": ["new", "fresh", "late", "failing", "paused", "braked", "disabled", "leaving", "left"]},
        since=_maybe(_TIME), reason=_maybe(_TEXT), last_success=_maybe(_TIME), lag_s=_maybe(_COUNT),
        last_visit=_maybe(_TIME), uptime={"type": "object", "additionalProperties": _maybe(_NUMBER)},
        latency_s=_maybe(_NUMBER), error_rate=_maybe(_NUMBER), errors=_many(_object(day=_TEXT, error=_TEXT)),
        certificate_until=_maybe(_TIME), length_km=_maybe(_NUMBER), nb_contributors=_maybe(_COUNT),
        nb_pictures_360=_maybe(_COUNT), nb_quarantined=_maybe(_COUNT),
    ),
    "Health": _object(
        federation=_object(
            instances=_COUNT, states={"type": "object", "additionalProperties": _COUNT}, nb_pictures=_COUNT,
            nb_sequences=_COUNT, nb_pictures_360=_COUNT, length_km=_NUMBER, visits_running=_COUNT,
            last_sign_of_harvester=_maybe(_TIME),
        ),
        instances=_many({"allOf": [_object(id=_TEXT, name=_TEXT), _ref("HealthOfInstance")]}),
    ),
    "Table": _object(columns=_TEXTS, rows=_many({"type": "array"})),
    "Run": _object(
        n=_COUNT, instance=_object(id=_TEXT, name=_TEXT), started_at=_TIME, ended_at=_maybe(_TIME), seconds=_NUMBER,
        phase=_TEXT, outcome={"enum": ["running", "done", "partial", "failed", "interrupted"]}, error=_maybe(_TEXT),
        progress=_maybe(
            _object(share=_maybe(_NUMBER), left_s=_maybe(_NUMBER), open_ended={"type": "boolean"})
        ),
        pictures_seen=_COUNT, pictures_changed=_COUNT, pictures_removed=_COUNT, requests=_COUNT, received_bytes=_COUNT,
    ),
    "Runs": _object(["runs"], runs=_many(_ref("Run")), before=_maybe(_COUNT)),
    "Freshness": _object(changes=_COUNT, median_s=_COUNT, p95_s=_COUNT),
    "Instance": _object(
        id=_TEXT, name=_TEXT, url=_TEXT, state={"enum": ["enabled", "disabled", "paused", "braked"]},
        configuration={"type": "object"}, last_succesful_harvest=_maybe(_TIME), last_successful_harvest=_maybe(_TIME),
        next_visit=_maybe(_TIME), lag_s=_maybe(_COUNT), stale={"type": "boolean"}, stale_reason=_maybe(_TEXT),
        freshness=_maybe(_ref("Freshness")), failures=_COUNT, last_error=_maybe(_TEXT), capabilities=_maybe(_TEXT),
        nb_sequences=_COUNT, nb_pictures=_COUNT, licenses=_TEXTS, extent=_object(temporal={"type": "object"}),
        health=_ref("HealthOfInstance"),
    ),
    "Instances": _object(instances=_many(_ref("Instance"))),
    "Figures": _object(
        nb_pictures=_COUNT, pictures_original_size=_COUNT, nb_contributors=_COUNT, nb_active_contributors=_COUNT,
        approximated_coverage_km=_NUMBER, collections_length_km=_NUMBER,
    ),
    "Stats": _object(
        generic_stats=_ref("Figures"),
        stats_by_instance={"type": "object", "additionalProperties": _ref("Figures")},
        stats_by_upload_month={
            "type": "object",
            "propertyNames": {"pattern": "^[0-9]{4}-[0-9]{2}$"},
            "additionalProperties": {"type": "object", "additionalProperties": _ref("Figures")},
        },
        computed_at=_TIME,
    ),
    "Ping": _object(instance=_TEXT, visit=_object(pinged_at=_TIME, next_visit_at=_TIME)),
    "Changes": _object(
        changes=_many(_ref("Change")),
        next=_TEXT, more={"type": "boolean"}, numberReturned=_COUNT, links=_LINKS,
    ),
    "Change": _object(
        ["collection", "kind", "at"], collection=_UUID, kind={"enum": ["upsert", "remove"]}, at=_TIME
    ),
    "Manifest": {"type": "object"},
}  # fmt: skip
