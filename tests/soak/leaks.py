"""Looks through everything the index stores and the programs logged for ids that nobody may see."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from http import HTTPStatus
from pathlib import Path

import asyncpg

from federation.errors import OriginRefused
from federation.payload import Unpacker
from tests.acceptance.federated import ServedCatalog

_TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'spatial_ref_sys'"""
#: where a sequence that was public and is gone may be named, as its origin's tombstone names it: the record of its
#: deletion, the changes for those who mirror us, the address of a request that failed
_RECORDS_OF_DELETION = ("sequences", "changes", "runs")
_AROUND = 160


async def stored_texts(connection: asyncpg.Connection) -> dict[str, str]:
    """Everything in the database as text, by table; what is packed is unpacked."""
    texts = {}
    for row in await connection.fetch(_TABLES):
        rows = await connection.fetch(f"SELECT t::text FROM {row[0]} t")
        texts[row[0]] = "\n".join(each[0] for each in rows)
    unpacker = Unpacker()
    unpacker.learn(0)
    for row in await connection.fetch("SELECT n, content FROM dictionaries"):
        unpacker.learn(row["n"], row["content"])
    for table in ("pictures", "sequences"):
        packed = await connection.fetch(f"SELECT dictionary, payload FROM {table} WHERE payload IS NOT NULL")
        documents = [unpacker.unpack(row["dictionary"], row["payload"]) for row in packed]
        texts[f"payloads of {table}"] = b"\n".join(documents).decode(errors="replace")
    return texts


async def leaks(
    connection: asyncpg.Connection, *, hidden: Collection[str], gone: Collection[str], secret: Collection[str]
) -> list[str]:
    """Where hidden pictures, sequences that are gone, and what was never public are found."""
    found = []
    for table, text in (await stored_texts(connection)).items():
        found += [f"hidden picture {id} is stored in {table}: {_around(text, id)}" for id in hidden if id in text]
        found += [f"{id}, never public, is stored in {table}: {_around(text, id)}" for id in secret if id in text]
        if table not in _RECORDS_OF_DELETION:
            kept = [id for id in gone if id in text]
            found += [f"sequence {id}, which is gone, is stored in {table}: {_around(text, id)}" for id in kept]
    return found


def _around(text: str, id: str) -> str:
    place = text.index(id)
    return text[max(0, place - _AROUND) : place + len(id) + _AROUND]


def answered(catalog: ServedCatalog, *, hidden: Iterable[str], gone: Iterable[str]) -> list[str]:
    """Addresses at which the catalog still has something of what nobody shows."""
    paths = [f"/pictures/{id}" for id in hidden] + [
        f"/collections/{id}{more}" for id in gone for more in ("", "/items")
    ]
    found = []
    for path in paths:
        try:
            said = catalog.get(path)
        except OriginRefused as error:
            if error.status != HTTPStatus.NOT_FOUND:
                found.append(f"{path} is answered with {error.status}, not 404")
        else:
            found.append(f"{path} is answered: {str(said)[:300]}")
    return found


def logged(logs: Iterable[Path], secret: Collection[str]) -> list[str]:
    """Lines of logs that name what was never public."""
    texts = {log.name: log.read_text(errors="replace") for log in logs}
    return [f"{id}, never public, is named in {name}" for id in secret for name, text in texts.items() if id in text]
