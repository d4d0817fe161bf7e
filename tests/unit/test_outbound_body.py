"""Bodies: any chunking of any encoding gives the same bytes, and no body passes its ceiling."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from federation.outbound_body import ACCEPT_ENCODING, MEMBERS_MAX, Body, BodyFault

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def read(encoding: str, wire: bytes, *, max_bytes: int = 10_000_000, step: int = 262_144) -> bytes:
    body = Body(encoding, max_bytes)
    for start in range(0, len(wire), step):
        body.feed(wire[start : start + step])
    return body.finish()


@given(st.sampled_from(sorted(PACKERS)), st.binary(max_size=5_000), st.integers(1, 700))
def test_a_body_is_the_same_however_it_is_packed_and_cut(encoding: str, plain: bytes, step: int) -> None:
    assert read(encoding, PACKERS[encoding](plain), step=step) == plain


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_several_members_are_one_body(encoding: str) -> None:
    pack = PACKERS[encoding]
    assert read(encoding, pack(b"one ") + pack(b"two ") + pack(b"three"), step=7) == b"one two three"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_of_countless_members_is_refused(encoding: str) -> None:
    with pytest.raises(BodyFault, match="members"):
        read(encoding, PACKERS[encoding](b"x") * (MEMBERS_MAX + 1))


@pytest.mark.parametrize("encoding", sorted(PACKERS))
def test_a_body_may_fill_its_ceiling_and_not_pass_it(encoding: str) -> None:
    pack = PACKERS[encoding]
    assert len(read(encoding, pack(bytes(1_000)), max_bytes=1_000)) == 1_000
    with pytest.raises(BodyFault, match="more than 1,000 bytes"):
        read(encoding, pack(bytes(1_001)), max_bytes=1_000)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_cut_before_it_takes_memory(encoding: str) -> None:
    bomb = PACKERS[encoding](bytes(400_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(BodyFault, match="after decompression"):
            read(encoding, bomb, max_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_compressed_bytes_that_yield_nothing_end_at_the_ceiling_too() -> None:
    empty_blocks = zlib.compressobj(wbits=31)
    wire = empty_blocks.compress(b"x") + b"".join(empty_blocks.flush(zlib.Z_FULL_FLUSH) for _ in range(3))
    header_without_end = b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 5_000  # a file name that never stops
    with pytest.raises(BodyFault, match="more than 4,000 bytes"):
        read("gzip", header_without_end, max_bytes=4_000, step=500)
    with pytest.raises(BodyFault, match="stops in the middle"):
        read("gzip", wire)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_broken_compressed_bodies_are_named(encoding: str) -> None:
    whole = PACKERS[encoding](b"abc" * 1_000)
    for wire in (b"not compressed at all", whole[:-3], whole + b"garbage"):
        with pytest.raises(BodyFault, match=f"broken {encoding}"):
            read(encoding, wire)


def test_zstd_with_a_window_of_more_than_8_mib_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(BodyFault, match="broken zstd"):
        read("zstd", packed.compress(bytes(20_000_000)) + packed.flush(), max_bytes=100_000_000)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "x" * 500])
def test_an_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    assert encoding not in ACCEPT_ENCODING
    with pytest.raises(BodyFault, match="not asked for"):
        Body(encoding, 1_000)


def test_an_announced_length_above_the_ceiling_is_refused_unread() -> None:
    with pytest.raises(BodyFault, match="2,000 are announced"):
        Body("", 1_000).expect(2_000)
    Body("", 1_000).expect(None)


def test_no_body_is_an_empty_body() -> None:
    assert read("gzip", b"") == b""
