"""One client of one instance's web API: JSON in and out, small uploads; the standard library only, never a proxy."""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federation.errors import DemoError, OriginRefused, OriginUnreachable

USER_AGENT = "panofed-demo/1"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Somebody's access to an instance. `url` is its STAC landing page; without `token` it is an anonymous visitor."""

    url: str
    token: str = ""
    timeout_s: float = 60.0

    def get(self, path: str) -> Any:
        """The JSON answer of GET `path` (which starts with a slash)."""
        return self.call("GET", path)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send `body` as JSON; returns the JSON answer, None if empty.

        Raises OriginRefused with the status when the instance says no, OriginUnreachable when it does not answer.
        """
        data = None if body is None else json.dumps(body).encode()
        return self._send(method, path, data, {"Content-Type": "application/json"} if data else {})

    def upload(self, path: str, field: str, file: Path, fields: Mapping[str, str]) -> Any:
        """POST one picture as a form with some other fields."""
        boundary = secrets.token_hex(16)
        form = _form(boundary, field, file, fields)
        return self._send("POST", path, form, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def wait(self, what: str, ready: Callable[[], bool], timeout_s: float = 120.0, pause_s: float = 0.05) -> None:
        """Ask until `ready` says so; raises DemoError naming `what` after `timeout_s`."""
        give_up = time.monotonic() + timeout_s
        while not ready():
            if time.monotonic() > give_up:
                raise DemoError(f"{self.url}: {what} did not happen within {timeout_s:.0f} s")
            time.sleep(pause_s)

    def _send(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> Any:
        who = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(
            self.url + path, data, {"User-Agent": USER_AGENT, **headers, **who}, method=method
        )
        try:
            with _OPENER.open(request, timeout=self.timeout_s) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")[:300]
            raise OriginRefused(f"{method} {path}: {error.code} {said}", status=error.code, url=self.url) from error
        except (urllib.error.URLError, OSError) as error:
            raise OriginUnreachable(f"{method} {self.url}{path}: {error}", url=self.url) from error
        return json.loads(body) if body else None


def _form(boundary: str, field: str, file: Path, fields: Mapping[str, str]) -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{file.name}"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return b"".join([*parts, head.encode(), file.read_bytes(), f"\r\n--{boundary}--\r\n".encode()])
