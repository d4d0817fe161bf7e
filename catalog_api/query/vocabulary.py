"""What can be filtered: the queryables of pictures and of sequences, each with its type, unit and SQL expression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Literal

from federation.queries import query

Kind = Literal["text", "real", "number", "instant", "interval", "uuid", "geometry"]

#: How PostgreSQL is told the type of a value. Columns of type real are compared as such: 2.1 is not 2.1 as float8.
CASTS: Mapping[str, str] = MappingProxyType(
    {"text": "text", "real": "real", "number": "float8", "instant": "timestamptz", "uuid": "uuid"}
)
_TYPES: Mapping[str, dict[str, str]] = MappingProxyType(
    {
        "text": {"type": "string"},
        "real": {"type": "number"},
        "number": {"type": "number"},
        "instant": {"type": "string", "format": "date-time"},
        "interval": {"type": "string", "format": "date-time"},
        "uuid": {"type": "string", "format": "uuid"},
        "geometry": {"$ref": "https://geojson.org/schema/Geometry.json"},
    }
)
#: The relation of links that lead to a list of these.
QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
#: Tags are queryables without an end: `semantics.<key>`.
TAG_PREFIX = "semantics."


@dataclass(frozen=True, slots=True, kw_only=True)
class Queryable:
    """One name that filters know. `sql` names its expression; `within` the statement part around a test of `value`.

    `end` is the expression of the end of an interval. `whole` says of a number that its column has integers:
    compared as such, an index can find them. `unit` is for people.
    """

    name: str
    kind: Kind
    sql: str
    description: str
    end: str = ""
    within: str = ""
    value: str = ""
    whole: bool = False
    unit: str = ""
    schema: Mapping[str, object] = field(default_factory=dict)

    @property
    def expression(self) -> str:
        """Its SQL."""
        return query(self.sql)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The queryables of one kind of record. `aliases` are other names in use; `tags` says whether it has tags."""

    title: str
    queryables: Mapping[str, Queryable]
    aliases: Mapping[str, str]
    tags: bool
    words: str

    def find(self, name: str) -> Queryable | None:
        """The queryable of a name, with or without `properties.` before it."""
        short = name.removeprefix("properties.")
        return self.queryables.get(self.aliases.get(short, short))


def _by_name(queryables: list[Queryable]) -> Mapping[str, Queryable]:
    return MappingProxyType({each.name: each for each in queryables})


_MAKE = "pers:interior_orientation.camera_manufacturer"
_MODEL = "pers:interior_orientation.camera_model"
_TYPE: dict[str, object] = {"enum": ["flat", "equirectangular"]}
_DEGREES: dict[str, object] = {"minimum": 0, "maximum": 360}

_PICTURES = [
    Queryable(name="id", kind="uuid", sql="picture_id", description="Picture"),
    Queryable(
        name="collection", kind="uuid", sql="picture_sequence_id", description="Its sequence",
        within="picture_sequence_within", value="o.id",
    ),
    Queryable(name="geometry", kind="geometry", sql="picture_geometry", description="Where it was taken"),
    Queryable(name="datetime", kind="instant", sql="picture_datetime", description="When it was taken"),
    Queryable(name="created", kind="instant", sql="picture_created", description="When its instance got it"),
    Queryable(name="updated", kind="instant", sql="picture_updated", description="When its instance changed it last"),
    Queryable(
        name="panofed:indexed", kind="instant", sql="picture_indexed",
        description="When this catalog last changed anything of its sequence",
    ),
    Queryable(
        name="type", kind="text", sql="picture_type", description="flat, or equirectangular (360 degrees)", schema=_TYPE
    ),
    Queryable(
        name="view:azimuth", kind="number", sql="picture_azimuth", description="Where it looks, from north",
        whole=True, unit="degrees", schema=_DEGREES,
    ),
    Queryable(
        name="field_of_view", kind="real", sql="picture_field_of_view", description="How wide it looks", unit="degrees",
        schema=_DEGREES,
    ),
    Queryable(
        name=_MAKE, kind="text", sql="picture_make", description="Maker of the camera",
        within="picture_make_within", value="c.manufacturer",
    ),
    Queryable(
        name=_MODEL, kind="text", sql="picture_model", description="Model of the camera",
        within="picture_model_within", value="c.model",
    ),
    Queryable(
        name="license", kind="text", sql="picture_license", description="Licence",
        within="picture_license_within", value="l.id",
    ),
    Queryable(
        name="geovisio:producer", kind="text", sql="picture_account_name", description="Name of the contributor",
        within="picture_account_within", value="a.name",
    ),
    Queryable(
        name="account", kind="uuid", sql="picture_account_id", description="The contributor's account at the instance",
        within="picture_account_within", value="a.id",
    ),
    Queryable(
        name="instance", kind="text", sql="picture_instance_name", description="Name of the instance",
        within="picture_instance_within", value="i.name",
    ),
    Queryable(
        name="instance_id", kind="text", sql="picture_instance_id", description="Stable id of the instance",
        within="picture_instance_within", value="i.id",
    ),
    Queryable(
        name="quality:horizontal_accuracy", kind="real", sql="picture_accuracy", description="How far off it may be",
        unit="m",
    ),
    Queryable(
        name="panoramax:horizontal_pixel_density", kind="real", sql="picture_pixel_density", description="Resolution",
        unit="pixels per degree",
    ),
    Queryable(
        name="original_file:size", kind="number", sql="picture_original_bytes", description="Size of the file",
        whole=True, unit="bytes",
    ),
    Queryable(
        name="geovisio:rank_in_collection", kind="number", sql="picture_rank", description="Its place in its sequence",
        whole=True,
    ),
]  # fmt: skip

