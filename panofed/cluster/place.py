"""Where a cluster's files are and which operating system user owns them.

PostgreSQL refuses to run as root, so root steps down: to the owner of the folder when that is an ordinary user, else to
the user `postgres`. When that user cannot reach the folder (a checkout under /root, a 0700 temporary folder), the files
go to `/var/lib/panofed/<name>-<random>` and the file `moved-to` in the folder says so. The random part means that a
deleted and re-made data folder never meets the data of its earlier life.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import tempfile
from dataclasses import dataclass
from pathlib import Path

from federation.errors import ClusterError
from panofed.cluster.command import ServerUser, run

MOVED_BASE = Path("/var/lib/panofed")
POINTER = "moved-to"
SOCKET_NOTE = "socket-dir"
SOCKET_PATH_BYTES = 107  # sockaddr_un.sun_path is 108 with its closing zero
SERVER_USERS = ("postgres", "_postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One cluster's files: `directory` as asked for, `home` where they really are (the same unless moved)."""

    directory: Path
    home: Path
    user: ServerUser
    #: another name while an upgrade fills a new data directory
    data_name: str = "data"

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.home / self.data_name

    @property
    def log(self) -> Path:
        """What the server says until its log collector runs."""
        return self.home / "server.log"

    @property
    def log_dir(self) -> Path:
        """What it says afterwards, a file per weekday."""
        return self.home / "log"


def find_place(directory: Path) -> Place:
    """The place of `directory`, without making anything (`home` is the directory itself while nothing is made)."""
    directory = directory.absolute()
    try:
        user = server_user(directory)
        pointer = directory / POINTER
        moved = pointer.exists()
    except PermissionError as error:
        raise ClusterError(
            f"{directory} cannot be reached: {error.strerror}. Choose another PANOFED_DATA_DIR"
        ) from error
    if not moved:
        return Place(directory=directory, home=directory, user=user)
    home = Path(pointer.read_text().strip())
    if not home.is_dir():
        raise ClusterError(
            f"{pointer} says the cluster's files are in {home}, which does not exist. "
            f"Put that folder back, or delete {directory} to start with an empty cluster"
        )
    return Place(directory=directory, home=home, user=_user(pwd.getpwuid(home.stat().st_uid)))


def make_place(directory: Path, moved_base: Path = MOVED_BASE) -> Place:
    """Make the folders of `directory`, owned by the server's user and closed to everybody else (0700)."""
    place = find_place(directory)
    _make_folder(place.directory, place.user)
    if place.home == place.directory and not _can_enter(place.user, place.directory):
        place = _move_away(place, moved_base)
    place.log_dir.mkdir(mode=0o700, exist_ok=True)
    _own(place.log_dir, place.user)
    return place


def server_user(directory: Path) -> ServerUser:
    """Who runs the server for `directory`: ourselves, or as root the folder's owner or `postgres`."""
    if os.geteuid() != 0:
        _refuse_foreign_folder(directory)
        return _user(pwd.getpwuid(os.geteuid()))
    owner = _nearest_existing(directory).stat().st_uid
    if owner != 0:
        try:
            return _user(pwd.getpwuid(owner))
        except KeyError:
            pass  # a folder of a user this machine does not know (a container's mount): initdb needs a named one
    for name in SERVER_USERS:
        try:
            return _user(pwd.getpwnam(name))
        except KeyError:
            continue
    raise ClusterError(
        "PostgreSQL refuses to run as root, and there is no user 'postgres' to step down to. "
        "Create one (useradd --system postgres), or run this as an ordinary user"
    )


def socket_dir(place: Place) -> Path:
    """The recorded folder of the socket, or `<home>/sock` when nothing is recorded."""
    note = place.home / SOCKET_NOTE
    return Path(note.read_text().strip()) if note.exists() else place.home / "sock"


def make_socket_dir(place: Place, port: int) -> Path:
    """Make the socket's folder, 0700: inside the place, or a short one under /tmp when that path is too long.

    Not under XDG_RUNTIME_DIR: that is removed when its user logs out, and the server outlives the session.
    """
    wanted = place.home / "sock"
    note = place.home / SOCKET_NOTE
    if socket_path_fits(wanted, port):
        note.unlink(missing_ok=True)
        _make_folder(wanted, place.user)
        return wanted
    short = _short_socket_dir(place)
    write_file(note, f"{short}\n", place.user)
    return short


