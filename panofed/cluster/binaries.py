"""Finds a PostgreSQL server with PostGIS on this machine; says what to install when there is none."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from federation.errors import BinariesMissing, ClusterError, ConfigurationError, DatabaseTooOld
from panofed.cluster.command import run

POSTGRESQL_MIN = 15
POSTGIS_MIN = (3, 3)

#: where distributions put servers that are not on PATH; "*" = version
USUAL_PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # PostgreSQL's own packages for Red Hat systems
    "/usr/lib/postgresql*/bin",  # SUSE
    "/usr/libexec/postgresql*",  # Alpine
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/opt/local/lib/postgresql*/bin",  # MacPorts
    "/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/local/pgsql/bin",
    "/usr/local/bin",
    "/usr/bin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """PostgreSQL's programs in one folder. `postgis` is () where the extension is missing."""

    bindir: Path
    version: str
    postgis: tuple[int, ...]
    #: what the programs need in their environment (privately unpacked ones: where their libraries are)
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """The version that decides whether a data directory fits."""
        return int(self.version.split(".")[0])

    @property
    def problem(self) -> str:
        """Why these cannot serve us; "" when they can."""
        if self.major < POSTGRESQL_MIN:
            return f"PostgreSQL {self.version} in {self.bindir} is too old: {POSTGRESQL_MIN} or newer is needed"
        if not self.postgis:
            return f"PostgreSQL {self.version} in {self.bindir} has no PostGIS"
        if self.postgis[:2] < POSTGIS_MIN:
            found, least = (".".join(map(str, version)) for version in (self.postgis, POSTGIS_MIN))
            return (
                f"PostGIS {found} of PostgreSQL {self.version} in {self.bindir} is too old: {least} or newer is needed"
            )
        return ""

    def program(self, name: str) -> str:
        """The path of one program, such as `pg_dump`."""
        return str(self.bindir / name)


def find_binaries(
    bindir: str = "",
    *,
    major: int | None = None,
    also: Iterable[Binaries] = (),
    places: Iterable[str] = USUAL_PLACES,
    use_path: bool = True,
) -> Binaries:
    """The binaries to use: `bindir` if given, else the first usable of `pg_config`'s, then the newest elsewhere.

    `major` asks for that version (a data directory's) and nothing else; `also` adds privately unpacked ones, last.
    Raises BinariesMissing, or DatabaseTooOld when all that was found is too old; both say what to install.
    """
    if bindir:
        return _explicit(Path(bindir))
    found: list[Binaries] = []
    for binaries in chain(_on_machine(places, use_path), also):
        if not binaries.problem and major in (None, binaries.major):
            return binaries
        found.append(binaries)
    raise _nothing_usable(found, major)


def read_binaries(bindir: Path, env: Mapping[str, str] | None = None) -> Binaries | None:
    """What is in `bindir`; None when there is no PostgreSQL server there."""
    postgres = bindir / "postgres"
    if not (postgres.is_file() and (bindir / "initdb").is_file() and (bindir / "pg_ctl").is_file()):
        return None
    env = env or {}
    version = server_version(postgres, env)
    share = share_folder(bindir, version.split(".")[0], env)
    return Binaries(bindir=bindir, version=version, postgis=postgis_version(share), env=env)


def server_version(postgres: Path, env: Mapping[str, str] | None = None) -> str:
    """What `postgres -V` says, as "15.18"; raises ClusterError when it does not run."""
    outcome = run([postgres, "-V"], env=env)
    found = re.search(r"\(PostgreSQL\) (\d+[.\w]*)", outcome.out)
    if outcome.code or found is None:
        raise ClusterError(f"{postgres} -V does not work: {outcome.text or f'exit code {outcome.code}'}")
    return re.sub(r"[a-z].*", "", found[1])  # 19beta1 is 19


def share_folder(bindir: Path, major: str, env: Mapping[str, str] | None = None) -> Path | None:
    """Where the extensions of these binaries are: asked of their pg_config, else looked for beside them."""
    if (bindir / "pg_config").is_file():
        outcome = run([bindir / "pg_config", "--sharedir"], env=env)
        if outcome.code == 0:
            return Path(outcome.out)
    real = bindir.resolve()
    guesses: list[Path] = []
    for folder in real.parents[:4]:
        guesses += [folder / name for name in (f"share/postgresql/{major}", f"share/postgresql{major}")]
        guesses += [folder / "share/postgresql", folder / "share/pgsql", folder / "share"]
    return next((guess for guess in guesses if (guess / "extension/plpgsql.control").exists()), None)


