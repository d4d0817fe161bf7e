"""Generated sequences as the collection JSON an instance really answers, in its list form and in its single form."""

from __future__ import annotations

import orjson

from bench.pictures import SequencePictures
from bench.texts import iso_text
from bench.world import INSTANCES, LICENSE_URLS

UPLOADERS = ("cli", "website", "mobile_app", "unknown")
TOMBSTONE = b'{"geovisio:status":"deleted","id":"%s"}'


def bbox_of(pictures: SequencePictures) -> list[float]:
    """West, south, east, north as the instance computes them: across the antimeridian the box spans the globe."""
    lon, lat = pictures.lon, pictures.lat
    return [float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())]


def collection_of(pictures: SequencePictures, base: str, *, listed: bool = True) -> dict[str, object]:
    """One collection; a listed one lacks the visibility and the camera summary, as on the instance."""
    plan, camera = pictures.plan, pictures.plan.camera
    url, license_name = f"{base}/api/collections/{plan.id}", INSTANCES[plan.instance].license
    title = f"{plan.town.name} {iso_text(plan.start_ms * 1000)[:10]} {plan.number}"
    summaries: dict[str, object] = {"panoramax:horizontal_pixel_density": [camera.width // camera.field_of_view]}
    collection: dict[str, object] = {
        "created": iso_text(int(pictures.created_us[-1]) + 400_000),
        "description": "A sequence of geolocated pictures",
        "extent": {
            "spatial": {"bbox": [bbox_of(pictures)]},
            "temporal": {"interval": [[iso_text(int(pictures.taken_ms[k]) * 1000) for k in (0, -1)]]},
        },
        "geovisio:length_km": round(pictures.length_m / 1000, 3),
        "geovisio:upload-software": UPLOADERS[plan.number % 4],
        "id": plan.id,
        "keywords": ["pictures", title],
        "license": license_name,
        "links": _links(url, base, license_name),
        "providers": [{"id": plan.account_id, "name": plan.account, "roles": ["producer"]}],
        "quality:horizontal_accuracy": pictures.accuracy_cm / 100,
        "quality:horizontal_accuracy_type": "95% confidence interval",
        "semantics": semantics_of(plan.number),
        "stac_extensions": [
            "https://stac-extensions.github.io/stats/v0.2.0/schema.json",
            "https://stac.linz.govt.nz/v0.0.15/quality/schema.json",
        ],
        "stac_version": "1.0.0",
        "stats:items": {"count": plan.count},
        "summaries": summaries,
        "title": title,
        "type": "Collection",
        "updated": iso_text(pictures.updated_us),
    }
    if not listed:
        collection["geovisio:visibility"] = "anyone"
        view = {"field_of_view": str(camera.field_of_view), "focal_length": str(camera.focal_mm)}
        summaries["pers:interior_orientation"] = [view | {"make": camera.make, "model": camera.model}]
    return collection


def semantics_of(number: int) -> list[dict[str, str]]:
    """About one sequence in eight carries a tag, which every item of it repeats."""
    return [{"key": "camera_support", "value": ("car", "bike", "pedestrian")[number % 3]}] if number % 8 == 3 else []


def _links(url: str, base: str, license_name: str) -> list[dict[str, str]]:
    json_type = "application/json"
    catalog = {"href": f"{base}/api/", "title": "Instance catalog", "type": json_type}
    return [
        {"href": f"{url}/items", "rel": "items", "title": "Pictures in this sequence", "type": "application/geo+json"},
        catalog | {"rel": "parent"},
        catalog | {"rel": "root"},
        {"href": url, "rel": "self", "title": "Metadata of this sequence", "type": json_type},
        {"href": LICENSE_URLS[license_name], "rel": "license", "title": f"License for this object ({license_name})"},
        {
            "href": f"{base}/api/upload_sets/{url[-36:-4]}0000",
            "rel": "upload_set",
            "title": "Link to the upload set",
            "type": json_type,
        },
    ]


def to_json(value: object) -> bytes:
    """Compact JSON with sorted keys, as the instance writes it."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
