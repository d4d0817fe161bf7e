"""What happens to instances, and who does it: one row each, for the audit log, the feed and notifications."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import orjson

from federation.database import Connection
from federation.queries import query


class Kind(StrEnum):
    """What can happen."""

    # an instance, as everybody may know it
    JOINED = "joined"
    LEAVING = "leaving"
    LEFT = "left"
    DOWN = "down"
    BACK = "back"
    LATE = "late"
    BRAKED = "braked"
    SCHEMA_DRIFT = "schema-drift"
    PAUSED = "paused"
    RESUMED = "resumed"
    # between an operator and the administrators
    CHECKED = "checked"
    REGISTERED = "registered"
    PROVED = "proved"
    PROOF_LOST = "proof-lost"
    APPROVED = "approved"
    REFUSED = "refused"
    MOVED = "moved"
    SETTINGS_CHANGED = "settings-changed"
    HARVEST_ASKED = "harvest-asked"
    RECONCILIATION_ASKED = "reconciliation-asked"
    BRAKE_CONFIRMED = "brake-confirmed"
    BRAKE_REFUSED = "brake-refused"
    # administrators
    TAKEN_DOWN = "taken-down"
    TAKEDOWN_ENDED = "takedown-ended"
    TOKEN_MADE = "token-made"
    TOKEN_REVOKED = "token-revoked"
    SIGNED_IN = "signed-in"
    LINK_MADE = "link-made"
    LINK_USED = "link-used"
    LINK_REVOKED = "link-revoked"


#: What the public feed tells.
PUBLIC = frozenset(
    {
        Kind.JOINED,
        Kind.LEAVING,
        Kind.LEFT,
        Kind.DOWN,
        Kind.BACK,
        Kind.LATE,
        Kind.BRAKED,
        Kind.SCHEMA_DRIFT,
        Kind.PAUSED,
        Kind.RESUMED,
    }
)

#: Who does what nobody asked for.
HARVESTER = "harvester"
#: Who edits instances.yaml.
FILE = "file"
#: Who has a shell on the machine.
COMMAND_LINE = "command line"
#: Who has no token.
VISITOR = "visitor"


def token_actor(number: int) -> str:
    """The actor who showed a token.

    >>> token_actor(7)
    'token 7'
    """
    return f"token {number}"


def link_actor(number: int) -> str:
    """The actor whom a link let in.

    >>> link_actor(7)
    'link 7'
    """
    return f"link {number}"


async def note(
    connection: Connection,
    kind: Kind,
    *,
    actor: str,
    instance: int | None = None,
    subject: str = "",
    details: Mapping[str, object] | None = None,
) -> None:
    """Write it down, in the caller's transaction. `details` holds plain JSON values; never a token."""
    text = orjson.dumps(details or {}).decode()
    await connection.execute(query("note_event"), kind.value, instance, subject, actor, kind in PUBLIC, text)
