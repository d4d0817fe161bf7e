"""Item JSON to stored bytes and back: the origin's own text without the links we rebuild, one zstd value.

The text has three parts, separated by a record separator: the item without its links, `properties` last (so that keys
can be added to it without parsing); the links that are kept, joined by commas; and the bytes of EXIF values that are
lists of byte values ("48 50 51"), which are a third smaller as bytes. What the item's row knows anyway (ids, position,
times) is one control character each in it, which no JSON text can contain: random and precise values do not compress.
Both together took 446 bytes a picture down to 330.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec
import orjson
import xxhash
import zstandard

from federation.errors import RecordRefused

#: Stand for what the row knows, in this order; tab, line feed and carriage return are legal in JSON and left out.
#: Its id, its sequence's, its path in a storage; longitude, latitude; when it was captured, created, updated.
_MARKERS = tuple(bytes([code]) for code in (0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x08, 0x0B))
_ID, _COLLECTION, _PATH, _LONGITUDE, _LATITUDE, _CAPTURED, _CREATED, _UPDATED = _MARKERS
#: Between these, numbers are written without an exponent.
_PLAIN_MIN, _PLAIN_MAX = 1e-3, 1e6
#: Stands for the next list of byte values.
_BYTES = b"\x04"
_SEPARATOR = b"\x1e"
#: A text value of eight or more numbers of up to three digits, as exiv2 prints EXIF of type "undefined".
_BYTE_VALUES = {str(value).encode(): value for value in range(256)}
_BYTE_LIST = re.compile(rb'":"((?:\d{1,3} ){7,}\d{1,3})"')
_COMMAS_TO_SPACES = bytes.maketrans(b",", b" ")

#: Links that are rebuilt for this catalog's own host; all others are kept as the origin wrote them.
REBUILT_RELS = frozenset(
    {"self", "root", "parent", "collection", "items", "prev", "next", "related", "child", "alternate", "first", "last"}
)

_top_level = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])


class _Link(msgspec.Struct):
    rel: str = ""


_link = msgspec.json.Decoder(_Link)


def storage_path(identifier: bytes) -> bytes:
    """A UUID as GeoVisio's external storage writes it: four folders of two digits, then the rest.

    >>> storage_path(b"dc0820d3-7c2b-483e-bda1-ed6b79a2118f")
    b'dc/08/20/d3/7c2b-483e-bda1-ed6b79a2118f'
    """
    return b"%b/%b/%b/%b/%b" % (identifier[:2], identifier[2:4], identifier[4:6], identifier[6:8], identifier[9:])


def split_object(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of a JSON object, each still the origin's own bytes.

    >>> bytes(split_object(b'{"a": [1.50, 2]}')["a"])
    b'[1.50, 2]'
    """
    try:
        # msgspec does not look into members; what is no UTF-8 would break every page it is served on
        str(raw, "utf-8")
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


class Known(NamedTuple):
    """What the row of a record knows: it is left out of its text. Only `id` is known of a sequence."""

    id: str
    collection: str = ""
    longitude: float | None = None
    latitude: float | None = None
    captured: datetime | None = None
    created: datetime | None = None
    updated: datetime | None = None

    def texts(self) -> tuple[bytes, ...]:
        """What each of `_MARKERS` stands for: numbers in their shortest form and times in UTC, as GeoVisio does.

        The marker itself where it is not known.
        """
        identifier = self.id.encode()
        path = storage_path(identifier) if len(identifier) == 36 else _PATH
        collection = _COLLECTION
        if len(self.collection) == 36 and self.collection.isprintable():
            collection = self.collection.encode()
        # a JSON writer is the fastest way to all of them
        numbers = (self.longitude, self.latitude, self.captured, self.created, self.updated)
        longitude, latitude, *times = orjson.dumps(numbers)[1:-1].split(b",")
        if not (_is_plain(self.longitude) and _is_plain(self.latitude)):
            longitude, latitude = _LONGITUDE, _LATITUDE
            if self.longitude is not None and self.latitude is not None:
                longitude, latitude = b"%a" % self.longitude, b"%a" % self.latitude
        captured, created, updated = times
        return (
            identifier,
            collection,
            path,
            longitude,
            latitude,
            captured[1:-1] if self.captured else _CAPTURED,
            created[1:-1] if self.created else _CREATED,
            updated[1:-1] if self.updated else _UPDATED,
        )


def _is_plain(number: float | None) -> bool:
    """Whether a JSON writer has the same text for it as Python's `repr`, three times as fast.

    >>> _is_plain(-48.0), _is_plain(0.0), _is_plain(1e-7), _is_plain(None)
    (True, False, False, False)
    """
    return number is not None and _PLAIN_MIN < abs(number) < _PLAIN_MAX


