"""Gets PostgreSQL with PostGIS from the distribution (apt): installed as root, or unpacked into a private folder.

Unpacking needs no rights at all: `apt-get download` of what is not installed, `dpkg -x`, and an environment that tells
the programs where their libraries and PROJ's data are. PostgreSQL finds its own files relative to its binary, so the
server itself is unpacked too, even when the system has one (without PostGIS).
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from federation.errors import BinariesMissing, ClusterError
from panofed.cluster.binaries import POSTGRESQL_MIN, Binaries, install_advice, read_binaries
from panofed.cluster.command import Outcome, run

logger = logging.getLogger(__name__)

Report = Callable[[str], None]

INSTALL_TIMEOUT_S = 900.0
NO_MAIN_CLUSTER = Path("/etc/postgresql-common/createcluster.d/zz-panofed.conf")
#: replacing these under the running C library would break every program of the private folder
NEVER_UNPACKED = re.compile(r"libc6|libc-bin|locales|libllvm\d+|libz3-4")  # the last two: only for jit, which is off
#: a third of the size, and nothing that a server reads
NOT_NEEDED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/lib/postgresql/*/lib/bitcode",
    "usr/share/gdal",
)


def apt_is_here() -> bool:
    """Whether this is a Debian family system."""
    return all(shutil.which(program) for program in ("apt-get", "apt-cache", "dpkg"))


def root_prefix() -> list[str] | None:
    """What to put before a command to run it as root: nothing, sudo without a password, or None: impossible."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and run(["sudo", "-n", "true"]).code == 0:
        return ["sudo", "-n"]
    return None


def install(prefix: Sequence[str], report: Report) -> None:
    """Install the distribution's own PostGIS and the server it belongs to; raises BinariesMissing with apt's words.

    No server is started: the packages' habit of making a "main" cluster is switched off while they are installed.
    """
    package = postgis_package() or (_apt(prefix, "update", report) and postgis_package())
    if not package:
        raise BinariesMissing(f"The distribution has no PostGIS for PostgreSQL {POSTGRESQL_MIN}+. {install_advice()}")
    report(f"Installing {package} with apt-get (PostgreSQL with PostGIS is missing on this machine)")
    with no_main_cluster(prefix, brings_server(package)):
        outcome = _install(prefix, package)
        if outcome.code:  # package lists older than the mirror: 404
            _apt(prefix, "update", report)
            outcome = _install(prefix, package)
    if outcome.code:
        raise BinariesMissing(f"apt-get could not install {package}: {_last(outcome)}. {install_advice()}")


