"""The local instance: every paging a harvester may choose returns each sequence and each picture once."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bench.instance import Answer, LocalInstance, RequestError, Slice
from bench.plan import DatasetSpec
from bench.source import SourceState, open_states, serve, warm

NO_ID = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def port() -> int:
    """The first of two neighbouring free ports: the addresses are inside every rendered item."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            number: int = first.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", number + 1)).close()
            except OSError:
                continue
            return number


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rendered")


@pytest.fixture
def states(directory: Path, port: int) -> Any:
    opened = open_states(DatasetSpec(items=6_000, instances=2), port, directory)
    yield opened
    for state in opened:
        state.items_file.close()


@pytest.fixture
def instance(states: list[SourceState]) -> LocalInstance:
    return states[0].instance


def body_of(instance: LocalInstance, answer: Answer) -> Any:
    data = instance.rendered.items_path.read_bytes()
    return json.loads(b"".join(data[p.start : p.stop] if isinstance(p, Slice) else p for p in answer.parts))


def crawl(instance: LocalInstance, limit: int, extra: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    last = NO_ID
    while True:
        query = {"limit": str(limit), "sortby": "+id", "filter": f"{extra}id > '{last}'"}
        page = body_of(instance, instance.collections(query))["collections"]
        if not page:
            return found
        found += page
        last = page[-1]["id"]


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_keyset_paging_by_id_lists_each_sequence_once(instance: LocalInstance, limit: int) -> None:
    ids = [collection["id"] for collection in crawl(instance, limit)]
    assert ids == sorted(set(ids)) == instance.rendered.ids


@pytest.mark.parametrize("sortby", ["+id", "+updated"])
def test_next_links_list_each_sequence_once(instance: LocalInstance, sortby: str) -> None:
    ids: list[str] = []
    query = {"limit": "4", "sortby": sortby}
    while query:
        answer = body_of(instance, instance.collections(query))
        ids += [collection["id"] for collection in answer["collections"]]
        following = [link["href"] for link in answer["links"] if link["rel"] == "next"]
        query = dict(urllib.parse.parse_qsl(following[0].partition("?")[2])) if following else {}
    assert sorted(ids) == instance.rendered.ids


@pytest.mark.parametrize("limit", [None, 1, 50, 10_000])
def test_item_pages_hold_each_picture_once_in_rank_order(instance: LocalInstance, limit: int | None) -> None:
    for row in range(0, len(instance.rendered.ids), 9):
        ranks: list[int] = []
        query = {} if limit is None else {"limit": str(limit)}
        while query is not None:
            page = body_of(instance, instance.items(instance.rendered.ids[row], query))
            rels = [link["rel"] for link in page["features"][0]["links"]]
            assert "prev" not in rels, "the first item of a page has none"
            ranks += [item["properties"]["geovisio:rank_in_collection"] for item in page["features"]]
            following = [link["href"] for link in page["links"] if link["rel"] == "next"]
            if not following:
                break
            query = dict(urllib.parse.parse_qsl(following[0].partition("?")[2]))
        assert ranks == list(range(1, int(instance.rendered.counts[row]) + 1))


def test_a_time_window_lists_only_what_changed_in_it(instance: LocalInstance) -> None:
    since = body_of(instance, instance.collections({}))["collections"][3]["updated"]
    expected = [c["id"] for c in crawl(instance, 1000) if c["updated"] > since]
    assert [
        c["id"] for c in crawl(instance, 5, f"status IN ('deleted','ready') AND updated > '{since}' AND ")
    ] == expected
    assert crawl(instance, 5, f"updated > '{since}' AND updated <= '{since}' AND ") == []
    assert len(crawl(instance, 5, f"updated >= '{since}' AND updated <= '{since}' AND ")) == 1


def test_a_touched_sequence_is_listed_as_changed_and_its_items_differ(instance: LocalInstance) -> None:
    sequence = instance.touch(1, 2)[0]
    changed = crawl(instance, 10, "updated > '2026-07-15T00:00:00Z' AND ")
    assert [c["id"] for c in changed] == [sequence]
    items = body_of(instance, instance.items(sequence, {"limit": "10"}))["features"]
    assert [item["properties"]["updated"] == changed[0]["updated"] for item in items[:3]] == [True, True, False]
    assert body_of(instance, instance.collection(sequence))["updated"] == changed[0]["updated"]


def test_a_hidden_picture_is_gone_and_counted_still(instance: LocalInstance) -> None:
    sequence = instance.touch(1, 0, 1)[0]
    count = body_of(instance, instance.collection(sequence))["stats:items"]["count"]
    assert len(body_of(instance, instance.items(sequence, {}))["features"]) == count - 1


def test_a_deleted_sequence_is_a_tombstone_and_comes_back_under_its_id(instance: LocalInstance) -> None:
    sequence = instance.delete(1)[0]
    assert sequence not in [c["id"] for c in crawl(instance, 1000)]
    listed = crawl(instance, 1000, "status IN ('deleted','ready') AND updated > '2026-07-15T00:00:00Z' AND ")
    assert listed == [{"geovisio:status": "deleted", "id": sequence}]
    with pytest.raises(RequestError, match="doesn't exist"):
        instance.items(sequence, {})
    assert instance.restore() == [sequence]
    assert sequence in [c["id"] for c in crawl(instance, 1000)]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": "0"}, 400),
        ({"limit": "1001"}, 400),
        ({"filter": "x = '1'"}, 400),
        ({"filter": "updated > 'no'"}, 500),
    ],
)
def test_bad_parameters_are_refused_as_an_instance_does(
    instance: LocalInstance, query: dict[str, str], status: int
) -> None:
    with pytest.raises(RequestError) as caught:
        instance.collections(query)
    assert caught.value.status == status