_SEQUENCES = [
    Queryable(name="id", kind="uuid", sql="sequence_id", description="Sequence"),
    Queryable(name="title", kind="text", sql="sequence_title", description="Title"),
    Queryable(name="geometry", kind="geometry", sql="sequence_geometry", description="The box of its pictures"),
    Queryable(
        name="datetime", kind="interval", sql="sequence_first", end="sequence_last",
        description="From its first to its last picture: for temporal operators",
    ),
    Queryable(
        name="start_datetime", kind="instant", sql="sequence_first", description="When its first picture was taken"
    ),
    Queryable(name="end_datetime", kind="instant", sql="sequence_last", description="When its last picture was taken"),
    Queryable(name="created", kind="instant", sql="sequence_created", description="When its instance got it"),
    Queryable(name="updated", kind="instant", sql="sequence_updated", description="When its instance changed it last"),
    Queryable(
        name="panofed:indexed", kind="instant", sql="sequence_indexed",
        description="When this catalog last changed anything of it",
    ),
    Queryable(
        name="type", kind="text", sql="sequence_type", description="Of its pictures: flat, equirectangular, or mixed",
        schema={"enum": ["flat", "equirectangular", "mixed"]},
    ),
    Queryable(name="license", kind="text", sql="sequence_license", description="Licence"),
    Queryable(
        name="geovisio:producer", kind="text", sql="sequence_account_name", description="Name of the contributor",
        within="sequence_account_within", value="a.name",
    ),
    Queryable(
        name="account", kind="uuid", sql="sequence_account_id", description="The contributor's account at the instance",
        within="sequence_account_within", value="a.id",
    ),
    Queryable(
        name="instance", kind="text", sql="sequence_instance_name", description="Name of the instance",
        within="sequence_instance_within", value="i.name",
    ),
    Queryable(
        name="instance_id", kind="text", sql="sequence_instance_id", description="Stable id of the instance",
        within="sequence_instance_within", value="i.id",
    ),
    Queryable(
        name="status", kind="text", sql="sequence_status", description="ready, or deleted: what was served once",
        schema={"enum": ["ready", "deleted"]},
    ),
    Queryable(name="stats:items.count", kind="number", sql="sequence_pictures", description="Number of its pictures"),
    Queryable(
        name="geovisio:length_km", kind="number", sql="sequence_length", description="Length of its line", unit="km"
    ),
]  # fmt: skip

_COMMON = {"geom": "geometry", "account_id": "account", "producer": "geovisio:producer", "instance_name": "instance"}

PICTURES = Vocabulary(
    title="pictures",
    queryables=_by_name(_PICTURES),
    aliases=MappingProxyType(
        _COMMON
        | {
            "ts": "datetime",
            "collection_id": "collection",
            "pers:interior_orientation.field_of_view": "field_of_view",
            "azimuth": "view:azimuth",
            "make": _MAKE,
            "model": _MODEL,
            "geovisio:rank": "geovisio:rank_in_collection",
        }
    ),
    tags=True,
    words="picture_words",
)
SEQUENCES = Vocabulary(
    title="collections",
    queryables=_by_name(_SEQUENCES),
    aliases=MappingProxyType(_COMMON | {"length_km": "geovisio:length_km"}),
    tags=False,
    words="sequence_words",
)


@cache
def queryables_properties(title: str) -> dict[str, dict[str, object]]:
    """Name to JSON schema of each queryable of "pictures" or "collections"."""
    vocabulary = PICTURES if title == PICTURES.title else SEQUENCES
    found: dict[str, dict[str, object]] = {}
    for name, each in vocabulary.queryables.items():
        said: dict[str, object] = {"title": name, "description": each.description, **_TYPES[each.kind], **each.schema}
        found[name] = said | ({"unit": each.unit} if each.unit else {})
    return found


def queryables_schema(vocabulary: Vocabulary, address: str = "") -> dict[str, object]:
    """The JSON Schema document of a vocabulary; `address` is where it is served.

    >>> queryables_schema(PICTURES)["properties"]["view:azimuth"]["unit"]
    'degrees'
    """
    document: dict[str, object] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": address,
        "type": "object",
        "title": f"What {vocabulary.title} can be filtered by",
        "properties": queryables_properties(vocabulary.title),
    }
    if vocabulary.tags:
        tag = {
            "type": "string",
            "description": "Value of the tag after `semantics.`, of the picture, its annotations or its sequence",
        }
        document["patternProperties"] = {r"^semantics\..+$": tag}
    return document | {"additionalProperties": False}
