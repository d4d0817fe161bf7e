"""Pages of pictures as answers: small ones at once, large ones streamed from one snapshot of the index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import orjson

from catalog_api.answers.fields import Fields
from catalog_api.answers.stac import Writer
from catalog_api.edge.responses import GEOJSON, Answer, Headers, TooBusy
from catalog_api.index.index import Index
from catalog_api.search.paging import Page
from catalog_api.state import Catalog

#: Answers with more pictures than this are streamed, in pieces of this size.
AT_ONCE = 1_000

#: A stream holds one state of the index: rows that change meanwhile cannot be cleaned up.
_LASTS_AT_MOST_S = 3_600.0

Link = dict[str, object]
#: (index, limit, token) > page
Ask = Callable[[Index, int, str | None], Awaitable[Page]]
#: (page) > the links of the answer that ends with it
Links = Callable[[Page], list[Link]]


class Form(Protocol):
    """How pictures are written: what stands before, between and after them."""

    @property
    def media_type(self) -> bytes:
        """Content type of the answer."""
        ...

    @property
    def headers(self) -> Headers:
        """Further headers of the answer."""
        ...

    @property
    def opening(self) -> bytes:
        """What the answer begins with."""
        ...

    @property
    def between(self) -> bytes:
        """What stands between two pictures."""
        ...

    async def write(self, page: Page) -> list[bytes]:
        """The pictures of a page."""
        ...

    def closing(self, page: Page, sent: int) -> bytes:
        """What the answer ends with: `page` has the first pictures and the last token."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StacForm:
    """A STAC item collection; of each item only the `fields`, where some are asked for."""

    catalog: Catalog
    writer: Writer
    links: Links
    fields: Fields | None = None
    media_type: bytes = GEOJSON
    headers: Headers = ()
    opening: bytes = b'{"type":"FeatureCollection","features":['
    between: bytes = b","

    async def write(self, page: Page) -> list[bytes]:
        """The pictures of a page as items."""
        return await write_features(self.catalog, self.writer, page, self.fields)

    def closing(self, page: Page, sent: int) -> bytes:
        """The links, and how many items there were."""
        ends = b",".join([self.writer.root, *(orjson.dumps(link) for link in self.links(page))])
        return b'],"links":[%b],"numberReturned":%d%b}' % (ends, sent, _matched(page))


def _matched(page: Page) -> bytes:
    """How many there are in all, or are known to be."""
    if page.matched is not None:
        return b',"numberMatched":%d' % page.matched
    return b',"panofed:matched_at_least":%d' % page.at_least if page.at_least else b""


async def answer_page(
    catalog: Catalog,
    writer: Writer,
    ask: Ask,
    links: Links,
    limit: int,
    token: str | None,
    *,
    fields: Fields | None = None,
) -> Answer:
    """The answer with the first `limit` pictures after `token`."""
    form = StacForm(catalog=catalog, writer=writer, links=links, fields=fields)
    return await answer_form(catalog, form, ask, limit, token, slots=catalog.large_answers)


async def answer_form(
    catalog: Catalog,
    form: Form,
    ask: Ask,
    limit: int,
    token: str | None,
    *,
    slots: asyncio.Semaphore,
) -> Answer:
    """The same in any form; more than `AT_ONCE` pictures come as a stream.

    `slots` is how many streams of this kind there can be.
    """
    # before anything is read: an answer may be newer than its validator says, never older
    validator = await catalog.validator() if limit > AT_ONCE else b""
    page = await ask(catalog.index, min(limit, AT_ONCE), token)
    if limit <= AT_ONCE or page.token is None:
        pictures = await form.write(page)
        body = _whole(form, pictures, form.closing(page, len(pictures)))
        return Answer(body=body, media_type=form.media_type, headers=form.headers)
    if slots.locked():
        raise TooBusy(f"large answers (over {AT_ONCE} pictures) are being sent already: come again, or lower limit")
    chunks = _stream(catalog, form, ask, Page([], token), limit, slots)
    return Answer(chunks=chunks, media_type=form.media_type, headers=form.headers, validator=validator)


def _whole(form: Form, pictures: list[bytes], closing: bytes) -> bytes:
    """All of an answer, copied once: megabytes of it are dear."""
    if not pictures:
        return form.opening + closing
    pictures[0] = form.opening + pictures[0]
    pictures[-1] += closing
    return form.between.join(pictures)


async def write_features(catalog: Catalog, writer: Writer, page: Page, fields: Fields | None = None) -> list[bytes]:
    """The pictures of a page as items."""
    await catalog.registry.prepare([row for row, _ in page.pictures])
    items = [writer.item(row, sequence) for row, sequence in page.pictures]
    return items if fields is None else [fields.take(item) for item in items]


async def _stream(
    catalog: Catalog, form: Form, ask: Ask, start: Page, limit: int, slots: asyncio.Semaphore
) -> AsyncIterator[bytes]:
    async with slots, catalog.snapshot() as index:
        yield form.opening
        sent, page, first, deadline = 0, start, Page([], None), time.monotonic() + _LASTS_AT_MOST_S
        while sent < limit:
            if time.monotonic() > deadline:
                # cut off, so that nobody takes it for all
                raise TooBusy(f"a client took more than {_LASTS_AT_MOST_S:.0f} s to read an answer")
            page = await ask(index, min(AT_ONCE, limit - sent), page.token)
            pictures = await form.write(page)
            first = first if sent else page
            yield (form.between if sent and pictures else b"") + form.between.join(pictures)
            sent += len(pictures)
            if page.token is None:
                break
        matched = first.matched
        if matched is None and page.token is None and start.token is None and first.at_least:
            matched = sent
        at_least = first.at_least and max(first.at_least, sent + (page.token is not None))
        yield form.closing(Page(first.pictures, page.token, matched, at_least), sent)
