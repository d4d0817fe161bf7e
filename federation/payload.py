"""Item JSON to stored bytes and back: the origin's own text without the links we rebuild, one zstd value.

The text is two parts, separated by a record separator: the item without its links, `properties` last (so that keys can
be added to it without parsing), and the links that are kept, joined by commas. Ids that every item repeats are one
control character each, which no JSON text can contain: random identifiers do not compress, and the item's row has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import orjson
import xxhash
import zstandard

from federation.errors import RecordRefused

#: Stand for the item's id, its collection's id, and its id as a storage path.
_ID, _COLLECTION, _PATH = b"\x01", b"\x02", b"\x03"
_SEPARATOR = b"\x1e"
_CONTROL = re.compile(rb"[\x01-\x03\x1e]")

#: Links that are rebuilt for this catalog's own host; all others are kept as the origin wrote them.
REBUILT_RELS = frozenset(
    {"self", "root", "parent", "collection", "items", "prev", "next", "related", "child", "alternate", "first", "last"}
)

_top_level = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])


class _Link(msgspec.Struct):
    rel: str = ""


_link = msgspec.json.Decoder(_Link)


def storage_path(identifier: str) -> str:
    """A UUID as GeoVisio's external storage writes it: four folders of two digits, then the rest.

    >>> storage_path("dc0820d3-7c2b-483e-bda1-ed6b79a2118f")
    'dc/08/20/d3/7c2b-483e-bda1-ed6b79a2118f'
    """
    first, rest = identifier[:8], identifier[9:]
    return f"{first[0:2]}/{first[2:4]}/{first[4:6]}/{first[6:8]}/{rest}"


def split_object(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of a JSON object, each still the origin's own bytes.

    >>> bytes(split_object(b'{"a": [1.50, 2]}')["a"])
    b'[1.50, 2]'
    """
    try:
        return _top_level.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordRefused("record", str(error)) from error


def kept_links(links: msgspec.Raw | None) -> bytes:
    """The links that are not rebuilt, joined by commas.

    >>> kept_links(msgspec.Raw(b'[{"rel":"self","href":"x"},{"rel":"license","href":"y"}]'))
    b'{"rel":"license","href":"y"}'
    """
    if links is None:
        return b""
    try:
        return b",".join(bytes(link) for link in _raw_list.decode(links) if _link.decode(link).rel not in REBUILT_RELS)
    except msgspec.DecodeError as error:
        raise RecordRefused("links", str(error)) from error


def join_object(members: Mapping[str, bytes | msgspec.Raw], *, last: str) -> bytes:
    """The members as one JSON object again, `last` at its end.

    >>> join_object({"b": b"1", "a": b"2"}, last="b")
    b'{"a":2,"b":1}'
    """
    keys = [key for key in members if key != last]
    if last in members:
        keys.append(last)
    return b"{" + b",".join(orjson.dumps(key) + b":" + bytes(members[key]) for key in keys) + b"}"


def with_members(json_object: bytes, added: Iterable[tuple[str, bytes]]) -> bytes:
    """Add members at the end of a JSON object.

    >>> with_members(b'{"a":1}', [("b", b"2")])
    b'{"a":1,"b":2}'
    """
    more = b"".join(b"," + orjson.dumps(key) + b":" + value for key, value in added)
    if not more:
        return json_object
    body = json_object.rstrip()[:-1].rstrip()
    return body + (more[1:] if body == b"{" else more) + b"}"


def shrink(document: bytes, links: bytes, identifier: str, collection: str) -> bytes:
    """The text that is compressed: both parts, ids replaced by their control characters.

    >>> shrink(b'{"id":"dc0820d3-7c2b-483e-bda1-ed6b79a2118f"}', b"", "dc0820d3-7c2b-483e-bda1-ed6b79a2118f", "c")
    b'{"id":"\\x01"}\\x1e'
    """
    if _CONTROL.search(document) or _CONTROL.search(links):
        raise RecordRefused("record", "it has a control character inside a JSON text")
    text = (document + _SEPARATOR + links).replace(identifier.encode(), _ID)
    if len(collection) == 36:
        text = text.replace(collection.encode(), _COLLECTION)
    if len(identifier) == 36:
        text = text.replace(storage_path(identifier).encode(), _PATH)
    return text


def restore(text: bytes, identifier: str, collection: str) -> tuple[bytes, bytes]:
    """The document and its kept links, as they were before `shrink`.

    >>> restore(b'{"id":"\\x01"}\\x1e', "dc0820d3-7c2b-483e-bda1-ed6b79a2118f", "c")
    (b'{"id":"dc0820d3-7c2b-483e-bda1-ed6b79a2118f"}', b'')
    """
    name = identifier.encode()
    text = text.replace(_ID, name).replace(_COLLECTION, collection.encode())
    if _PATH in text:
        text = text.replace(_PATH, storage_path(identifier).encode())
    document, _, links = text.partition(_SEPARATOR)
    return document, links


def content_hash(text: bytes) -> int:
    """What tells a changed item: 64 bits, signed as PostgreSQL's bigint is.

    >>> content_hash(b"") == content_hash(b"a")
    False
    """
    value: int = xxhash.xxh3_64_intdigest(text)
    return value - (1 << 64) if value >= 1 << 63 else value


@dataclass(frozen=True, slots=True)
class Packer:
    """Compresses for one instance. `dictionary` is its number in the database, 0 without one."""

    dictionary: int
    _compressor: zstandard.ZstdCompressor

    @staticmethod
    def make(level: int, dictionary: int = 0, content: bytes = b"") -> Packer:
        """A packer with a dictionary, or (0, b"") without."""
        # magicless, no dictionary number and no checksum: the row knows all of it, ten bytes less a picture
        parameters = zstandard.ZstdCompressionParameters.from_level(
            level, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_checksum=0, write_dict_id=0, write_content_size=1
        )
        trained = None
        if dictionary:
            trained = zstandard.ZstdCompressionDict(content)
            trained.precompute_compress(compression_params=parameters)
        return Packer(dictionary, zstandard.ZstdCompressor(dict_data=trained, compression_params=parameters))

    def pack(self, text: bytes) -> bytes:
        """Compress one text."""
        return self._compressor.compress(text)


@dataclass(frozen=True, slots=True)
class Unpacker:
    """Decompresses with every dictionary it was given."""

    max_bytes: int
    _decompressors: dict[int, zstandard.ZstdDecompressor] = field(default_factory=dict)

    def learn(self, dictionary: int, content: bytes = b"") -> None:
        """Add a dictionary; number 0 is none."""
        trained = zstandard.ZstdCompressionDict(content) if dictionary else None
        self._decompressors[dictionary] = zstandard.ZstdDecompressor(
            dict_data=trained, format=zstandard.FORMAT_ZSTD1_MAGICLESS
        )

    def knows(self, dictionary: int) -> bool:
        """Whether `unpack` can be called with it."""
        return dictionary in self._decompressors

    def unpack(self, dictionary: int, packed: bytes) -> bytes:
        """The text that was packed. KeyError when the dictionary was never learnt."""
        return self._decompressors[dictionary].decompress(packed)


def train(samples: Sequence[bytes], size_bytes: int) -> bytes:
    """A dictionary for texts like these; empty when they have too little in common to train one."""
    try:
        return zstandard.train_dictionary(size_bytes, list(samples), k=200, d=8).as_bytes()
    except zstandard.ZstdError:
        return b""