def postgis_version(share: Path | None) -> tuple[int, ...]:
    """The PostGIS version that `CREATE EXTENSION postgis` would install; () without one."""
    control = share / "extension/postgis.control" if share is not None else None
    if control is None or not control.exists():
        return ()
    found = re.search(r"^default_version\s*=\s*'([\d.]+)", control.read_text(), re.MULTILINE)
    return tuple(int(part) for part in found[1].strip(".").split(".")) if found else ()


def install_advice() -> str:
    """What to type on this machine, by its package manager."""
    return next((advice for program, advice in _ADVICE if shutil.which(program)), _ADVICE_ANY)


_ADVICE_ANY = (
    f"Install PostgreSQL {POSTGRESQL_MIN} or newer with PostGIS {POSTGIS_MIN[0]}.{POSTGIS_MIN[1]} or newer, and point "
    "PANOFED_PG_BINDIR at the folder of `postgres`; or point PANOFED_DATABASE_URL at a server elsewhere"
)
_ADVICE = (
    (
        "apt-get",
        "Install it with:  sudo apt-get update && sudo apt-get install postgresql-postgis  "
        "(Debian 12, Ubuntu 24.04 or newer; on older ones add PostgreSQL's own repository first: "
        "sudo apt-get install postgresql-common && sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh, "
        "then sudo apt-get install postgresql-17-postgis-3)",
    ),
    ("dnf", "Install it with:  sudo dnf install postgresql-server postgresql-contrib postgis"),
    ("zypper", "Install it with:  sudo zypper install postgresql-server postgresql-contrib postgis"),
    ("apk", "Install it with:  sudo apk add postgresql17 postgresql17-contrib postgis"),
    ("pacman", "Install it with:  sudo pacman -S postgresql postgis"),
    ("brew", "Install it with:  brew install postgresql@17 postgis"),
)


def _explicit(bindir: Path) -> Binaries:
    binaries = read_binaries(bindir)
    if binaries is None:
        raise ConfigurationError(f"PANOFED_PG_BINDIR={bindir}: there is no PostgreSQL server (postgres, initdb) there")
    if binaries.problem:
        raise _refusal([binaries])(f"PANOFED_PG_BINDIR={bindir}: {binaries.problem}. {install_advice()}")
    return binaries


def _on_machine(places: Iterable[str], use_path: bool) -> Iterator[Binaries]:
    """pg_config's binaries first, then everything in the usual places, newest first; each folder once."""
    seen: set[Path] = set()
    candidates = chain([_pg_config_bindir()] if use_path else [], installed_folders(places))
    for bindir in candidates:
        if bindir is None or bindir.resolve() in seen:
            continue
        seen.add(bindir.resolve())
        try:
            binaries = read_binaries(bindir)
        except ClusterError:
            continue  # a broken installation beside a good one must not stop us
        if binaries is not None:
            yield binaries


def _pg_config_bindir() -> Path | None:
    program = shutil.which("pg_config")
    if program is None:
        return None
    outcome = run([program, "--bindir"])
    return Path(outcome.out) if outcome.code == 0 and outcome.out else None


def installed_folders(places: Iterable[str] = USUAL_PLACES) -> list[Path]:
    """The folders of `places` that exist, newest version first."""
    folders = (folder for place in places for folder in Path("/").glob(place.lstrip("/")) if folder.is_dir())
    return sorted(folders, key=_folder_version, reverse=True)


def _folder_version(folder: Path) -> int:
    r"""The version in a folder's name, 0 without one.

    >>> _folder_version(Path("/usr/lib/postgresql/15/bin")), _folder_version(Path("/usr/bin"))
    (15, 0)
    """
    found = re.findall(r"(?<![\d.])(\d{1,2})(?:\.\d+)?(?=/|$)", str(folder))
    return int(found[-1]) if found else 0


def _refusal(found: list[Binaries]) -> type[DatabaseTooOld] | type[BinariesMissing]:
    """Too old is said by its own class when that is all there is to say."""
    too_old = [binaries for binaries in found if "too old" in binaries.problem]
    return DatabaseTooOld if too_old and len(too_old) == len(found) else BinariesMissing


def _nothing_usable(found: list[Binaries], major: int | None) -> DatabaseTooOld | BinariesMissing:
    problems = [binaries.problem for binaries in found if binaries.problem]
    wanted = f"PostgreSQL {major} with PostGIS" if major else "PostgreSQL with PostGIS"
    heading = f"No usable {wanted} was found on this machine"
    details = f" ({'; '.join(problems)})" if problems else ""
    return _refusal(found)(f"{heading}{details}. {install_advice()}")
