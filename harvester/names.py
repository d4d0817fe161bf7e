"""Numbers of accounts, cameras and licences: looked up once a visit, made when they are new."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from federation.database import Connection, rows_of
from federation.errors import RunFenced
from federation.queries import query
from federation.record import Account, Picture

logger = logging.getLogger(__name__)

#: Beyond this many entries a cache is replaced: a visit must not grow with the size of an instance.
_CACHE_MAX = 50_000


@dataclass(frozen=True, slots=True)
class NameNumbers:
    """What is known so far. Lanes that work with one keep it when the visit begins another."""

    accounts: dict[str, int] = field(default_factory=dict)
    cameras: dict[tuple[str, str], int] = field(default_factory=dict)
    #: None for a licence beyond the number that are kept
    licenses: dict[str, int | None] = field(default_factory=dict)
    account_names: dict[str, str] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether it is time for another."""
        return len(self.accounts) + len(self.cameras) + len(self.licenses) > _CACHE_MAX


@dataclass(slots=True)
class Names:
    """Caches of one visit. The lookups commit on their own: a number without a picture harms nobody."""

    instance: int
    run: int
    #: accounts that had another name until now
    renamed: int = 0
    _numbers: NameNumbers = field(default_factory=NameNumbers)

    async def learn(self, connection: Connection, pictures: Iterable[Picture]) -> NameNumbers:
        """The numbers of all names of these pictures, and of others."""
        known = self._current()
        accounts: dict[str, str] = {}
        cameras: set[tuple[str, str]] = set()
        licenses: set[str] = set()
        for picture in pictures:
            if picture.account and known.account_names.get(picture.account.id) != picture.account.name:
                accounts[picture.account.id] = picture.account.name
            if picture.camera and picture.camera not in known.cameras:
                cameras.add(picture.camera)
            if picture.license and picture.license not in known.licenses:
                licenses.add(picture.license)
        if accounts:
            await self._learn_accounts(connection, known, accounts)
        if cameras:
            await _learn_cameras(connection, known, cameras)
        for name in licenses:
            await connection.execute(query("keep_license"), name)
            known.licenses[name] = await connection.fetchval(query("read_license"), name)
        return known

    async def account(self, connection: Connection, account: Account | None) -> int | None:
        """The number of one account."""
        if account is None:
            return None
        known = self._current()
        if known.account_names.get(account.id) != account.name:
            await self._learn_accounts(connection, known, {account.id: account.name})
        return known.accounts[account.id]

    def _current(self) -> NameNumbers:
        if self._numbers.full:
            self._numbers = NameNumbers()
        return self._numbers

    async def _learn_accounts(self, connection: Connection, known: NameNumbers, names: dict[str, str]) -> None:
        renamed = await connection.fetch(
            query("keep_accounts"), self.instance, list(names), list(names.values()), self.run
        )
        if renamed:
            numbers = [row["n"] for row in renamed]
            self.renamed += len(numbers)
            due = rows_of(await connection.execute(query("recheck_accounts"), self.instance, numbers))
            # which is announced by nothing: their other sequences still say the old name
            logger.info("accounts renamed", extra={"instance": self.instance, "accounts": numbers, "read_again": due})
        for row in await connection.fetch(query("read_accounts"), self.instance, list(names)):
            known.accounts[str(row["id"])] = row["n"]
        if not known.accounts.keys() >= names.keys():
            raise RunFenced(f"run {self.run} was replaced by a newer one")
        known.account_names.update(names)


async def _learn_cameras(connection: Connection, known: NameNumbers, cameras: set[tuple[str, str]]) -> None:
    makes, models = ([camera[part] for camera in sorted(cameras)] for part in (0, 1))
    await connection.execute(query("keep_cameras"), makes, models)
    for row in await connection.fetch(query("read_cameras"), makes, models):
        known.cameras[row["manufacturer"], row["model"]] = row["n"]
