"""Bodies of requests: read up to a limit, and no deeper than anything here can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from catalog_api.edge.responses import BadRequest, BodyTooLarge

#: Arrays and objects within each other. A filter of 32 levels has 64 of them, and the member it is in. What is deeper
#: could be read, but not written into the link to the next page.
DEPTH_MAX = 70


async def read_body(request: Request, most: int) -> bytes:
    """The request's body; BodyTooLarge as soon as it is longer than `most` bytes."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise BodyTooLarge(f"the body is longer than {most} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def check_depth(members: Mapping[str, Any], body: bytes) -> None:
    """Refuse a JSON object that is nested too deep; BadRequest names the member. It does not recurse.

    >>> check_depth({"a": [[]]}, b'{"a":[[]]}')
    """
    # as many levels need as many brackets: an ordinary body is looked at no further
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    for name, value in members.items():
        level = [value]
        for _ in range(DEPTH_MAX):
            lists = [each for each in level if type(each) is list]
            objects = [each for each in level if type(each) is dict]
            level = [inner for each in lists for inner in each]
            level += [inner for each in objects for inner in each.values()]
            if not level:
                break
        else:
            raise BadRequest(name[:100], value, f"is nested more than {DEPTH_MAX} deep")