def unpack(folder: Path, report: Report, apt_options: Sequence[str] = ()) -> Binaries:
    """Download and unpack PostgreSQL with PostGIS into `folder` (about 60 MB, seconds); no rights needed.

    `folder` appears only when complete. `apt_options` are for tests: another package status than this machine's.
    """
    package = postgis_package()
    if not package:
        raise BinariesMissing(
            "The distribution's package lists name no PostGIS for PostgreSQL "
            f"{POSTGRESQL_MIN}+ (or they are empty: sudo apt-get update). {install_advice()}"
        )
    report(f"Unpacking {package} into {folder} (PostgreSQL with PostGIS is missing, and we are not root)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        _download(wanted_packages(package, apt_options), work / "packages", apt_options)
        _extract(work / "packages", work / "root")
        _link_control_files(work / "root")
        for waste in (work / "packages", *(path for name in NOT_NEEDED for path in (work / "root").glob(name))):
            shutil.rmtree(waste)
        shutil.rmtree(folder, ignore_errors=True)
        work.chmod(0o755)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    binaries = unpacked(folder)
    if binaries is None or binaries.problem:
        problem = binaries.problem if binaries is not None else "no server in it"
        raise BinariesMissing(f"What was unpacked into {folder} cannot be used: {problem}. {install_advice()}")
    return binaries


def unpacked(folder: Path) -> Binaries | None:
    """The privately unpacked binaries in `folder`, with the environment they need; None when there are none."""
    root = folder / "root"
    for bindir in sorted(root.glob("usr/lib/postgresql/*/bin"), reverse=True):
        env = {"LD_LIBRARY_PATH": ":".join(library_folders(root))}
        if (root / "usr/share/proj").is_dir():
            env["PROJ_DATA"] = env["PROJ_LIB"] = str(root / "usr/share/proj")  # PROJ_LIB: before PROJ 9.1
        return read_binaries(bindir, env)
    return None


def library_folders(root: Path) -> list[str]:
    """Every folder under `root` that a program may load libraries from.

    BLAS and LAPACK lie in folders of their own, which the alternatives system would have linked.
    """
    folders = {str(found.parent) for lib in ("usr/lib", "lib") for found in (root / lib).glob("*/*.so*")}
    folders |= {str(found.parent) for name in ("blas", "lapack") for found in root.glob(f"usr/lib/*/{name}/*.so*")}
    return sorted(folders)


def postgis_package() -> str:
    """The newest PostGIS package the package lists name, for a supported PostgreSQL; "" when there is none."""
    return newest_package(run(["apt-cache", "search", "--names-only", r"^postgresql-[0-9]+-postgis-3$"]).out)


def newest_package(listing: str) -> str:
    """The package of the newest supported server in `apt-cache search` output.

    >>> newest_package("postgresql-9-postgis-3 - old\\npostgresql-15-postgis-3 - a\\npostgresql-16-postgis-3 - b")
    'postgresql-16-postgis-3'
    >>> newest_package("postgresql-14-postgis-3 - too old")
    ''
    """
    majors = [int(major) for major in re.findall(r"^postgresql-(\d+)-postgis-3\b", listing, re.MULTILINE)]
    newest = max(majors, default=0)
    return f"postgresql-{newest}-postgis-3" if newest >= POSTGRESQL_MIN else ""


def brings_server(package: str) -> bool:
    """Whether installing `package` would bring a PostgreSQL server that is not here yet."""
    return any(re.fullmatch(r"postgresql-\d+", name) for name in to_install(package))


def to_install(package: str, apt_options: Sequence[str] = ()) -> list[str]:
    """`package` and everything it needs that is not installed; upgrades of installed ones are not in it."""
    outcome = run(["apt-get", *apt_options, "-s", "install", "--no-install-recommends", package])
    if outcome.code:
        raise BinariesMissing(f"apt-get cannot install {package}: {_last(outcome)}. {install_advice()}")
    return new_packages(outcome.out)


def new_packages(simulation: str) -> list[str]:
    """The names apt-get's simulation would install anew; an upgrade has the old version in brackets.

    >>> new_packages("Inst libgeos (3.11 Debian)\\nInst postgresql-15 [15.1] (15.2 Debian)\\nConf libgeos (3.11)")
    ['libgeos']
    """
    return re.findall(r"^Inst (\S+) \(", simulation, re.MULTILINE)


def wanted_packages(package: str, apt_options: Sequence[str] = ()) -> list[str]:
    """What to unpack: everything missing, and in any case all of PostgreSQL's own: it looks for its files beside it."""
    server = package.removesuffix("-postgis-3")
    depends = run(["apt-cache", "depends", package]).out
    own = re.findall(rf"^\s*Depends: ({server}\S*)", depends, re.MULTILINE)  # the server, and the extension's scripts
    client = server.replace("postgresql-", "postgresql-client-")
    wanted = {*to_install(package, apt_options), *own, package, server, client, "libpq5"}
    return sorted(name for name in wanted if not NEVER_UNPACKED.fullmatch(name))


@contextmanager
def no_main_cluster(prefix: Sequence[str], needed: bool) -> Iterator[None]:
    """While inside, installing a server makes no "main" cluster; afterwards the machine's own habit is back.

    Only the folder of additions is touched: createcluster.conf belongs to the package, and changing it before the
    package is there would make dpkg ask about it.
    """
    if not needed:
        yield
        return
    line, target = "create_main_cluster = false", str(NO_MAIN_CLUSTER)
    script = 'mkdir -p "$(dirname "$1")" && printf "%s\\n" "$2" > "$1"'
    outcome = run([*prefix, "/bin/sh", "-c", script, "sh", target, line])
    if outcome.code:
        raise BinariesMissing(f"{target} cannot be written: {_last(outcome)}. {install_advice()}")
    try:
        yield
    finally:
        run([*prefix, "rm", "-f", target])


def _install(prefix: Sequence[str], package: str) -> Outcome:
    command = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends"]
    return run([*command, "-o", "DPkg::Lock::Timeout=300", package], timeout_s=INSTALL_TIMEOUT_S)


def _apt(prefix: Sequence[str], verb: str, report: Report) -> bool:
    report(f"apt-get {verb}")
    return run([*prefix, "apt-get", "-o", "DPkg::Lock::Timeout=300", verb], timeout_s=INSTALL_TIMEOUT_S).code == 0


def _download(packages: Sequence[str], folder: Path, apt_options: Sequence[str]) -> None:
    folder.mkdir()
    outcome = run(["apt-get", *apt_options, "download", *packages], cwd=folder, timeout_s=INSTALL_TIMEOUT_S)
    if outcome.code:
        raise BinariesMissing(
            f"apt-get could not download PostgreSQL with PostGIS: {_last(outcome)} "
            f"(out of date package lists? sudo apt-get update). {install_advice()}"
        )


def _extract(packages: Path, root: Path) -> None:
    for package in sorted(packages.glob("*.deb")):
        outcome = run(["dpkg", "-x", package, root], timeout_s=INSTALL_TIMEOUT_S)
        if outcome.code:
            raise ClusterError(f"{package.name} cannot be unpacked into {root}: {_last(outcome)}")


def _link_control_files(root: Path) -> None:
    """postgis.control is a link that the package's installation script would have made (update-alternatives)."""
    for control in root.glob("usr/share/postgresql/*/extension/postgis*-3.control"):
        plain = control.with_name(control.name.replace("-3.control", ".control"))
        if not plain.exists():
            plain.symlink_to(control.name)


def _last(outcome: Outcome) -> str:
    lines = [line for line in (outcome.err or outcome.out).splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or f"exit code {outcome.code}"
