"""The pages for people, as a browser without scripts sees them."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import brotli
import httpx2
import pytest

from tests.catalog_factory import START, Factory, Serving, Shot, line

HTML = {"accept": "text/html,application/xhtml+xml", "accept-language": "en"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def viewer(tmp_path: Path) -> Path:
    """A folder as `make viewer` leaves it, with other words in the files."""
    folder = tmp_path / "viewer"
    (folder / "static/media").mkdir(parents=True)
    for name in ("index.js", "index.css", "outline.json", "static/media/a.woff2"):
        (folder / name).write_text(name)
    (folder / "index.js.br").write_bytes(brotli.compress(b"index.js"))
    (folder / "viewer.json").write_text('{"viewer":"4.3.1"}')
    return folder


async def page(client: httpx2.AsyncClient, path: str, status: int = 200, language: str = "en") -> str:
    answer = await client.get(path, headers=HTML | {"accept-language": language})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    return answer.text


def titles(text: str) -> list[str]:
    return re.findall(r'<th scope="row"><a [^>]*>([^<]*)</a>', text)


def policy_of(answer: httpx2.Response) -> dict[str, list[str]]:
    words = (each.split() for each in answer.headers["content-security-policy"].split(";"))
    return {name: values for name, *values in words}


async def test_without_the_viewer_the_front_page_says_how_to_get_it(serving: Serving, tmp_path: Path) -> None:
    async with serving(viewer_dir=tmp_path) as client:
        text = await page(client, "/")
        assert "<pre>make viewer</pre>" in text and "pnx-viewer" not in text
        assert "<pre>make viewer</pre>" not in await page(client, "/about")


async def test_the_front_page_is_the_viewer_on_this_catalog(serving: Serving, viewer: Path) -> None:
    async with serving(viewer_dir=viewer) as client:
        text = await page(client, "/")
        assert '<pnx-viewer endpoint="/api" lang="en"' in text
        for href in re.findall(r'(?:src|href)="(/assets/[^"]*)"', text):
            answer = await client.get(href)
            assert answer.status_code == 200, href
            assert answer.headers["cache-control"].endswith("immutable")
        style = (await client.get("/basemap/light.json")).json()
        address = style["sources"]["world"]["data"]
        assert address.startswith(str(client.base_url))
        assert (await client.get(address)).text == "outline.json"
        assert (await client.get("/basemap/pink.json")).status_code == 404


async def test_only_confirmed_hosts_may_be_asked(serving: Serving, viewer: Path, factory: Factory) -> None:
    await factory.instance("north", hosts=["cdn.north.example"])
    async with serving(viewer_dir=viewer) as client:
        answer = await client.get("/", headers=HTML)
        directives = policy_of(answer)
        hosts = {word for word in directives["img-src"] if word[0] != "'" and word not in ("data:", "blob:")}
        assert "cdn.north.example:*" in hosts and len(hosts) == 2
        assert hosts < set(directives["connect-src"])
        assert not any("nominatim" in word or "presets" in word for word in directives["connect-src"])
        assert "https://nominatim.openstreetmap.org/reverse" in answer.text, "the page answers it itself"
        known = {"if-none-match": answer.headers["etag"]}
        assert (await client.get("/", headers=HTML | known)).status_code == 304
        # browsers keep the policy of what has not changed, so the page itself has to
        await factory.connection.execute("UPDATE instances SET asset_hosts = '{cdn2.north.example}'")
    async with serving(viewer_dir=viewer) as client:
        assert (await client.get("/", headers=HTML | known)).status_code == 200


async def test_services_that_are_switched_on_may_be_asked(serving: Serving, viewer: Path) -> None:
    on = {"viewer_services": "address", "geocoder": "ban", "map_style": "https://tiles.example/style.json"}
    async with serving(viewer_dir=viewer, **on) as client:
        answer = await client.get("/", headers=HTML)
        assert {
            "https://nominatim.openstreetmap.org/reverse", "https://data.geopf.fr/geocodage/search",
            "https://tiles.example",
        } < set(policy_of(answer)["connect-src"])  # fmt: skip
        assert "nominatim.openstreetmap.org/reverse" not in answer.text
        assert 'map-style="https://tiles.example/style.json"' in answer.text
        assert 'geocoder="ban"' in answer.text


async def test_what_was_compressed_beforehand_is_sent_so(serving: Serving, viewer: Path) -> None:
    async with serving(viewer_dir=viewer) as client:
        (href,) = re.findall(r'src="(/assets/[^"]*/viewer/index.js)"', await page(client, "/"))
        for accepted, coding in (("br, gzip", "br"), ("gzip", None), ("br;q=0", None)):
            answer = await client.get(href, headers={"accept-encoding": accepted})
            assert (answer.headers.get("content-encoding"), answer.text) == (coding, "index.js")
        other = await client.get("/assets/0123/viewer/index.js")
        assert other.text == "index.js" and "immutable" not in other.headers["cache-control"]
        for name in ("viewer/viewer.json", "viewer/../viewer.json", "viewer/index.js.br", "pages.py", ""):
            assert (await client.get(f"/assets/0123/{name}")).status_code == 404, name


async def test_pages_speak_the_readers_language(client: httpx2.AsyncClient) -> None:
    assert '<html lang="fr"' in await page(client, "/sequences", language="fr-BE,fr;q=0.9,en;q=0.5")
    chosen = await page(client, "/sequences?lang=fr&q=a")
    assert "Aucune séquence ne correspond." in chosen
    assert 'href="/about?lang=fr"' in chosen, "who chose a language keeps it"
    assert 'href="/sequences?lang=en&amp;q=a"' in chosen
    assert "lang: is none of en, fr" in await page(client, "/sequences?lang=tlh", 400)


async def test_sequences_are_listed_with_what_people_look_for(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 3), title="Rue de Rivoli")
    text = await page(client, "/sequences")
    assert titles(text) == ["Rue de Rivoli"]
    assert f'href="/?seq={stored.id}&amp;focus=map"' in text
    row = text[text.index("<tbody>") :]
    for value in (">3<", ">2024-05-02<", " m<", ">north<", ">etalab-2.0<", f"/api/collections/{stored.id}/thumb.jpg"):
        assert value in row, value


async def test_sequences_are_searched_and_sorted(client: httpx2.AsyncClient, factory: Factory) -> None:
    places = {"Lyon": (4.85, 45.75), "Paris": (2.35, 48.85), "Suva": (178.44, -18.14)}
    for number, (title, (longitude, latitude)) in enumerate(places.items()):
        shots = [
            Shot(longitude=longitude + n / 1_000, latitude=latitude, captured=START + timedelta(days=number), rank=n)
            for n in range(number + 1)
        ]
        await factory.sequence(shots, title=title)
    assert titles(await page(client, "/sequences")) == ["Suva", "Paris", "Lyon"]
    assert titles(await page(client, "/sequences?sortby=title")) == ["Lyon", "Paris", "Suva"]
    assert titles(await page(client, "/sequences?q=paris")) == ["Paris"]
    assert titles(await page(client, "/sequences?from=2024-05-03&to=2024-05-03")) == ["Paris"]
    assert titles(await page(client, "/sequences?from=&to=2024-05-03&q=")) == ["Paris", "Lyon"]
    assert titles(await page(client, "/sequences?bbox=170,-20,-170,-15")) == ["Suva"]
    nothing = await page(client, "/sequences?q=nowhere")
    assert "No sequence matches." in nothing and 'value="nowhere"' in nothing
    for wrong, named in (
        ("bbox=1,2,3", "bbox"), ("from=yesterday", "datetime"), ("sortby=colour", "sortby"), ("from=../2024", "from"),
    ):  # fmt: skip
        text = await page(client, f"/sequences?{wrong}", 400)
        assert "That cannot be searched" in text and named in text


async def test_sequences_come_page_by_page(serving: Serving, factory: Factory) -> None:
    for number in range(5):
        await factory.sequence(line(2.0 + number, 48.0, 1), title=f"street {number}")
    async with serving(list_sequences=2, list_count_max=3) as client:
        path, found = "/sequences?sortby=title", list[str]()
        for _ in range(3):
            text = await page(client, path)
            found += titles(text)
            assert "more than 3 sequences" in text
            after = re.findall(r'<a href="([^"]*)" rel="next">', text)
            path = after[0].replace("&amp;", "&") if after else ""
            if path:
                assert parse_qs(urlsplit(path).query)["sortby"] == ["title"]
        assert (found, path) == ([f"street {number}" for number in range(5)], "")


async def test_a_picture_has_a_page(client: httpx2.AsyncClient, factory: Factory) -> None:
    stored = await factory.sequence(line(2.35, 48.85, 3))
    first, second, third = stored.items
    text = await page(client, f"/pictures/{second}")
    for value in (
        f'href="/pictures/{first}" rel="prev"', f'href="/pictures/{third}" rel="next"', "GoPro Max", "by alice",
        '<a href="https://example.org/license" rel="license">etalab-2.0</a>', "camera_support=car",
        f"photo=panoramax/{second}", "http://127.0.0.1:8111/load_and_zoom?left=", "Exif.Photo.ISOSpeedRatings",
        f'/#focus=pic&amp;pic={second}"', f'src="/api/pictures/{second}/sd.jpg"',
        f'<meta property="og:image" content="{client.base_url}',
    ):  # fmt: skip
        assert value in text, value
    assert 'rel="next"' not in await page(client, f"/pictures/{third}")


async def test_an_odd_picture_has_a_page_too(client: httpx2.AsyncClient, factory: Factory) -> None:
    odd = {
        "exif": "none", "semantics": [{}, {"key": "<b>", "value": "</script>"}], "pers:interior_orientation": {},
        "datetimetz": 12, "license": None, "view:azimuth": "north",
    }  # fmt: skip
    stored = await factory.sequence([Shot(longitude=2.35, latitude=48.85, properties=odd)])
    (identifier,) = stored.items
    text = await page(client, f"/pictures/{identifier}")
    assert "&lt;b&gt;=&lt;/script&gt;" in text and "<b>=" not in text
    assert "2024-05-02 09:00:00" in text


async def test_a_page_that_is_not_there_helps(client: httpx2.AsyncClient) -> None:
    text = await page(client, f"/photo/{UNKNOWN}", 404)
    for href in ("/", "/sequences", "/about", f"/pictures/{UNKNOWN}", f"/?seq={UNKNOWN}&amp;focus=map"):
        assert f'href="{href}"' in text
    gone = await page(client, f"/pictures/{UNKNOWN}", 404)
    assert f"there is no picture {UNKNOWN}" in gone
    await page(client, "/pictures/<script>", 404)
    for path in ("/photo", "/api/nothing"):
        program = await client.get(path, headers={"accept": "application/json"})
        assert (program.status_code, program.json()["status_code"]) == (404, 404)
    # what is not there in the API is JSON to browsers too
    assert (await client.get("/api/nothing", headers=HTML)).headers["content-type"] == "application/json"


async def test_without_a_database_it_is_a_page_that_says_so(serving: Serving) -> None:
    async with serving(database_url="postgresql://nobody@127.0.0.1:1/nothing") as client:
        answers = await asyncio.gather(*(client.get(path, headers=HTML) for path in ("/about", "/sequences")))
        for answer in answers:
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
            assert "Not now" in answer.text and answer.headers["cache-control"] == "no-store"
