"""What a private cluster is asked to be: its folder, its port, its server settings."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from federation.settings import Settings

SHARED_BUFFERS_MAX_BYTES = 2 << 30
SHM_MIN_BYTES = 256 << 20  # containers often get a 64 MB /dev/shm: parallel queries would fail there
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

# Order matters to the reader only. What is not here keeps PostgreSQL's default.
SERVER_SETTINGS: Mapping[str, str] = {
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # one lock per partition and index touched: a scan of every leaf must not exhaust the lock table
    "max_locks_per_transaction": "1024",
    # compiling costs more than our queries run; the private binaries also come without LLVM
    "jit": "off",
    # a generic plan cannot prune leaves given as a parameter
    "plan_cache_mode": "force_custom_plan",
    "random_page_cost": "1.1",
    "wal_compression": "lz4",
    "default_toast_compression": "lz4",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "work_mem": "16MB",
    "logging_collector": "on",
    "log_filename": "server-%a.log",  # a ring of seven: each weekday's file is truncated a week later
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
NOT_DURABLE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """One private cluster. Only `directory` is required."""

    #: holds data/, sock/, log/ and server.log (start-up messages)
    directory: Path
    #: where `postgres` and `initdb` are; "" searches the machine
    bindir: str = ""
    #: TCP port on 127.0.0.1; 0 = unix socket only
    port: int = 0
    #: "" = a quarter of the memory, 2 GB at most
    shared_buffers: str = ""
    start_timeout_s: float = 60.0
    #: False: a power cut may cost the whole cluster; for tests and demonstration instances
    durable: bool = True
    #: more server settings, name -> value; they win over ours
    extra: Mapping[str, str] = field(default_factory=dict)
    #: with a port: True lets every local user in without a password (tests); False asks for SCRAM passwords
    tcp_trust: bool = False
    #: where PostgreSQL is unpacked when it cannot be installed; None = `pgdist` beside `directory`
    dist_directory: Path | None = None
    #: False: only privately unpacked binaries are used, whatever the machine has
    system_binaries: bool = True

    @property
    def dist(self) -> Path:
        """The folder of privately unpacked binaries."""
        return self.dist_directory if self.dist_directory is not None else self.directory.parent / "pgdist"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """What a cluster is at this moment; unknown parts are empty or 0."""

    state: Literal["absent", "stopped", "running"]
    pid: int
    version: str
    socket_dir: Path
    port: int
    directory: Path
    bindir: Path | None


def cluster_config(settings: Settings) -> ClusterConfig:
    """The project's own cluster: `<data_dir>/pg`."""
    data_dir = settings.data_dir.absolute()
    return ClusterConfig(
        directory=data_dir / "pg",
        bindir=settings.pg_bindir,
        port=settings.pg_port,
        shared_buffers=settings.pg_shared_buffers,
        start_timeout_s=settings.pg_start_timeout_s,
        dist_directory=data_dir / "pgdist",
    )


def server_settings(config: ClusterConfig, socket_dir: Path) -> dict[str, str]:
    """Everything written to the server's configuration, name -> value."""
    memory = memory_bytes()
    return {
        **SERVER_SETTINGS,
        "listen_addresses": "127.0.0.1" if config.port else "",
        "port": str(config.port or 5432),
        "unix_socket_directories": str(socket_dir),
        "shared_buffers": config.shared_buffers or f"{shared_buffers_bytes(memory) >> 20}MB",
        "effective_cache_size": f"{memory // 2 >> 20}MB",
        "maintenance_work_mem": f"{min(max(memory // 16, 64 << 20), 512 << 20) >> 20}MB",
        "dynamic_shared_memory_type": "posix" if shm_is_large() else "mmap",
        **({} if config.durable else NOT_DURABLE),
        **config.extra,
    }


def render_settings(settings: Mapping[str, str]) -> str:
    r"""The text of a PostgreSQL configuration file.

    >>> print(render_settings({"port": "5432", "unix_socket_directories": "/tmp/it's"}), end="")
    port = '5432'
    unix_socket_directories = '/tmp/it''s'
    """
    quoted = ((name, value.replace("\\", "\\\\").replace("'", "''")) for name, value in settings.items())
    return "".join(f"{name} = '{value}'\n" for name, value in quoted)


def shared_buffers_bytes(memory: int) -> int:
    """A quarter of the memory, between 16 MB and 2 GB.

    >>> shared_buffers_bytes(4 << 30) >> 20, shared_buffers_bytes(64 << 30) >> 20
    (1024, 2048)
    """
    return max(16 << 20, min(memory // 4, SHARED_BUFFERS_MAX_BYTES))


def memory_bytes(limits: tuple[Path, ...] = CGROUP_LIMITS) -> int:
    """The memory this process may use: the machine's, or the container's limit where it is lower."""
    total = int(psutil.virtual_memory().total)
    for limit in limits:
        try:
            text = limit.read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # "max" = no limit
            total = min(total, int(text))
    return total


def shm_is_large() -> bool:
    """Whether /dev/shm can hold parallel queries' memory."""
    try:
        return shutil.disk_usage("/dev/shm").total >= SHM_MIN_BYTES
    except OSError:
        return True
