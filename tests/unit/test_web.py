"""Pages: their texts in every language, templates, what a page may ask of other hosts, and the files they need."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest

from catalog_api.index.health import STATES
from catalog_api.web.desk import SAID
from catalog_api.web.languages import LANGUAGES
from catalog_api.web.policy import (
    GEOCODERS,
    SERVICES,
    asset_sources,
    map_policy,
    page_policy,
    service_sources,
    silenced,
)
from catalog_api.web.register import WAY
from catalog_api.web.sequence_list import ORDERS
from catalog_api.web.shelf import shelf_of
from federation.checks import State as CheckState
from federation.errors import ConfigurationError
from federation.events import PUBLIC
from federation.registrations import BLURRING, State
from federation.settings import VIEWER_SERVICES, load_settings

ROOT = Path(__file__).parents[2]
WEB = ROOT / "catalog_api/web"
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
PLACE = re.compile(r"\{(\w+)\}")


def texts(code: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in [WEB / f"words/{code}.json", *WEB.glob(f"words/*.{code}.json")]:
        more = orjson.loads(path.read_bytes())
        assert not set(found) & set(more), path.name
        found |= more
    return found


def health() -> set[str]:
    """What the pages of health put together: a state, an event, a phase of a visit."""
    harvester = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "harvester").glob("*.py"))
    phases = {"starting", "packing", "ended", *re.findall(r"\.phase\(\"([a-z ]+)\"\)", harvester)}
    return {
        *(f"state_{state}" for state in STATES),
        *(f"event_{kind.value}" for kind in PUBLIC),
        *(f"phase_{phase.replace(' ', '_')}" for phase in phases),
        *(f"outcome_{outcome}" for outcome in ("running", "done", "partial", "failed", "interrupted")),
        *(f"contribute_{who}" for who in ("open", "closed", "nobody", "unknown")),
        *(f"unit_{unit}" for unit in ("d", "h", "min", "s")),
        *("event_other", "left", "left_at_least", "changed", "removed", "reread", "put_off", "quarantined"),
        *("instances", "now", "each_instance", "charts", "coverage", "events"),
    }


def used() -> set[str]:
    """Every text that a page says."""
    pages = "\n".join(path.read_text(encoding="utf-8") for path in [*TEMPLATES, *WEB.glob("*.py")])
    plain = set(re.findall(r"say\(['\"](\w+)['\"][,)]", pages))
    counted = set(re.findall(r"count\(['\"](\w+)['\"],", pages))
    put_together = {
        *(f"order_{order}" for order in ORDERS),
        *(f"turn_{turn}" for turn in ("first", "prev", "next", "last")),
        *(f"file_{size}" for size in ("hd", "sd", "thumb")),
        *("kind_360", "kind_flat", "found_more", "prev", "next"),
        *("map", "sequences", "about", "api", "bad_title", "lost_title", "busy_title"),
        *(f"own_state_{state}" for state in ("enabled", "disabled", "paused", "braked", "leaving", "left")),
        *(f"own_outcome_{outcome}" for outcome in ("running", "done", "partial", "failed", "interrupted")),
        *(f"registration_{state.value.replace('-', '_')}" for state in State),
        *(f"said_{said}" for said in SAID),
        *("forbidden_title", "conflict_title", "hasty_title"),
        *(f"join_blurring_{each}" for each in (*BLURRING, "unsaid")),
        *(f"join_outcome_{outcome}" for outcome in ("passed", "warned", "failed", "broken")),
        *(f"admin_check_{outcome}" for outcome in ("running", "passed", "warned", "failed", "broken")),
        *(f"proof_by_{way}" for way in ("well-known", "dns", "configuration")),
        *(f"join_step_{state.value}" for state in CheckState),
        *(f"join_state_{state.value}" for state in WAY),
        *(f"join_now_{state.value}" for state in State),
        *("join_text_automatic", "join_text_moderated"),
        *health(),
    }
    return plain | counted | {f"{key}_one" for key in counted} | put_together


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_language_has_every_text_and_no_other(code: str) -> None:
    assert set(texts(code)) == used()


@pytest.mark.parametrize("key", sorted(texts("en")))
def test_a_text_takes_the_same_values_in_every_language(key: str) -> None:
    assert len({frozenset(PLACE.findall(texts(code)[key])) for code in LANGUAGES}) == 1


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_holds_no_script_and_no_style(path: Path) -> None:
    """The policy of the pages would refuse them, and a value among them would not be escaped for them."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:|\|safe", text)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)


