"""Numbers of accounts, cameras and licences: looked up once a visit, made when they are new."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from federation.database import Connection
from federation.queries import query
from federation.record import Account, Picture

#: Beyond this many entries a cache is emptied: a visit must not grow with the size of an instance.
_CACHE_MAX = 50_000


@dataclass(slots=True)
class Names:
    """Caches of one visit. The lookups commit on their own: a number without a picture harms nobody."""

    instance: int
    accounts: dict[str, int] = field(default_factory=dict)
    cameras: dict[tuple[str, str], int] = field(default_factory=dict)
    licenses: dict[str, int] = field(default_factory=dict)
    _account_names: dict[str, str] = field(default_factory=dict)

    async def learn(self, connection: Connection, pictures: Iterable[Picture]) -> None:
        """Make sure that the names of these pictures have their numbers."""
        self._forget_when_large()
        accounts: dict[str, str] = {}
        cameras: set[tuple[str, str]] = set()
        licenses: set[str] = set()
        for picture in pictures:
            if picture.account and self._account_names.get(picture.account.id) != picture.account.name:
                accounts[picture.account.id] = picture.account.name
            if picture.camera and picture.camera not in self.cameras:
                cameras.add(picture.camera)
            if picture.license and picture.license not in self.licenses:
                licenses.add(picture.license)
        if accounts:
            await self._learn_accounts(connection, accounts)
        if cameras:
            await self._learn_cameras(connection, cameras)
        for name in licenses:
            self.licenses[name] = await connection.fetchval(query("keep_license"), name)

    async def account(self, connection: Connection, account: Account | None) -> int | None:
        """The number of one account."""
        if account is None:
            return None
        if self._account_names.get(account.id) != account.name:
            await self._learn_accounts(connection, {account.id: account.name})
        return self.accounts[account.id]

    async def _learn_accounts(self, connection: Connection, names: dict[str, str]) -> None:
        await connection.execute(query("keep_accounts"), self.instance, list(names), list(names.values()))
        for row in await connection.fetch(query("read_accounts"), self.instance, list(names)):
            self.accounts[str(row["id"])] = row["n"]
        self._account_names.update(names)

    async def _learn_cameras(self, connection: Connection, cameras: set[tuple[str, str]]) -> None:
        makes, models = ([camera[part] for camera in sorted(cameras)] for part in (0, 1))
        await connection.execute(query("keep_cameras"), makes, models)
        for row in await connection.fetch(query("read_cameras"), makes, models):
            self.cameras[row["manufacturer"], row["model"]] = row["n"]

    def _forget_when_large(self) -> None:
        if len(self.accounts) + len(self.cameras) > _CACHE_MAX:
            self.accounts.clear()
            self._account_names.clear()
            self.cameras.clear()
