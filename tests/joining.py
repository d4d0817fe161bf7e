"""An instance whose operator wants to join: everything as it should be, until a test takes something away.

async with Joining() as instance:
    instance.add_sequence(pictures=3)
    del instance.configuration["email"]
    instance.open_files = False
    instance.publish("panofed-proof=...")
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from federation.registrations import PROOF_PATH
from tests.origin import Origin

Json = dict[str, Any]
_CLASSES = [
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    *(f"https://api.stacspec.org/v1.0.0/{name}" for name in ("core", "collections", "ogcapi-features", "item-search")),
]
_OPEN = {"Access-Control-Allow-Origin": "*"}


class Joining(Origin):
    """`open_api` and `open_files`: other sites may read them; `files`: paths beside the API, by their whole path."""

    def __init__(self, *, version: str = "2.15", seed: int = 1) -> None:
        super().__init__(version=version, seed=seed)
        self.open_api = self.open_files = True
        self.files: dict[str, str] = {}
        self.landing: Json = {}
        self.slow_s = 0.0
        self.configuration: Json = {
            "name": {"label": "Here", "langs": {"en": "Here"}},
            "description": {"label": "Streets of here", "langs": {"en": "Streets of here"}},
            "email": "operator@here.example",
            "logo": "https://here.example/logo.svg",
            "color": "#5e499c",
            "geo_coverage": {"label": "Here", "langs": {"en": "Here"}},
            "license": {"id": "etalab-2.0", "url": "https://here.example/licence"},
        }
        self.hook = self._extra

    def publish(self, proof: str) -> None:
        """As an operator does, in a file of the host."""
        self.files[PROOF_PATH] = f"# for the catalog\n{proof}\n"

    async def _extra(self, request: web.Request) -> web.Response | None:
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if request.path in self.files:
            return web.Response(text=self.files[request.path])
        below = request.path.removeprefix("/api").strip("/")
        if below == "configuration":
            return self._json(self.configuration)
        if below == "":
            links = [{"rel": "xyz", "href": f"{self.url}/map/{{z}}/{{x}}/{{y}}.mvt"}]
            front = {"stac_version": "1.0.0", "conformsTo": _CLASSES, "links": links, "geovisio_version": "2.15.1"}
            return self._json(front | self.landing)
        if below.startswith(("permanent/", "map/")):
            return web.Response(body=b"\xff\xd8", headers=_OPEN if self.open_files else {}, content_type="image/jpeg")
        fault = self.faults.get(f"/{below}")
        answer = fault() if fault else self._route(request)
        if self.open_api:
            answer.headers.update(_OPEN)
        return answer

    def _json(self, body: Json) -> web.Response:
        return web.json_response(body, headers=_OPEN if self.open_api else {})
