"""The newest sequences as an RSS 2.0 feed, with their place as GeoRSS, for feed readers and bots."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from xml.etree import ElementTree

from starlette.requests import Request

from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer
from catalog_api.query.params import joined
from catalog_api.search.listing import list_params, list_sequences
from catalog_api.state import catalog_of
from federation.database import Row
from federation.queries import query

RSS = b"application/rss+xml; charset=utf-8"
_LIMIT_DEFAULT = 50
#: Newest at its instance: an old instance that joins the federation is no news of each of its sequences.
_ORDER = "-created"
#: No XML 1.0 document may hold these, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: The zoom at which a street fills a screen.
_MAP_ZOOM = 18


async def get_feed(request: Request) -> Answer:
    """GET /api/collections?format=rss; the other parameters of the list hold too."""
    catalog, asked = catalog_of(request), joined(request.query_params.multi_items())
    most = catalog.settings.collections_limit_max
    params = list_params(asked, most, order=_ORDER, limit=_LIMIT_DEFAULT)
    page = await list_sequences(catalog.index, params)
    rows = [row for row in page.rows if not row["removed"]]
    await catalog.registry.prepare(rows)
    found = await catalog.index.fetch(query("catalog_account_names"), [row["account"] for row in rows])
    names = {row["n"]: row["name"] for row in found}
    base = catalog.writer(host_of(request)).base
    places = {n: each.name for n, each in catalog.registry.instances.items()}
    title, description = catalog.settings.catalog_title, catalog.settings.catalog_description
    return Answer(body=write_feed(base, title, description, rows, names, places), media_type=RSS)


def write_feed(
    base: str, title: str, description: str, rows: Sequence[Row], names: Mapping[int, str], instances: Mapping[int, str]
) -> bytes:
    """The document; `names` of accounts and `instances` by their numbers."""
    rss = ElementTree.Element(
        "rss",
        {
            "version": "2.0",
            "xmlns:dc": "http://purl.org/dc/elements/1.1/",
            "xmlns:georss": "http://www.georss.org/georss",
            "xmlns:atom": "http://www.w3.org/2005/Atom",
        },
    )
    channel = ElementTree.SubElement(rss, "channel")
    _text(channel, "title", title)
    _text(channel, "link", base.removesuffix("/api") + "/")
    _text(channel, "description", description)
    here = {"rel": "self", "type": "application/rss+xml", "href": f"{base}/collections?format=rss"}
    ElementTree.SubElement(channel, "atom:link", here)
    newest = max((row["created"] for row in rows if row["created"]), default=None)
    _date(channel, "lastBuildDate", newest)
    for row in rows:
        _item(channel, base, row, names.get(row["account"], ""), instances[row["instance"]])
    return bytes(ElementTree.tostring(rss, encoding="utf-8", xml_declaration=True))


def _item(channel: ElementTree.Element, base: str, row: Row, name: str, instance: str) -> None:
    item, here = ElementTree.SubElement(channel, "item"), f"{base}/collections/{row['id']}"
    _text(item, "title", row["title"] or str(row["id"]))
    place = middle(row["bbox"])
    if place is None:
        _text(item, "link", here)
    else:
        latitude, longitude = place
        _text(item, "link", f"{base.removesuffix('/api')}/#focus=map&map={_MAP_ZOOM}/{latitude}/{longitude}")
    _text(item, "description", _description(row, name, instance))
    if name:
        _text(item, "dc:creator", name)
    _date(item, "pubDate", row["created"])
    # the length of a picture elsewhere is not known; the specification asks for a number
    ElementTree.SubElement(item, "enclosure", {"url": f"{here}/thumb.jpg", "length": "0", "type": "image/jpeg"})
    ElementTree.SubElement(item, "guid", {"isPermaLink": "true"}).text = here
    if place is not None:
        _text(item, "georss:point", f"{place[0]} {place[1]}")


def middle(bbox: Sequence[float] | None) -> tuple[float, float] | None:
    """(latitude, longitude) of the middle of [west, south, east, north], as GeoRSS orders them.

    >>> middle([2.0, 48.0, 3.0, 49.0]), middle([179.0, -17.0, -177.0, -16.0])
    ((48.5, 2.5), (-16.5, -179.0))
    """
    if not bbox:
        return None
    west, south, east, north = bbox
    longitude = (west + (east if west <= east else east + 360)) / 2
    return round((south + north) / 2, 6), round(longitude - 360 if longitude > 180 else longitude, 6)


def _description(row: Row, name: str, instance: str) -> str:
    who = f" by {name}" if name else ""
    when = f", taken on {row['datetime_min']:%Y-%m-%d}" if row["datetime_min"] else ""
    return f"{row['pictures']:,} pictures{who} on {instance}{when}"


def _text(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = _NOT_XML.sub("", text)


def _date(parent: ElementTree.Element, tag: str, when: datetime | None) -> None:
    if when is not None:
        _text(parent, tag, format_datetime(when, usegmt=True))
