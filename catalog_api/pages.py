"""Pages of pictures as answers: small ones at once, large ones streamed from one snapshot of the index."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import orjson

from catalog_api.index import Index
from catalog_api.responses import GEOJSON, Answer, TooBusy
from catalog_api.search import Page
from catalog_api.stac import Writer
from catalog_api.state import Catalog

#: Answers with more pictures than this are streamed, in pieces of this size.
AT_ONCE = 1_000

Link = dict[str, object]
#: (index, limit, token) > page
Ask = Callable[[Index, int, str | None], Awaitable[Page]]
#: (page) > the links of the answer that ends with it
Links = Callable[[Page], list[Link]]


async def answer_page(
    catalog: Catalog, writer: Writer, ask: Ask, links: Links, limit: int, token: str | None
) -> Answer:
    """The answer with the first `limit` pictures after `token`."""
    page = await ask(catalog.index, min(limit, AT_ONCE), token)
    if limit <= AT_ONCE or page.token is None:
        features = await write_features(catalog, writer, page)
        return Answer(body=writer.feature_collection(features, links(page)), media_type=GEOJSON)
    if catalog.large_answers.locked():
        raise TooBusy(f"large answers (over {AT_ONCE} pictures) are being sent already: come again, or lower limit")
    return Answer(chunks=_stream(catalog, writer, ask, links, limit, token), media_type=GEOJSON)


async def write_features(catalog: Catalog, writer: Writer, page: Page) -> list[bytes]:
    """The pictures of a page as items."""
    await catalog.registry.prepare([row for row, _ in page.pictures])
    return [writer.item(row, sequence) for row, sequence in page.pictures]


async def _stream(
    catalog: Catalog, writer: Writer, ask: Ask, links: Links, limit: int, token: str | None
) -> AsyncIterator[bytes]:
    async with catalog.large_answers, catalog.snapshot() as index:
        yield b'{"type":"FeatureCollection","features":['
        sent, page, opening = 0, Page([], token), Page([], None)
        while sent < limit:
            page = await ask(index, min(AT_ONCE, limit - sent), page.token)
            features = await write_features(catalog, writer, page)
            opening = opening if sent else page
            yield (b"," if sent and features else b"") + b",".join(features)
            sent += len(features)
            if page.token is None:
                break
        ends = b",".join([writer.root, *(orjson.dumps(link) for link in links(Page(opening.pictures, page.token)))])
        yield b'],"links":[%b],"numberReturned":%d}' % (ends, sent)
