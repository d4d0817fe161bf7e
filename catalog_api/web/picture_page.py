"""The page of one picture: what is known of it, whose it is, where it came from, and what can be done with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, NotFound
from catalog_api.index.registry import Instance
from catalog_api.query.params import as_uuid
from catalog_api.web.pages import Page, page
from catalog_api.web.policy import JOSM, confirmed_sources, page_policy
from federation.database import Row
from federation.queries import query

#: Half the side of the square that JOSM loads, in degrees: about 50 m.
_AROUND_DEG = 0.0005
_FRACTION = re.compile(r"(?<=:\d\d)\.\d+")
_WEB = ("https://", "http://")


@page
async def get_picture(made: Page) -> Answer:
    """GET /pictures/{picture}."""
    catalog, text = made.catalog, made.request.path_params["picture"]
    identifier = as_uuid(text)
    rows = [] if identifier is None else await catalog.index.fetch(query("catalog_picture"), identifier)
    if not rows or rows[0]["id"] is None:
        raise NotFound(made.words.say("no_picture", id=text[:60]))
    row = rows[0]
    await catalog.registry.prepare([row])
    item = orjson.loads(catalog.writer(host_of(made.request)).item(row, str(row["sequence"])))
    origin = catalog.registry.instances[row["instance"]]
    picture = Picture(item=item, row=row, origin=origin)
    base = catalog.writer(host_of(made.request)).base.removesuffix("/api")
    policy = page_policy(confirmed_sources(catalog.registry))
    return made.answer("picture.html", policy=policy, picture=picture, base=base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An item as the page reads it. Whatever the origin left out or made odd is left out here too."""

    item: Mapping[str, Any]
    row: Row
    origin: Instance

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.row["id"])

    @property
    def sequence(self) -> str:
        """The id of its sequence."""
        return str(self.row["sequence"])

    @property
    def captured(self) -> str:
        """When it was taken, as the camera's place counts it where the origin says so."""
        local = self._property("datetimetz")
        return str(local) if isinstance(local, str) else f"{self.row['datetime']:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def moment(self) -> str:
        """The same for reading: without the fraction of a second."""
        return _FRACTION.sub("", self.captured).replace("T", " ")

    @property
    def title(self) -> str:
        """The day and time, without the offset."""
        return self.captured[:19].replace("T", " ")

    @property
    def place(self) -> tuple[float, float]:
        """(latitude, longitude)."""
        return self.row["latitude"], self.row["longitude"]

    @property
    def is_360(self) -> bool:
        """Whether it shows everything around."""
        return bool(self.row["is_360"])

    @property
    def azimuth_deg(self) -> str:
        """Where it looks."""
        value = self._property("view:azimuth")
        return f"{value:g}°" if isinstance(value, int | float) and not isinstance(value, bool) else ""

    @property
    def camera(self) -> str:
        """Maker and model."""
        inside = self._property("pers:interior_orientation")
        names = [inside.get("camera_manufacturer"), inside.get("camera_model")] if isinstance(inside, dict) else []
        return " ".join(str(name) for name in names if isinstance(name, str))

    @property
    def accuracy(self) -> str:
        """Of its position."""
        value = self._property("quality:horizontal_accuracy")
        return f"± {value:g} m" if isinstance(value, int | float) and not isinstance(value, bool) else ""

    @property
    def author(self) -> str:
        """Who contributed it."""
        providers = self.item.get("providers")
        names = [
            each.get("name")
            for each in (providers if isinstance(providers, list) else [])
            if isinstance(each, dict) and "producer" in (each.get("roles") or ())
        ]
        return ", ".join(name for name in names if isinstance(name, str))

    @property
    def licence(self) -> str:
        """Its licence's short name."""
        value = self._property("license")
        return value if isinstance(value, str) else ""

    @property
    def licence_href(self) -> str:
        """The text of its licence, where the origin says where that is."""
        return self._link("license")

    @property
    def tags(self) -> list[tuple[str, str]]:
        """Its own tags."""
        said = self._property("semantics")
        pairs = [each for each in said if isinstance(each, dict)] if isinstance(said, list) else []
        return [(str(each["key"]), str(each["value"])) for each in pairs if "key" in each and "value" in each]

    @property
    def exif(self) -> list[tuple[str, str]]:
        """What the camera wrote."""
        said = self._property("exif")
        return sorted((str(name), str(value)[:200]) for name, value in said.items()) if isinstance(said, dict) else []

    @property
    def neighbours(self) -> list[tuple[str, str]]:
        """("prev" or "next", id)."""
        return [(turn, str(self.row[f"{turn}_id"])) for turn in ("prev", "next") if self.row[f"{turn}_id"] is not None]

    @property
    def report_href(self) -> str:
        """Where it can be reported: at its origin, whose operators alone can blur or remove it.

        The older form of the address: the pages of every version of an instance read it.
        """
        return f"{self.origin.web}/#focus=pic&pic={self.id}" if self.origin.web.startswith(_WEB) else ""

    @property
    def id_href(self) -> str:
        """The editor iD at this place, with this picture open."""
        latitude, longitude = self.place
        asked = {"map": f"20/{latitude:.6f}/{longitude:.6f}", "photo_overlay": "panoramax"}
        asked["photo"] = f"panoramax/{self.id}"
        return f"https://www.openstreetmap.org/edit?editor=id#{urlencode(asked, safe='/')}"

    @property
    def josm_href(self) -> str:
        """What makes a running JOSM load this place."""
        latitude, longitude = self.place
        sides = {
            "left": longitude - _AROUND_DEG, "right": longitude + _AROUND_DEG,
            "top": latitude + _AROUND_DEG, "bottom": latitude - _AROUND_DEG,
        }  # fmt: skip
        asked = {name: f"{value:.6f}" for name, value in sides.items()}
        return f"{JOSM}/load_and_zoom?{urlencode(asked | {'changeset_source': 'Panoramax'})}"

    def _property(self, name: str) -> Any:
        properties = self.item.get("properties")
        return properties.get(name) if isinstance(properties, dict) else None

    def _link(self, rel: str) -> str:
        for link in self.item["links"]:
            if isinstance(link, dict) and link.get("rel") == rel:
                href = link.get("href")
                return href if isinstance(href, str) and href.startswith(_WEB) else ""
        return ""
