"""Before anything is timed: do all servers answer the same pictures? A difference stops the measurement."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench.requests import Box, Layout, LoadRequest

WIDE_LIMIT = 1_000


class AnswersDifferError(Exception):
    """Two servers answered different pictures; timing them against each other would say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server under load: its name in the table, its API root without trailing slash, how its collections are cut."""

    name: str
    root: str
    layout: Layout
    #: classes that another server of the same software answers, with its root
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    #: classes it can answer, None for all
    classes: tuple[str, ...] | None = None

    def root_of(self, name: str) -> str:
        """The API root for a class of requests."""
        return self.elsewhere.get(name, self.root)


def fetch_json(url: str, timeout_s: float = 120.0) -> Any:
    """GET a JSON document; AnswersDifferError names the URL when it is not a 200."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ValueError, TimeoutError) as error:
        raise AnswersDifferError(f"{url}: {error}") from error


def pictures_in(document: Any) -> dict[str, tuple[float, float]]:
    """Id and position of the items of an answer, rounded to a hundred-millionth of a degree."""
    features = document["features"] if document.get("type") == "FeatureCollection" else [document]
    if any(feature.get("type") != "Feature" for feature in features):
        return {}
    return {
        f["id"]: (round(f["geometry"]["coordinates"][0], 8), round(f["geometry"]["coordinates"][1], 8))
        for f in features
    }


def _inside(box: Box, position: tuple[float, float]) -> bool:
    west, south, east, north = box
    margin = 1e-7
    return west - margin <= position[0] <= east + margin and south - margin <= position[1] <= north + margin


def verify_request(targets: list[Target], requests: list[LoadRequest]) -> int:
    """Compare one request (given per target); returns how many pictures it answers.

    A search that fills its limit may rightly answer other pictures on another server: then the same box is asked for
    with a limit of 1,000, and if even that is filled, only the number of pictures and their place can be compared.
    """
    answers = [pictures_in(fetch_json(t.root + r.path)) for t, r in zip(targets, requests, strict=True)]
    request = requests[0]
    for target, found in zip(targets, answers, strict=True):
        if request.box and not all(_inside(request.box, position) for position in found.values()):
            raise AnswersDifferError(f"{target.name} answers pictures outside the box of {request.path}")
        if len(found) != len(answers[0]):
            raise AnswersDifferError(_difference(targets, answers, request.path))
    if request.limit and len(answers[0]) >= request.limit:
        if request.limit < WIDE_LIMIT:
            wide = request.path.replace(f"limit={request.limit}", f"limit={WIDE_LIMIT}")
            verify_request(targets, [LoadRequest(path=wide, limit=WIDE_LIMIT, box=request.box)] * len(targets))
    elif any(found != answers[0] for found in answers):
        raise AnswersDifferError(_difference(targets, answers, request.path))
    return len(answers[0])


def _difference(targets: list[Target], answers: list[dict[str, tuple[float, float]]], path: str) -> str:
    counts = ", ".join(f"{target.name} {len(found)}" for target, found in zip(targets, answers, strict=True))
    alone = [sorted(set(answers[0]) ^ set(found))[:3] for found in answers[1:]]
    return f"{path}: different answers ({counts} pictures; for example {alone})"


def further_on(target: Target, request: LoadRequest) -> LoadRequest:
    """The request that so many `next` links lead to, or the last of them where there are fewer."""
    path = request.path
    for _ in range(request.pages_on):
        links = fetch_json(target.root + path)["links"]
        following = next((link["href"] for link in links if link["rel"] == "next"), None)
        if following is None:
            break
        path = following[following.index("/search") :]
    return replace(request, path=path, pages_on=0)


def verify(targets: list[Target], by_target: list[list[LoadRequest]], checks: int) -> float:
    """Compare `checks` requests spread over a class; returns the mean number of pictures per answer."""
    if not by_target[0][0].compared:
        return float(by_target[0][0].limit)
    step = max(1, len(by_target[0]) // checks)
    rows = list(zip(*by_target, strict=True))[::step][:checks]
    return sum(verify_request(targets, list(row)) for row in rows) / len(rows)
