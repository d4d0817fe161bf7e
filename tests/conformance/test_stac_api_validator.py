"""stac-api-validator finds no error, class by class."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from shapely.geometry import box, mapping

from tests.conformance.conftest import AREA, Judged
from tests.conformance.environments import HERE, environment

#: Extensions of the documents whose schemas no package holds: our own tests look at their fields.
NOT_AT_HAND = {"https://stac-extensions.github.io/stats/v0.2.0/schema.json",
               "https://stac-extensions.github.io/view/v1.0.0/schema.json"}  # fmt: skip
#: (classes to validate together, whether pages are followed). Of `features#fields` and `features#sort` it says that it
#: does not test them yet.
RUNS = [
    (["core", "collections", "features", "item-search"], True),
    (["item-search", "filter"], False),
    (["item-search", "item-search#sort", "item-search#fields"], False),
]


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schemas that pystac's wheel holds, each under the host and path of its id."""
    mirror = tmp_path_factory.mktemp("schemas")
    for source in Path(str(files("pystac.validation") / "jsonschemas")).rglob("*.json"):
        parts = urlsplit(json.loads(source.read_text())["$id"].rstrip("#"))
        kept = mirror / (parts.hostname or "") / parts.path.lstrip("/")
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(source.read_bytes())
    return mirror


@pytest.mark.parametrize(("classes", "pages"), RUNS, ids=["+".join(classes) for classes, _ in RUNS])
def test_it_finds_no_error(judged: Judged, schemas: Path, classes: list[str], pages: bool) -> None:
    said = validate(judged, schemas, classes, pages)
    # its exit status is 0 when it fails itself
    assert "Errors: none" in said, said
    unknown = schemas / "unknown-schemas"
    assert not unknown.exists() or set(unknown.read_text().split()) <= NOT_AT_HAND


def validate(judged: Judged, schemas: Path, classes: list[str], pages: bool) -> str:
    """What the validator says."""
    program = environment("stac-api-validator") / "stac-api-validator"
    command = [str(program), "--root-url", judged.url, "--collection", judged.sequences[0].id]
    command += ["--geometry", json.dumps(mapping(box(*AREA)))]
    command += ["--fields-nested-property", "properties.license"]
    command += ["--validate-pagination" if pages else "--no-validate-pagination"]
    for each in classes:
        command += ["--conformance", each]
    ours = {"PYTHONPATH": str(HERE / "shim"), "SCHEMA_MIRROR": str(schemas), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | ours, check=False)
    return done.stdout + done.stderr
