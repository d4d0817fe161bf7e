"""What happens in the federation as feeds: Atom (RFC 4287) and JSON Feed 1.1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

import orjson

from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, NotFound
from catalog_api.state import Catalog
from catalog_api.web.event_words import Event, read_events
from catalog_api.web.pages import Page, page
from federation.queries import query

ATOM = b"application/atom+xml; charset=utf-8"
JSON_FEED = b"application/feed+json"
_MOST = 100
#: No XML 1.0 document may hold these, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@page
async def get_atom(made: Page) -> Answer:
    """GET /events.atom."""
    base, events = await _read(made)
    return Answer(body=write_atom(base, _title(made), made.link("/events.atom"), events), media_type=ATOM)


@page
async def get_json(made: Page) -> Answer:
    """GET /events.json."""
    base, events = await _read(made)
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": _title(made),
        "home_page_url": f"{base}/instances",
        "feed_url": base + made.link("/events.json"),
        "language": made.words.code,
        "items": [_item(base, event) for event in events],
    }
    return Answer(body=orjson.dumps(feed), media_type=JSON_FEED)


async def _read(made: Page) -> tuple[str, list[Event]]:
    """The address of this catalog, and the latest events: of all, or with `instance` of one."""
    catalog, name = made.catalog, made.request.query_params.get("instance", "")
    number = await _number_of(catalog, name) if name else None
    base = catalog.writer(host_of(made.request)).base.removesuffix("/api")
    return base, await read_events(catalog.index, made.words, _MOST, instance=number)


async def _number_of(catalog: Catalog, name: str) -> int:
    """Of an instance by name or id, or of one that had them and has left: who follows it is told so."""
    try:
        return int((await catalog.health.one(name)).row["n"])
    except NotFound:
        left = [] if "\x00" in name else await catalog.index.fetch(query("instance_that_left"), name)
        if not left:
            raise
        return int(left[0]["instance"])


def _title(made: Page) -> str:
    return made.words.say("feed_title", title=made.catalog.settings.catalog_title)


def _item(base: str, event: Event) -> dict[str, object]:
    return {
        "id": _id(base, event),
        "url": _link(base, event),
        "title": event.title,
        "content_text": event.text or event.title,
        "date_published": event.at.isoformat(),
        "tags": [event.kind],
        "_panofed": {"n": event.n, "kind": event.kind, "instance": event.id or None, "name": event.name}
        | {"details": event.details},
    }


def _id(base: str, event: Event) -> str:
    """The same whatever the language, and for ever: events have numbers."""
    return f"{base}/events#{event.n}"


def _link(base: str, event: Event) -> str:
    return f"{base}/instances/{event.id}" if event.id else f"{base}/instances"


def write_atom(base: str, title: str, here: str, events: Sequence[Event]) -> bytes:
    """The document, the latest event first."""
    feed = ElementTree.Element("feed", {"xmlns": "http://www.w3.org/2005/Atom"})
    _text(feed, "id", f"{base}/events")
    _text(feed, "title", title)
    _text(feed, "updated", (events[0].at if events else datetime(1970, 1, 1, tzinfo=UTC)).isoformat())
    ElementTree.SubElement(feed, "link", {"rel": "self", "type": "application/atom+xml", "href": base + here})
    ElementTree.SubElement(feed, "link", {"rel": "alternate", "type": "text/html", "href": f"{base}/instances"})
    author = ElementTree.SubElement(feed, "author")
    _text(author, "name", title)
    for event in events:
        entry = ElementTree.SubElement(feed, "entry")
        _text(entry, "id", _id(base, event))
        _text(entry, "title", event.title)
        _text(entry, "updated", event.at.isoformat())
        ElementTree.SubElement(entry, "link", {"rel": "alternate", "type": "text/html", "href": _link(base, event)})
        ElementTree.SubElement(entry, "category", {"term": event.kind})
        _text(entry, "summary", event.text or event.title)
    return bytes(ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True))


def _text(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, name).text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
