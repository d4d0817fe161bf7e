"""What is stored of an item gives its text back to the byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from federation.errors import RecordRefused
from federation.payload import (
    REBUILT_RELS,
    Known,
    Packer,
    Unpacker,
    content_hash,
    join_object,
    kept_links,
    restore,
    shrink,
    split_object,
    storage_path,
    train,
    with_members,
)

ID = "dc0820d3-7c2b-483e-bda1-ed6b79a2118f"
SEQUENCE = "fa6fbdc9-2216-4977-a567-5098e4f38adc"
WHEN = datetime(2024, 5, 2, 7, 10, tzinfo=UTC)
KNOWN = Known(ID, SEQUENCE, 2.5, 48.0, WHEN, WHEN, datetime(26, 1, 2, 3, 4, 5, 6, tzinfo=UTC))

#: Texts in which what the row knows hides in every way, and texts that look like lists of bytes.
tricky = st.sampled_from(
    [
        ID,
        ID.upper(),
        f"https://x/{storage_path(ID.encode()).decode()}.jpg",
        f"{ID}{SEQUENCE}{ID[:20]}",
        "2.5",
        "12.50 48.00",
        WHEN.isoformat(),
        "48 50 51 255 0 1 2 3 4",
        "048 50 51 255 0 1 2 3 4",
        "300 50 51 255 0 1 2 3 4",
        "1 2 3 4 5 6 7 8 ",
        "\x01\x02\x04\x1e\x0b",
        '":"1 2 3 4 5 6 7 8 9"',
        "\\",
        "",
        "é\u2028😀",
    ]
)
texts = st.one_of(
    tricky, st.text(max_size=20), st.lists(st.integers(0, 999), max_size=20).map(lambda n: " ".join(map(str, n)))
)
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([2.5, 48.0, 2.50]))
values = st.recursive(
    st.one_of(texts, numbers, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
documents = st.dictionaries(texts, values, max_size=6)
#: The ways in which servers write JSON.
writers = st.sampled_from(
    [
        lambda body: json.dumps(body).encode(),
        lambda body: json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        lambda body: json.dumps(body, indent=2).encode(),
        lambda body: json.dumps(body, separators=(" , ", "  :\t")).encode(),
    ]
)


@settings(max_examples=300)
@given(documents, st.lists(documents, max_size=3), writers)
@example({"exif": {"a": "1 2 3 4 5 6 7 8 9"}, "id": ID}, [{"href": ID}], lambda body: json.dumps(body).encode())
def test_restore_gives_back_what_was_shrunk(document: Any, links: Any, write: Any) -> None:
    body, joined = write(document), b",".join(write(link) for link in links)
    assert restore(shrink(body, joined, KNOWN), KNOWN) == (body, joined)


@settings(max_examples=200)
@given(documents, st.text(min_size=36, max_size=36))
def test_a_collection_of_any_name_is_no_danger(document: Any, collection: str) -> None:
    known = KNOWN._replace(collection=collection)
    body = json.dumps(document | {"collection": collection, "x": [collection] * 2}, ensure_ascii=False)
    try:
        raw = body.encode()
    except UnicodeEncodeError:
        return
    assert restore(shrink(raw, b"", known), known) == (raw, b"")


def test_what_the_row_knows_is_left_out() -> None:
    body = json.dumps(
        {"id": ID, "collection": SEQUENCE, "geometry": [2.5, 48.0], "datetime": WHEN.isoformat()}
    ).encode()
    assert len(shrink(body, b"", KNOWN)) < len(body) - 80


@given(documents)
def test_members_keep_their_bytes(document: Any) -> None:
    raw = json.dumps(document, indent=1).encode()
    members = split_object(raw)
    assert orjson.loads(join_object(members, last="properties")) == orjson.loads(raw)
    assert all(bytes(value) in raw for value in members.values())


@given(documents, documents)
def test_members_can_be_added_without_parsing(document: Any, added: Any) -> None:
    fresh = {key: value for key, value in added.items() if key not in document}
    raw = json.dumps(document, indent=1).encode()
    result = with_members(raw, [(key, json.dumps(value).encode()) for key, value in fresh.items()])
    assert orjson.loads(result) == orjson.loads(raw) | orjson.loads(json.dumps(fresh))


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"7", b'{"a":', b'{"a":NaN}', b'{"a":"\x01"}', b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}'],
)
def test_what_is_no_object_of_utf8_json_is_refused(raw: bytes) -> None:
    with pytest.raises(RecordRefused):
        split_object(raw)


def test_only_links_that_are_not_rebuilt_are_kept() -> None:
    links = [{"rel": rel, "href": "x"} for rel in (*sorted(REBUILT_RELS), "license", "via")]
    assert (
        kept_links(msgspec.Raw(json.dumps(links).encode()))
        == b'{"rel": "license", "href": "x"},{"rel": "via", "href": "x"}'
    )
    for wrong in (b"7", b"[7]", b'[{"rel": 7}]', b"null"):
        with pytest.raises(RecordRefused) as refused:
            kept_links(msgspec.Raw(wrong))
        assert refused.value.field == "links"


def samples() -> list[bytes]:
    return [
        json.dumps(
            {"exif": {"Exif.Image.Make": "GoPro", "Exif.Photo.Iso": str(n % 7)}, "n": n, "rest": "abc" * 9}
        ).encode()
        for n in range(400)
    ]


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_packed_texts_unpack_with_and_without_a_dictionary(texts: list[bytes]) -> None:
    unpacker = Unpacker()
    for number, packer in ((0, Packer.make(3)), (7, Packer.make(15, 7, DICTIONARY))):
        unpacker.learn(number, DICTIONARY if number else b"")
        assert packer.dictionary == number
        assert unpacker.knows(number)
        assert [unpacker.unpack(number, each) for each in packer.pack(texts)] == texts
    with pytest.raises(KeyError):
        unpacker.unpack(8, b"")


DICTIONARY = train(samples(), 4_096)


def test_a_dictionary_makes_items_smaller() -> None:
    assert DICTIONARY
    (plain,), (packed,) = (packer.pack(samples()[:1]) for packer in (Packer.make(15), Packer.make(15, 1, DICTIONARY)))
    assert len(packed) < len(plain) / 2


def test_too_few_samples_give_no_dictionary() -> None:
    assert train([b"a"], 4_096) == b""


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_hash_is_a_bigint_and_tells_document_from_links(document: bytes, links: bytes) -> None:
    assert -(2**63) <= content_hash(document, links) < 2**63
    if document != links:
        assert content_hash(document, links) != content_hash(links, document)
