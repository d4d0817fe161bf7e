"""The OpenAPI document says what is served: every route, every parameter, and the shape of every answer."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx2
import jsonschema
import pytest
from starlette.routing import Route

from catalog_api.app import routes
from catalog_api.edge.endpoint import Endpoint
from catalog_api.openapi.document import describe
from catalog_api.openapi.operations import OPERATIONS
from federation.settings import load_settings
from tests.catalog_factory import Factory, line
from tests.desk import bearer

DOCUMENT = describe(routes(), load_settings(), "http://x")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


#: Pages for people and what they are made of: nothing for programs.
PAGES = {
    "/sequences", "/pictures/{picture}", "/about", "/basemap/{theme}.json", "/assets/{version}/{file:path}",
    "/instances", "/instances/{name}", "/runs/{n}", "/coverage.svg", "/events.atom", "/events.json",
    "/register", "/registrations/{registration}", "/checks/{check}",
    "/favicon.ico", "/sign-in", "/sign-out", "/operator", "/operator/{name}", "/operator/{name}/leave",
    "/operator/{name}/link", "/operator/{name}/{act}", "/admin", "/admin/registrations",
    "/admin/registrations/{n}/{act}", "/admin/takedowns", "/admin/takedowns/{n}/end", "/admin/access",
    "/admin/access/tokens", "/admin/access/links", "/admin/access/{kind}/{n}/revoke", "/admin/log",
}  # fmt: skip


def real() -> set[tuple[str, str]]:
    return {
        (route.path, method)
        for route in routes()
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint) and route.path not in PAGES
        for method in route.endpoint.handlers
    }


def test_every_route_is_described_and_nothing_else() -> None:
    described = {(path, method) for path, methods in OPERATIONS.items() for method in methods}
    assert described == real()
    assert {(path, method.upper()) for path, method, _ in operations()} == real()


def test_ids_of_operations_are_unique_and_path_parameters_complete() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids)
    for path, _, operation in operations():
        named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), path


def test_every_schema_is_a_schema_and_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for name in re.findall(r"#/components/schemas/(\w+)", repr(DOCUMENT)):
        assert name in schemas


def test_limits_are_those_of_the_settings() -> None:
    document = describe(routes(), load_settings(collections_limit_max=7), "http://x")
    limits = [each for each in document["paths"]["/api/collections"]["get"]["parameters"] if each["name"] == "limit"]
    assert limits[0]["schema"]["maximum"] == 7


@pytest.fixture
async def world(factory: Factory) -> dict[str, str]:
    """Something behind every path; values of path parameters."""
    stored = await factory.sequence(line(2.35, 48.85, 3))
    user = str(uuid.uuid4())
    n = await factory.connection.fetchval(
        "INSERT INTO accounts (id, instance, name) VALUES ($1, 1, 'alice') RETURNING n", user
    )
    await factory.connection.execute("UPDATE sequences SET account = $1, created = now()", n)
    await factory.connection.execute("INSERT INTO runs (instance) VALUES (1)")
    check = await factory.connection.fetchval(
        "INSERT INTO checks (kind, url, place) VALUES ('first', 'https://a.org/api', 'a.org:443') RETURNING id::text"
    )
    await factory.connection.execute(
        "INSERT INTO check_steps (n, step, name, state, findings) VALUES (1, 0, 'version', 'ok',"
        ' \'[{"code": "version", "values": {"version": "2.15.1"}}]\')'
    )
    registration = await factory.connection.fetchval(
        "INSERT INTO registrations (url, place, name, contact, proof)"
        " VALUES ('https://a.org/api', 'a.org:443', 'a', 'b', 'c') RETURNING id::text"
    )
    return {
        "sequence": stored.id, "picture": next(iter(stored.items)), "user": user, "name": "north", "size": "sd",
        "act": "pause", "n": "1", "authorization": (await bearer(factory.connection, None))["authorization"],
        "check": check, "registration": registration,
        "file": "manifest.json", "table": "days", "z": "15", "x": "16597", "y": "11273",
    }  # fmt: skip


def is_endless(operation: dict[str, Any]) -> bool:
    """Events are told until somebody goes: tests of their own read them."""
    return set(operation["responses"].get("200", {}).get("content", {})) == {"text/event-stream"}


def valid(operation: dict[str, Any], answer: httpx2.Response) -> None:
    told = operation["responses"].get(str(answer.status_code))
    assert told is not None, f"{answer.request.url}: {answer.status_code} is not described: {answer.text[:300]}"
    kind = answer.headers.get("content-type", "").split(";")[0]
    if "content" not in told:
        return
    assert kind in told["content"], f"{answer.request.url}: {kind}"
    schema = told["content"][kind].get("schema")
    if schema is not None:
        whole = schema | {"components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(whole).validate(answer.json())


def example_of(parameter: dict[str, Any], world: dict[str, str]) -> str:
    schema = parameter["schema"]
    if "example" in parameter:
        value = parameter["example"]
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)
    known = {
        "ids": world["picture"], "collections": world["sequence"], "withPicture": world["picture"], "q": "walk",
        "datetime": "2024-05-01T00:00:00Z/..", "token": "", "page": "", "wait": "0", "format": "json",
        "intersects": '{"type":"Point","coordinates":[2.35,48.85]}', "place_position": "2.35,48.85",
    }  # fmt: skip
    if parameter["name"] in known:
        return known[parameter["name"]]
    if "enum" in schema:
        return str(schema["enum"][0])
    return {"integer": "1", "number": "30", "boolean": "true"}.get(schema.get("type", ""), "")


async def test_every_parameter_is_accepted_and_every_answer_is_as_described(
    client: httpx2.AsyncClient, world: dict[str, str]
) -> None:
    for path, method, operation in operations():
        if method != "get" or is_endless(operation):
            continue
        address = path.format(**world)
        needed = {
            each["name"]: example_of(each, world) for each in operation["parameters"]
            if each.get("required") and each["in"] == "query"
        }  # fmt: skip
        shown = {"authorization": world["authorization"]} if "security" in operation else {}
        first = await client.get(address, params=needed or None, headers=shown)
        valid(operation, first)
        assert first.status_code < 400 or path in ("/api/exports", "/api/exports/{file}", "/metrics"), path
        for parameter in operation["parameters"]:
            if parameter["in"] == "query":
                value = example_of(parameter, world)
                answer = await client.get(address, params=needed | {parameter["name"]: value}, headers=shown)
                assert answer.status_code == 200, f"{path} {parameter['name']}={value}: {answer.text[:300]}"
                valid(operation, answer)


async def test_errors_are_as_described(client: httpx2.AsyncClient, world: dict[str, str]) -> None:
    """A limit that is none, an id that is none, a method that is not there."""
    for path, method, operation in operations():
        if method != "get" or is_endless(operation):
            continue
        wrong = path.format(**dict.fromkeys(world, "nothing"))
        answer = await client.get(wrong)
        valid(operation, answer)
        if any(each["name"] == "limit" for each in operation["parameters"]):
            shown = {"authorization": world["authorization"]} if "security" in operation else {}
            answer = await client.get(path.format(**world), params={"limit": "0", "q": "a"}, headers=shown)
            assert answer.status_code == 400
            valid(operation, answer)
        refused = await client.put(path.format(**world))
        assert refused.status_code == 405
        jsonschema.Draft202012Validator(DOCUMENT["components"]["schemas"]["Error"]).validate(refused.json())


async def test_posted_search_is_as_described(client: httpx2.AsyncClient, world: dict[str, str]) -> None:
    operation = DOCUMENT["paths"]["/api/search"]["post"]
    schema = DOCUMENT["components"]["schemas"]["Search"]
    for body in [*schema["examples"], {"ids": [world["picture"]]}, {"limit": 0}, {"filter": {"op": "nothing"}}]:
        valid(operation, await client.post("/api/search", json=body))


async def test_document_and_page_are_found_from_the_landing_page(client: httpx2.AsyncClient) -> None:
    landing = (await client.get("/api")).json()
    links = {link["rel"]: link for link in landing["links"]}
    document = await client.get(links["service-desc"]["href"])
    assert document.headers["content-type"] == links["service-desc"]["type"]
    assert document.json() == (await client.get("/openapi.json")).json()
    assert document.json()["servers"] == [{"url": str(client.base_url).rstrip("/")}]
    page = await client.get(links["service-doc"]["href"])
    assert page.headers["content-type"].startswith("text/html")
    for path in document.json()["paths"]:
        assert f"<code>{path}</code>" in page.text


class Outside(HTMLParser):
    """Collects what a page would load or lead to, and its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses, self.tags = list[str](), set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)


async def test_page_needs_no_other_host_and_no_script(client: httpx2.AsyncClient) -> None:
    page = await client.get("/api/docs/swagger/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "script" not in page.headers["content-security-policy"]
    found = Outside()
    found.feed(page.text)
    assert all(address.startswith("/") for address in found.addresses)
    assert not {"script", "link", "img", "iframe"} & found.tags
    assert "width=device-width" in page.text