def test_a_rank_beyond_the_last_is_not_found(instance: LocalInstance) -> None:
    with pytest.raises(RequestError, match="last available rank"):
        instance.items(instance.rendered.ids[0], {"startAfterRank": "99999"})


@pytest_asyncio.fixture
async def served(states: list[SourceState], port: int) -> AsyncIterator[list[SourceState]]:
    ready = asyncio.Event()
    task = asyncio.create_task(serve(states, port, ready.set))
    await ready.wait()
    yield states
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _get(url: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[dict[str, str], bytes]:
    with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers or {})) as answer:
        return {key.lower(): value for key, value in answer.headers.items()}, answer.read()


async def test_pages_travel_whole_over_http(served: list[SourceState]) -> None:
    for state in served:
        rendered = state.instance.rendered
        row = int(rendered.counts.argmax())
        url = f"{state.instance.base}/api/collections/{rendered.ids[row]}/items"
        headers, body = await asyncio.to_thread(_get, url)
        assert "date" in headers
        assert len(json.loads(body)["features"]) == int(rendered.counts[row])
        _, second = await asyncio.to_thread(_get, url + "?limit=20&startAfterRank=20")
        assert json.loads(second) == body_of(
            state.instance, state.instance.items(rendered.ids[row], {"limit": "20", "startAfterRank": "20"})
        )


async def test_compressed_and_plain_pages_are_the_same(served: list[SourceState]) -> None:
    served[0].compress = True
    url = f"{served[0].instance.base}/api/collections/{served[0].instance.rendered.ids[0]}/items?limit=5"
    _, plain = await asyncio.to_thread(_get, url)
    for _ in range(2):
        headers, packed = await asyncio.to_thread(_get, url, "GET", {"Accept-Encoding": "gzip"})
        assert headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed) == plain


async def test_warmed_pages_are_compressed_before_anybody_asks(served: list[SourceState]) -> None:
    warm(served[0], 100)
    rendered = served[0].instance.rendered
    assert len(served[0].packed) == sum(-(-int(count) // 100) for count in rendered.counts)


async def test_control_requests_edit_and_count(served: list[SourceState]) -> None:
    base = served[1].instance.base
    _, touched = await asyncio.to_thread(_get, base + "/control/touch?sequences=3&items=1", "POST")
    assert len(json.loads(touched)["sequences"]) == 3
    await asyncio.to_thread(_get, base + "/api/")
    _, stats = await asyncio.to_thread(_get, base + "/control/stats")
    assert json.loads(stats)["requests"] == 1
