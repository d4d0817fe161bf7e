"""Endpoints of one picture: the item wherever it lives, and redirects to its files on the origin."""

from __future__ import annotations

import orjson
from starlette.requests import Request

from catalog_api.answers.fields import read_fields
from catalog_api.answers.related import related_to
from catalog_api.answers.stac import alternate
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import GEOJSON, Answer, NotFound
from catalog_api.index.index import Index
from catalog_api.index.registry import Instance
from catalog_api.query.params import ALWAYS, as_uuid
from catalog_api.routes.sequences import sequence_id
from catalog_api.search.walks import RANK_MIN, RankPosition, read_copies
from catalog_api.state import Catalog, catalog_of
from federation.asset_hosts import host_named, is_among
from federation.assets import asset_href
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query

#: A permanent redirect would outlive transfers and takedowns.
_REDIRECT_CACHE = b"public, max-age=60"


async def get_picture(request: Request) -> Answer:
    """GET /api/pictures/{id} and /api/collections/{id}/items/{id}.

    A right picture under a wrong sequence is answered with its true sequence: links written elsewhere stay good when
    an instance moves a picture.
    """
    catalog = catalog_of(request)
    fields = read_fields(request.query_params.get("fields"))
    row = await _picture_row(catalog, request.path_params["picture"])
    await catalog.registry.prepare([row])
    writer = catalog.writer(host_of(request))
    more = [writer.related(each) for each in await related_to(catalog.index, row)]
    if row["copies"]:
        more.extend(await _alternates(catalog, str(row["id"]), row["copies"]))
    item = writer.item(row, str(row["sequence"]), more=more)
    return Answer(body=item if fields is None else fields.take(item), media_type=GEOJSON)


async def _picture_row(catalog: Catalog, text: str) -> Row:
    identifier = as_uuid(text)
    rows = [] if identifier is None else await catalog.index.fetch(query("catalog_picture"), identifier)
    if not rows or rows[0]["id"] is None:
        raise NotFound(f"there is no picture {text[:60]!r}")
    return rows[0]


async def _alternates(catalog: Catalog, identifier: str, copies: list[str]) -> list[bytes]:
    links = []
    for copy in copies:
        number, _, sequence = copy.partition(" ")
        instance = catalog.registry.instances.get(int(number))
        if instance is not None:
            links.append(alternate(instance, sequence, identifier))
    return links


async def get_file(request: Request) -> Answer:
    """GET /api/pictures/{id}/{hd,sd,thumb}.jpg: where the origin keeps it."""
    catalog, size = catalog_of(request), request.path_params["size"]
    if size not in ("hd", "sd", "thumb"):
        raise NotFound(f"there is no file {size[:60]!r}: only hd, sd and thumb")
    row = await _picture_row(catalog, request.path_params["picture"])
    await catalog.registry.prepare([row])
    return redirect(catalog, row, str(row["sequence"]), size)


async def get_thumbnail(request: Request) -> Answer:
    """GET /api/collections/{id}/thumb.jpg: that of its first picture."""
    catalog, identifier = catalog_of(request), sequence_id(request)
    row = await _first_picture(catalog.index, identifier)
    await catalog.registry.prepare([row])
    return redirect(catalog, row, identifier, "thumb")


async def _first_picture(index: Index, identifier: str) -> Row:
    async def work(leaves: LeafSet) -> list[Row]:
        known = await index.fetch(query("catalog_sequence_leaves"), [identifier])
        start = RankPosition(rank=RANK_MIN)
        return await read_copies(index, leaves, known, start, 1, ALWAYS, None) if known else []

    rows = await index.repeat(work)
    if not rows:
        raise NotFound(f"there is no picture in a collection {identifier}")
    return rows[0]


def redirect(catalog: Catalog, row: Row, sequence: str, size: str) -> Answer:
    """To the asset of the origin; NotFound when it names none, or a host nobody confirmed for it."""
    instance = catalog.registry.instances[row["instance"]]
    document = orjson.loads(catalog.registry.picture_text(row, sequence)[0])
    href = asset_href(document.get("assets"), size)
    if href is None:
        raise NotFound(f"picture {row['id']} names no {size} file")
    if not is_confirmed(href, instance):
        raise NotFound(_why_not(f"the {size} file of picture {row['id']}", href, instance))
    # what a header can carry: the rest of an address is percent-encoded by those who write it properly
    location = href.encode("ascii", "ignore")
    return Answer(status=302, cache=_REDIRECT_CACHE, headers=[(b"location", location)], media_type=b"text/plain")


def is_confirmed(href: str, instance: Instance) -> bool:
    """Whether a redirect may go there: http(s), nobody's credentials, a host of the instance.

    >>> hosts = frozenset({"a.org", "cdn.org"})
    >>> host = Instance(name="a", web="https://a.org", api="https://a.org/api", via=b"", hosts=hosts)
    >>> [is_confirmed(href, host) for href in ("https://cdn.org/1.jpg", "https://b.org/1.jpg", "ftp://a.org/1.jpg")]
    [True, False, False]
    >>> is_confirmed("https://a.org@b.org/1.jpg", host)
    False
    """
    plain = href.isascii() and href.isprintable() and " " not in href and "\\" not in href
    return plain and is_among(href, instance.hosts)


def _why_not(what: str, href: str, instance: Instance) -> str:
    """The host is named, for whoever can confirm it; the rest of the address is nothing to be led to."""
    host = host_named(href)
    if not host:
        return f"{what} has no address that can be led to"
    return f"{what} is on {host}, a host that is not confirmed for instance {instance.name}"