def test_a_policy_names_the_confirmed_hosts_and_nothing_else() -> None:
    sources = asset_sources(["a.example", "cdn.example:8443", "b.example"])
    directives = dict(each.split(" ", 1) for each in map_policy(sources, []).split("; "))
    assert directives["img-src"] == "'self' data: blob: a.example:* b.example:* cdn.example:8443"
    assert directives["connect-src"].split()[4:] == ["a.example:*", "b.example:*", "cdn.example:8443"]
    assert directives["script-src"] == "'self'"
    assert "unsafe-inline" not in page_policy(sources)


@pytest.mark.parametrize("host", ["a.example; script-src *", "a b", "", "a.example\r\nx: y", "*", "[::1]:80", "'none'"])
def test_a_host_that_would_say_more_is_left_out(host: str) -> None:
    assert asset_sources([host, "good.example"]) == ["good.example:*"]


def test_services_are_off_until_they_are_switched_on() -> None:
    assert set(SERVICES) == set(VIEWER_SERVICES)
    assert service_sources(load_settings()) == []
    assert set(silenced(load_settings())) == {each for prefixes in SERVICES.values() for each in prefixes}
    some = load_settings(
        viewer_services="presets, address", geocoder="ban", map_style="https://tiles.example/style.json?key=1",
        map_hosts="https://fonts.example",
    )  # fmt: skip
    assert service_sources(some) == [
        *SERVICES["presets"], *SERVICES["address"], GEOCODERS["ban"], "https://tiles.example", "https://fonts.example",
    ]  # fmt: skip
    assert not set(silenced(some)) & {*SERVICES["presets"], *SERVICES["address"]}
    assert service_sources(load_settings(geocoder="https://photon.example/api?lang=fr")) == [
        "https://photon.example/api"
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("viewer_services", "presets,everything"),
        ("geocoder", "photon"),
        ("geocoder", "https://a.example/x; script-src *"),
        ("map_style", "/style.json"),
        ("map_style", "https://a.example/a b"),
        ("map_hosts", "https://a.example,tiles.example"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"PANOFED_{name.upper()}="):
        load_settings(**{name: value})


def test_without_npm_everything_else_is_set_up(tmp_path: Path) -> None:
    """The script that fetches the viewer, where there is no npm: a failure only for who asked for the viewer."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "cat", "cksum", "dirname"):
        (tools / name).symlink_to(shutil.which(name) or "missing")
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/viewer", tmp_path / "scripts")
    shutil.copytree(ROOT / "viewer", tmp_path / "viewer")
    for options, code in ((["--optional"], 0), ([], 1)):
        ended = subprocess.run(
            [tmp_path / "scripts/viewer", *options], env={"PATH": str(tools)}, capture_output=True, text=True,
            timeout=20, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stdout) == (code, "")
        assert "npm is missing" in ended.stderr and "make viewer" in ended.stderr
        assert not (tmp_path / ".viewer").exists()


def test_what_npm_is_asked_for_is_pinned_without_a_host() -> None:
    wanted = orjson.loads((ROOT / "viewer/package.json").read_bytes())
    lock = orjson.loads((ROOT / "viewer/package-lock.json").read_bytes())
    named = wanted["dependencies"] | wanted["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in named.values())
    for path, entry in lock["packages"].items():
        assert "resolved" not in entry
        assert path == "" or entry["integrity"].startswith("sha512-")


def test_files_have_other_addresses_once_they_are_others(tmp_path: Path) -> None:
    without = shelf_of(tmp_path)
    assert without.viewer == "" and "viewer/index.js" not in without.files
    (tmp_path / "index.js").write_text("1")
    assert shelf_of(tmp_path) is without, "nothing is taken from a folder that is being filled"
    (tmp_path / "viewer.json").write_text('{"viewer":"1.2.3"}')
    made = shelf_of(tmp_path)
    assert made.viewer == "1.2.3"
    assert made.files["viewer/index.js"].body == b"1"
    assert made.fingerprint != without.fingerprint
    assert made.href("style.css") == f"/assets/{made.fingerprint}/style.css"