def write_file(path: Path, text: str, user: ServerUser) -> None:
    """Write a file of the server's user (0600), whole or not at all; raises ClusterError.

    The folder belongs to that user: as root we must not follow a link it may have put there, hence O_EXCL.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            if user.steps_down:
                os.fchown(descriptor, user.uid, user.gid)
        new.rename(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise ClusterError(f"{path} cannot be written: {error.strerror}") from error


def socket_path_fits(folder: Path, port: int) -> bool:
    """Whether a socket in `folder` has a usable path: short enough, and no comma (it separates hosts).

    >>> socket_path_fits(Path("/srv/panofed/pg/sock"), 5432), socket_path_fits(Path("/srv/" + "x" * 90), 5432)
    (True, False)
    >>> socket_path_fits(Path("/srv/a,b"), 5432)
    False
    """
    path = os.fsencode(folder / f".s.PGSQL.{port or 5432}")
    return len(path) <= SOCKET_PATH_BYTES and b"," not in path


def _short_socket_dir(place: Place) -> Path:
    digest = hashlib.sha256(os.fsencode(place.home)).hexdigest()[:12]
    short = Path("/tmp") / f"panofed-{place.user.uid}-{digest}"
    try:
        short.mkdir(mode=0o700)
    except FileExistsError:
        # anybody may make a name in /tmp: use it only if it is a real folder of ours
        found = short.lstat()
        if found.st_uid != place.user.uid or not short.is_dir() or short.is_symlink() or found.st_mode & 0o077:
            short = Path(tempfile.mkdtemp(prefix=f"panofed-{place.user.uid}-", dir="/tmp"))
    _own(short, place.user)
    return short


def _user(entry: pwd.struct_passwd) -> ServerUser:
    return ServerUser(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)),
        home=Path(entry.pw_dir),
        steps_down=os.geteuid() == 0 and entry.pw_uid != 0,
    )


def _refuse_foreign_folder(directory: Path) -> None:
    if directory.exists() and directory.stat().st_uid != os.geteuid():
        owner = directory.stat().st_uid
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"number {owner}"
        raise ClusterError(
            f"The cluster in {directory} belongs to user {name}: run this as that user or as root, "
            "or choose another PANOFED_DATA_DIR"
        )


def _nearest_existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _make_folder(folder: Path, user: ServerUser) -> None:
    """Make `folder` (0700) and its missing parents, all given to `user`; an existing folder is only given if ours."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    try:
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
            if _nearest_existing(parent.parent).stat().st_uid == user.uid:
                _own(parent, user)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ClusterError(f"The folder {folder} cannot be made: {error.strerror}") from error
    _own(folder, user)
    folder.chmod(0o700)


def _own(path: Path, user: ServerUser) -> None:
    if user.steps_down and path.lstat().st_uid != user.uid:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


def _can_enter(user: ServerUser, folder: Path) -> bool:
    """Ask the kernel rather than compute: access lists and read-only mounts count too."""
    return run(["/bin/sh", "-c", 'cd -P "$1" && test -w .', "sh", folder], user=user).code == 0


def _move_away(place: Place, moved_base: Path) -> Place:
    try:
        moved_base.mkdir(mode=0o711, parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(prefix=f"{place.directory.parent.name.strip('.') or 'pg'}-", dir=moved_base))
    except OSError as error:
        raise ClusterError(
            f"User {place.user.name}, who runs the server, cannot reach {place.directory}, and {moved_base} cannot be "
            f"used instead ({error.strerror}). Set PANOFED_DATA_DIR to a folder that user can reach"
        ) from error
    _own(home, place.user)
    write_file(home / "belongs-to", f"{place.directory}\n", place.user)
    if not _can_enter(place.user, home):
        raise ClusterError(
            f"User {place.user.name}, who runs the server, can reach neither {place.directory} nor {home}. "
            "Set PANOFED_DATA_DIR to a folder that user can reach"
        )
    write_file(place.directory / POINTER, f"{home}\n", place.user)
    return Place(directory=place.directory, home=home, user=place.user)
