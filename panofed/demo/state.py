"""What one instance of the demonstration remembers between two starts: its port, secret, tokens and upload sets."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from federation.errors import DemoError


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedSet:
    """One upload set: its id, the account that owns it ("" = the default one), and whether all of it arrived."""

    id: str
    account: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceState:
    """The remembered parts; `secret` signs the tokens, so both live and die together."""

    port: int
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    #: account name -> API token
    tokens: Mapping[str, str] = field(default_factory=dict)
    #: title -> upload set
    upload_sets: Mapping[str, UploadedSet] = field(default_factory=dict)


def read_state(path: Path) -> InstanceState | None:
    """The state in `path`, None if there is none; raises DemoError if it is not one."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        sets = {title: UploadedSet(**each) for title, each in stored.pop("upload_sets").items()}
        return InstanceState(**stored, upload_sets=sets)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise DemoError(f"{path} is damaged ({error}): delete the folder {path.parent} to start anew") from error


def write_state(path: Path, state: InstanceState) -> None:
    """Replace the file whole, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=1, ensure_ascii=False)
    unfinished.replace(path)
