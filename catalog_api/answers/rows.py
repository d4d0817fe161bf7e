"""Pictures as plain rows for maps and tables: GeoJSON, newline-delimited JSON, CSV; each says whose it is."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from catalog_api.answers.documents import open_item
from catalog_api.answers.pages import Form, Links
from catalog_api.edge.responses import GEOJSON, BadRequest, Headers
from catalog_api.index.registry import Instance
from catalog_api.search.paging import Page
from catalog_api.state import Catalog
from federation.database import Row

#: Columns in their order; `longitude` and `latitude` are the geometry where there is one.
COLUMNS = (
    "id", "collection", "datetime", "longitude", "latitude", "azimuth", "field_of_view", "rank", "camera_manufacturer",
    "camera_model", "license", "provider", "instance", "origin", "hd", "sd", "thumb", "created", "updated",
)  # fmt: skip
#: What a spreadsheet takes for a formula, in both widths: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_BLANKS = " \t\r\n\v\f\0"


def read_format(value: object) -> str | None:
    """The form that is asked for, None for STAC items."""
    if value in (None, "", "json", "stac"):
        return None
    if not isinstance(value, str) or value not in _FORMS:
        raise BadRequest("format", value, f"is none of json, {', '.join(_FORMS)}")
    return value


def form_of(name: str, catalog: Catalog, links: Links) -> Form:
    """What writes that form."""
    return _FORMS[name](catalog=catalog, links=links)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RowForm:
    catalog: Catalog
    links: Links
    opening: ClassVar[bytes] = b""
    between: ClassVar[bytes] = b""
    media_type: ClassVar[bytes]
    suffix: ClassVar[str]

    @property
    def headers(self) -> Headers:
        """The name under which it is kept."""
        return [(b"content-disposition", f'attachment; filename="pictures.{self.suffix}"'.encode())]

    async def write(self, page: Page) -> list[bytes]:
        """The pictures of a page as rows."""
        registry = self.catalog.registry
        await registry.prepare([row for row, _ in page.pictures])
        written = []
        for row, sequence in page.pictures:
            document = open_item(registry.picture_text(row, sequence)[0])
            written.append(self.line(row_of(row, sequence, document, registry.instances[row["instance"]])))
        return written

    def line(self, row: dict[str, Any]) -> bytes:
        """One row."""
        return orjson.dumps(_feature(row))

    def closing(self, page: Page, sent: int) -> bytes:
        """Nothing more."""
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class _GeoJson(_RowForm):
    media_type: ClassVar[bytes] = GEOJSON
    suffix: ClassVar[str] = "geojson"
    opening: ClassVar[bytes] = b'{"type":"FeatureCollection","features":[\n'
    between: ClassVar[bytes] = b",\n"

    def closing(self, page: Page, sent: int) -> bytes:
        """Whether there is more, and how many there were."""
        links = [orjson.dumps(link) for link in self.links(page)]
        return b'\n],"links":[%b],"numberReturned":%d}\n' % (b",".join(links), sent)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lines(_RowForm):
    media_type: ClassVar[bytes] = b"application/x-ndjson"
    suffix: ClassVar[str] = "ndjson"

    def line(self, row: dict[str, Any]) -> bytes:
        """One feature and the end of its line."""
        return orjson.dumps(_feature(row)) + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Csv(_RowForm):
    media_type: ClassVar[bytes] = b"text/csv; charset=utf-8; header=present"
    suffix: ClassVar[str] = "csv"
    opening: ClassVar[bytes] = ",".join(COLUMNS).encode() + b"\r\n"

    def line(self, row: dict[str, Any]) -> bytes:
        """One line as RFC 4180 has it."""
        text = io.StringIO()
        csv.writer(text).writerow([cell_of(row.get(column)) for column in COLUMNS])
        return text.getvalue().encode()


_FORMS: dict[str, type[_RowForm]] = {"geojson": _GeoJson, "ndjson": _Lines, "csv": _Csv}


def cell_of(value: object) -> object:
    """A value for a spreadsheet: text that it would run as a formula gets a quote before it.

    >>> cell_of("=HYPERLINK(1)"), cell_of(" @x"), cell_of(-1.5), cell_of("2024-05-02"), cell_of(None)
    ("'=HYPERLINK(1)", "' @x", -1.5, '2024-05-02', '')
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    risky = value.lstrip(_BLANKS).startswith(_FORMULA) or value.startswith(("\t", "\r", "\n"))
    return f"'{value}" if risky else value


def _feature(row: dict[str, Any]) -> dict[str, Any]:
    place = ("longitude", "latitude")
    return {
        "type": "Feature",
        "id": row["id"],
        "geometry": {"type": "Point", "coordinates": [row[name] for name in place]},
        "properties": {name: value for name, value in row.items() if name not in place},
    }


def row_of(row: Row, sequence: str, document: dict[str, Any], instance: Instance) -> dict[str, Any]:
    """The columns of a picture that have a value. Origins may send anything: what is of another kind is left out."""
    properties = _object(document.get("properties"))
    camera = _object(properties.get("pers:interior_orientation"))
    assets = _object(document.get("assets"))
    identifier = str(row["id"])
    found: dict[str, Any] = {
        "id": identifier,
        "collection": sequence,
        "datetime": row["datetime"].isoformat(),
        "longitude": row["longitude"],
        "latitude": row["latitude"],
        "azimuth": row["azimuth"],
        "field_of_view": _number(camera.get("field_of_view")),
        "rank": row["rank"],
        "camera_manufacturer": _text(camera.get("camera_manufacturer")),
        "camera_model": _text(camera.get("camera_model")),
        "license": _text(properties.get("license")),
        "provider": _provider(document.get("providers")),
        "instance": instance.name,
        "origin": _origin(properties, sequence, identifier, instance),
        **{name: _text(_object(assets.get(name)).get("href")) for name in ("hd", "sd", "thumb")},
        **{name: row[name] and row[name].isoformat() for name in ("created", "updated")},
    }
    return {name: value for name, value in found.items() if value is not None}


def _origin(properties: dict[str, Any], sequence: str, identifier: str, instance: Instance) -> str:
    # other STAC servers' ids need not be UUIDs: the item says what its origin calls it
    theirs = (_text(properties.get(f"panofed:origin_{kind}")) for kind in ("collection", "id"))
    of, named = (quote(name or ours, safe="") for name, ours in zip(theirs, (sequence, identifier), strict=True))
    return f"{instance.api}/collections/{of}/items/{named}"


def _provider(providers: object) -> str | None:
    names = [_text(_object(each).get("name")) for each in (providers if isinstance(providers, list) else [])]
    return ", ".join(name for name in names if name) or None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
