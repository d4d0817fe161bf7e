"""schemathesis finds no server error, and no status or content type that our OpenAPI document does not know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2

from tests.conformance.conftest import Judged

#: What is looked for in every answer.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance"
)
#: Requests made up for each operation besides the document's examples and the edges of its parameters.
EXAMPLES = 25
#: Feeds of events go on for ever: this long they are listened to.
_EVENTS_S = 2


def test_every_answer_is_one_the_document_knows(judged: Judged, tmp_path: Path) -> None:
    root = judged.url.removesuffix("/api")
    assert httpx2.get(f"{root}/openapi.json").json()["openapi"].startswith("3.1")
    config = tmp_path / "schemathesis.toml"
    config.write_text(_known(judged))
    program = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)]
    command = [*program, "run", f"{root}/openapi.json", "--url", root]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1"]
    command += ["--checks", CHECKS, "--continue-on-failure", "--no-color", "--generation-deterministic"]
    command += ["--request-timeout", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr
    assert httpx2.get(f"{judged.url}/ready").status_code == 200


def _known(judged: Judged) -> str:
    """Its settings. Names of what exists, since made-up ids would only ever be answered 404; how long to listen."""
    sequence = judged.sequences[0]
    known = {"sequence": sequence.id, "picture": next(iter(sequence.items)), "name": "north", "size": "hd"}
    feeds = [
        line
        for path in ("/api/changes", "/api/runs/events")
        for line in ("[[operations]]", f'include-path = "{path}"', f"request-timeout = {_EVENTS_S}")
    ]
    return "\n".join(["[parameters]", *(f'"path.{name}" = "{value}"' for name, value in known.items()), *feeds])
