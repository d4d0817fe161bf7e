"""Sends generated pictures to an instance as an upload set, and waits until it has made sequences of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from federation.errors import OriginRefused
from panofed.demo.api import Api

ALREADY_THERE = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One upload set as an instance holds it; `owner` is the name of the account, "" for the default one."""

    title: str
    upload_set: str
    owner: str = ""


def start_upload_set(api: Api, title: str) -> str:
    """Open an empty upload set; returns its id."""
    return str(api.call("POST", "/upload_sets", {"title": title})["id"])


def send_pictures(api: Api, upload_set: str, files: Sequence[Path], sent: Callable[[], object] = lambda: None) -> None:
    """Add pictures to an upload set; those it has already are passed over, so an interrupted upload can go on."""
    for file in files:
        try:
            api.upload(f"/upload_sets/{upload_set}/files", "file", file, {"isBlurred": "true"})
        except OriginRefused as error:
            if error.status != ALREADY_THERE:
                raise
        sent()


def complete_upload_set(api: Api, upload_set: str) -> None:
    """Have the pictures (again) shared out among sequences, and wait until those are published."""
    api.call("POST", f"/upload_sets/{upload_set}/complete")
    wait_until_published(api, upload_set)


def wait_until_published(api: Api, upload_set: str) -> None:
    """Wait until an upload set's sequences are ready and no work is left in the instance's queue."""

    def published() -> bool:
        # a set that is shared out a second time says "ready" throughout: only the queue tells
        return bool(api.get(f"/upload_sets/{upload_set}")["ready"]) and is_idle(api)

    api.wait(f"publishing upload set {upload_set}", published, timeout_s=300.0)


def is_idle(api: Api) -> bool:
    """Whether the instance has done everything it was asked to do."""
    return bool(api.get("/jobs/stats")["total_jobs"] == 0)


def wait_until_idle(api: Api) -> None:
    """Wait until the instance's queue is empty: pictures processed, sequences made, files removed."""
    api.wait("the instance's queue becoming empty", lambda: is_idle(api), timeout_s=300.0)
