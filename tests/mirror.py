"""A mirror of the catalog made of its public API alone, by the steps that docs/api.md gives to those who want one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx2

Json = dict[str, Any]


class Forgotten(Exception):
    """The feed does not reach back to where the mirror stands; `details` name the way back."""

    def __init__(self, details: Json) -> None:
        super().__init__(str(details))
        self.details = details


@dataclass(slots=True)
class Mirror:
    """What it holds: sequences with their pictures. `token` is all that has to be kept besides."""

    client: httpx2.AsyncClient
    page: int = 3
    token: str = ""
    sequences: dict[str, dict[str, Json]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)

    async def begin(self) -> None:
        """The token first, then everything that is there."""
        self.token = (await self.get("/api/changes", since="now"))["next"]
        self.sequences.clear()
        page: Json | None = await self.get("/api/collections", sortby="panofed:indexed", limit="7")
        while page is not None:
            for collection in page["collections"]:
                await self.refresh(collection["id"])
            page = await self.following(page)

    async def follow(self, limit: int = 4) -> int:
        """Bring in the next changes; returns how many there were."""
        found = await self.get("/api/changes", since=self.token, limit=str(limit))
        for sequence in dict.fromkeys(change["collection"] for change in found["changes"]):
            await self.refresh(sequence)
        self.token = found["next"]
        return len(found["changes"])

    async def refresh(self, sequence: str) -> None:
        """The sequence as it is now, whatever was said about it."""
        answer = await self.client.get(f"/api/collections/{sequence}")
        if answer.status_code == 404:
            self.drop(sequence)
            return
        assert answer.status_code == 200, answer.text
        pictures: dict[str, Json] = {}
        answer_page = await self.client.get(f"/api/collections/{sequence}/items", params={"limit": str(self.page)})
        while True:
            if answer_page.status_code == 404:
                self.drop(sequence)
                return
            assert answer_page.status_code == 200, answer_page.text
            page = answer_page.json()
            pictures |= {item["id"]: item for item in page["features"]}
            further = [link["href"] for link in page["links"] if link["rel"] == "next"]
            if not further:
                break
            answer_page = await self.client.get(further[0])
        self.sequences[sequence] = pictures
        self.titles[sequence] = answer.json()["title"]

    def drop(self, sequence: str) -> None:
        self.sequences.pop(sequence, None)
        self.titles.pop(sequence, None)

    async def following(self, page: Json) -> Json | None:
        further = [link["href"] for link in page["links"] if link["rel"] == "next"]
        return await self.get(further[0]) if further else None

    async def get(self, path: str, **asked: str) -> Json:
        answer = await self.client.get(path, params=asked or None)
        if answer.status_code == 410:
            raise Forgotten(answer.json()["details"])
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def pictures(self) -> dict[str, tuple[str, Json]]:
        """Picture id to (sequence id, item without its links)."""
        return {
            picture: (sequence, without_links(item))
            for sequence, items in self.sequences.items()
            for picture, item in items.items()
        }


def without_links(item: Json) -> Json:
    return {name: value for name, value in item.items() if name != "links"}
