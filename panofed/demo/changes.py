"""What people do to sequences and pictures on a live instance: hide, edit, delete, add, split, merge, move elsewhere.

Every verb returns when the change is public. They block: from a coroutine, call them through `asyncio.to_thread`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from federation.errors import DemoError
from panofed.demo.api import Api
from panofed.demo.upload import complete_upload_set, send_pictures, start_upload_set, wait_until_idle

Visibility: TypeAlias = Literal["anyone", "owner-only", "logged-only"]


def set_sequence_visibility(api: Api, sequence: str, visibility: Visibility) -> None:
    """Say who may see a sequence; one not for anyone becomes a tombstone to anonymous visitors."""
    _edit_sequence(api, sequence, visibility=visibility)


def hide_sequence(api: Api, sequence: str) -> None:
    """Let only its owner see a sequence."""
    set_sequence_visibility(api, sequence, "owner-only")


def show_sequence(api: Api, sequence: str) -> None:
    """Let anyone see a sequence (again)."""
    set_sequence_visibility(api, sequence, "anyone")


def rename_sequence(api: Api, sequence: str, title: str) -> None:
    """Give a sequence another title."""
    _edit_sequence(api, sequence, title=title)


def tag_sequence(api: Api, sequence: str, key: str, value: str, action: Literal["add", "delete"] = "add") -> None:
    """Add or delete one semantic tag of a sequence; each of its pictures repeats it."""
    _edit_sequence(api, sequence, semantics=[{"key": key, "value": value, "action": action}])


def sort_sequence(api: Api, sequence: str, sortby: str) -> None:
    """Re-order a sequence: `+` or `-` and one of gpsdate, filedate, filename. No picture's `updated` need move."""
    _edit_sequence(api, sequence, sortby=sortby)


def turn_sequence(api: Api, sequence: str, degrees: int) -> None:
    """Set all headings of a sequence relative to the path, -180 to 180."""
    _edit_sequence(api, sequence, relative_heading=degrees)


def delete_sequence(api: Api, sequence: str) -> None:
    """Delete a sequence with its pictures, for good."""
    api.call("DELETE", f"/collections/{sequence}")
    wait_until_idle(api)


def set_picture_visibility(api: Api, picture: str, visibility: Visibility) -> None:
    """Say who may see a picture."""
    _edit_picture(api, picture, visibility=visibility)


def hide_picture(api: Api, picture: str) -> None:
    """Let only its owner see a picture; to anybody else it was never there."""
    set_picture_visibility(api, picture, "owner-only")


def show_picture(api: Api, picture: str) -> None:
    """Let anyone see a picture (again)."""
    set_picture_visibility(api, picture, "anyone")


def turn_picture(api: Api, picture: str, heading: int) -> None:
    """Set the heading of a picture, 0 to 360 degrees."""
    _edit_picture(api, picture, heading=heading)


def place_picture(api: Api, picture: str, lon: float, lat: float) -> None:
    """Move a picture on the map."""
    _edit_picture(api, picture, longitude=lon, latitude=lat)


def date_picture(api: Api, picture: str, taken: str) -> None:
    """Set the capture time of a picture, ISO 8601."""
    _edit_picture(api, picture, capture_time=taken)


def tag_picture(api: Api, picture: str, key: str, value: str, action: Literal["add", "delete"] = "add") -> None:
    """Add or delete one semantic tag of a picture."""
    _edit_picture(api, picture, semantics=[{"key": key, "value": value, "action": action}])


def annotate_picture(api: Api, picture: str, box: tuple[int, int, int, int], key: str, value: str) -> str:
    """Mark a rectangle (left, top, right, bottom; pixels) of a picture with a tag; returns the annotation's id."""
    body = {"shape": list(box), "semantics": [{"key": key, "value": value}]}
    made = api.call("POST", f"/collections/{_sequence_of(api, picture)}/items/{picture}/annotations", body)
    return str(made["id"])


def delete_picture(api: Api, picture: str) -> None:
    """Delete a picture for good."""
    api.call("DELETE", f"/collections/{_sequence_of(api, picture)}/items/{picture}")
    wait_until_idle(api)


def upload_pictures(api: Api, title: str, files: Sequence[Path]) -> str:
    """Upload pictures as a new upload set; returns its id once its sequences are public."""
    upload_set = start_upload_set(api, title)
    add_pictures(api, upload_set, files)
    return upload_set


def add_pictures(api: Api, upload_set: str, files: Sequence[Path]) -> None:
    """Add pictures to an upload set that may have been shared out already."""
    send_pictures(api, upload_set, files)
    complete_upload_set(api, upload_set)


def redistribute(api: Api, upload_set: str, **rules: Any) -> None:
    """Share the pictures of an upload set out again by other rules: they change sequence and keep ids and dates.

    `split_distance` (metres) or `split_time` (seconds) splits; `split_distance=100_000, split_time=1_000_000` merges.
    """
    api.call("PATCH", f"/upload_sets/{upload_set}", rules)
    complete_upload_set(api, upload_set)


def sequences_of(api: Api, upload_set: str) -> list[str]:
    """The sequences an upload set was shared out to."""
    return [str(each["id"]) for each in api.get(f"/upload_sets/{upload_set}")["associated_collections"]]


def delete_upload_set(api: Api, upload_set: str) -> None:
    """Delete an upload set with all its sequences."""
    api.call("DELETE", f"/upload_sets/{upload_set}")
    wait_until_idle(api)


def transfer_sequence(origin: str, target: Api, sequence: str) -> None:
    """Copy a public sequence from the instance at `origin` to `target`; every id is kept. The origin's copy stays."""
    job = target.call("POST", "/transfers", {"collection_location": f"{origin}/collections/{sequence}"})["id"]

    def finished() -> bool:
        status = target.get(f"/transfers/{job}")
        failures = [each["error"] for each in status["jobs"] if each.get("error")]
        if failures:
            raise DemoError(f"transfer of {sequence} to {target.url} failed: {failures[-1]}")
        return bool(status["status"] == "finished")

    target.wait(f"transfer of {sequence}", finished)
    wait_until_idle(target)


def upload_with_ids(api: Api, sequence: str, title: str, pictures: Mapping[str, Path]) -> None:
    """Make a sequence whose id, and whose pictures' ids, are chosen by us: picture id -> file, in order."""
    api.call("POST", "/collections", {"id": sequence, "title": title})
    for position, (picture, file) in enumerate(pictures.items(), start=1):
        fields = {"id": picture, "position": str(position), "isBlurred": "true"}
        api.upload(f"/collections/{sequence}/items", "picture", file, fields)
    wait_until_idle(api)


def open_empty_sequence(api: Api, title: str) -> str:
    """Make a sequence nobody ever sends a picture to; returns its id. It is never listed, yet upsets `next` links."""
    return str(api.call("POST", "/collections", {"title": title})["id"])


def _edit_sequence(api: Api, sequence: str, **changes: Any) -> None:
    api.call("PATCH", f"/collections/{sequence}", changes)
    wait_until_idle(api)


def _edit_picture(api: Api, picture: str, **changes: Any) -> None:
    api.call("PATCH", f"/collections/{_sequence_of(api, picture)}/items/{picture}", changes)
    wait_until_idle(api)


def _sequence_of(api: Api, picture: str) -> str:
    """The sequence a picture is in now, as `api` sees it."""
    return str(api.get(f"/pictures/{picture}")["collection"])