def shrink(document: bytes, links: bytes, known: Known) -> bytes:
    """The text that is compressed: what the row knows, and lists of bytes, taken out.

    Both come from `split_object`, which has refused control characters inside texts.

    >>> shrink(b'{"id":"dc0820d3-7c2b-483e-bda1-ed6b79a2118f"}', b"", Known("dc0820d3-7c2b-483e-bda1-ed6b79a2118f"))
    b'{"id":"\\x01"}\\x1e\\x1e'
    """
    lists: list[bytes] = []

    def taken(match: re.Match[bytes]) -> bytes:
        packed = _byte_list(match[1])
        if packed is None:
            return match[0]
        lists.append(packed)
        return b'":"' + _BYTES + b'"'

    text = _BYTE_LIST.sub(taken, document) + _SEPARATOR + links
    for marker, content in zip(_MARKERS, known.texts(), strict=True):
        text = text.replace(content, marker)
    return text + _SEPARATOR + b"".join(len(each).to_bytes(3, "big") + each for each in lists)


def _byte_list(text: bytes) -> bytes | None:
    """The bytes a text lists, None when the way back would not give the same text.

    >>> _byte_list(b"48 50 51"), _byte_list(b"048 50"), _byte_list(b"1 300")
    (b'023', None, None)
    """
    try:
        return bytes([_BYTE_VALUES[word] for word in text.split(b" ")])
    except KeyError:
        return None


def restore(text: bytes, known: Known) -> tuple[bytes, bytes]:
    """The document and its kept links, as they were before `shrink`.

    >>> restore(b'{"id":"\\x01"}\\x1e\\x1e', Known("dc0820d3-7c2b-483e-bda1-ed6b79a2118f"))
    (b'{"id":"dc0820d3-7c2b-483e-bda1-ed6b79a2118f"}', b'')
    """
    end = text.index(_SEPARATOR, text.index(_SEPARATOR) + 1)
    record = text[:end]
    # while it is short
    at, length = end + 1, len(text)
    while at < length:
        begin = at + 3
        at = begin + int.from_bytes(text[at:begin], "big")
        record = record.replace(_BYTES, _number_list(text[begin:at]), 1)
    identifier, collection, path, longitude, latitude, captured, created, updated = known.texts()
    record = (
        record.replace(_ID, identifier)
        .replace(_COLLECTION, collection)
        .replace(_PATH, path)
        .replace(_LONGITUDE, longitude)
        .replace(_LATITUDE, latitude)
        .replace(_CAPTURED, captured)
        .replace(_CREATED, created)
        .replace(_UPDATED, updated)
    )
    document, _, links = record.partition(_SEPARATOR)
    return document, links


def _number_list(values: bytes) -> bytes:
    """Bytes as the list of numbers they were; a JSON writer is the fastest way there.

    >>> _number_list(b"0235"), _number_list(b"023"), _number_list(b"2"), _number_list(b"")
    (b'48 50 51 53', b'48 50 51', b'50', b'')
    """
    return orjson.dumps(list(values)).translate(_COMMAS_TO_SPACES, b"[]")


def content_hash(document: bytes, links: bytes) -> int:
    """What tells a changed record: 64 bits of the origin's own bytes, signed as PostgreSQL's bigint is.

    >>> content_hash(b"{}", b"") == content_hash(b"", b"{}")
    False
    """
    value: int = xxhash.xxh3_64_intdigest(document + _SEPARATOR + links)
    return value - (1 << 64) if value >= 1 << 63 else value


@dataclass(frozen=True, slots=True)
class Packer:
    """Compresses for one instance. `dictionary` is its number in the database, 0 without one."""

    dictionary: int
    _parameters: zstandard.ZstdCompressionParameters
    _trained: zstandard.ZstdCompressionDict | None

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
        return Packer(dictionary, parameters, trained)

    def pack(self, texts: Iterable[bytes]) -> list[bytes]:
        """Compress each text. May run in a thread: zstd lets others work meanwhile, and nothing is shared."""
        compressor = zstandard.ZstdCompressor(dict_data=self._trained, compression_params=self._parameters)
        return [compressor.compress(text) for text in texts]


@dataclass(frozen=True, slots=True)
class Unpacker:
    """Decompresses with every dictionary it was given."""

    _decompressors: dict[int, zstandard.ZstdDecompressor] = field(default_factory=dict)

    def learn(self, dictionary: int, content: bytes = b"") -> None:
        """Add a dictionary; number 0 is none."""
        trained = zstandard.ZstdCompressionDict(content) if dictionary else None
        self._decompressors[dictionary] = zstandard.ZstdDecompressor(
            dict_data=trained, format=zstandard.FORMAT_ZSTD1_MAGICLESS
        )

    @property
    def dictionaries(self) -> int:
        """How many it was given."""
        return len(self._decompressors)

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
