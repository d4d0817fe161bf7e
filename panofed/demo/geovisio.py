"""The life of one real Panoramax instance (GeoVisio): its database, server, accounts and pictures."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from federation.errors import DemoError, OriginError
from panofed.cluster import Cluster
from panofed.demo.api import Api
from panofed.demo.changes import hide_picture, sequences_of, tag_picture
from panofed.demo.environment import GEOVISIO_VERSION, Report, installer_environment
from panofed.demo.server import (
    ServerFiles,
    find_server,
    free_port,
    gunicorn_command,
    kill_server,
    last_lines,
    launch,
    stop_server,
)
from panofed.demo.state import InstanceState, UploadedSet, read_state, write_state
from panofed.demo.upload import complete_upload_set, send_pictures, start_upload_set
from panofed.demo.visitor import anonymous_items_of
from panofed.demo.walk import SequenceSpec

TEMPLATE = "geovisio_template_" + GEOVISIO_VERSION.replace(".", "_")
# what `flask db upgrade` calls, without first making a whole application
MIGRATE = "import sys; from geovisio.db_migrations import update_db_schema; update_db_schema(sys.argv[1], force=True)"
APPLICATION = "geovisio:create_api()"
START_TIMEOUT_S = 90.0
ADMIN = "Default account"  # GeoVisio's name of it; it has the role of an administrator
ACCOUNTS = (ADMIN, "alice", "bob")
UPLOADS_AT_ONCE = 3
#: prefixes of the variables GeoVisio and its server read: ours must not reach them
FOREIGN = ("API_", "DB_", "FS_", "FLASK_", "PICTURE_", "OAUTH_", "INFRA_", "GUNICORN_", "WEB_CONCURRENCY", "SENTRY_")


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """Under which terms an instance publishes."""

    spdx: str
    url: str


ETALAB = License(
    spdx="etalab-2.0", url="https://www.etalab.gouv.fr/wp-content/uploads/2017/04/ETALAB-Licence-Ouverte-v2.0.pdf"
)
CC_BY_SA = License(spdx="CC-BY-SA-4.0", url="https://creativecommons.org/licenses/by-sa/4.0/")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceConfig:
    """What an instance is. `name` also names its database; `directory` holds its files, log and remembered state."""

    name: str
    title: str
    license: License
    directory: Path
    #: the interpreter of an environment made by `ensure_environment`
    python: Path
    #: 0 = any free one, chosen once and then kept while it stays free
    port: int = 0

    @property
    def database(self) -> str:
        """The name of its database."""
        return self.name.replace("-", "_")


def ensure_template(python: Path, cluster: Cluster, report: Report) -> None:
    """Migrate one empty database (5 seconds), which every instance's database is a copy of."""
    if _has_database(cluster, TEMPLATE):
        return
    report("migrating the instances' database", 0, 0)
    unfinished = f"{TEMPLATE}_unfinished"
    _script(cluster, "make_database", "postgres", name=unfinished, template="template1")
    # as a superuser: the migrations make extensions and switch triggers off
    command = [str(python), "-c", MIGRATE, cluster.dsn(unfinished)]
    done = subprocess.run(command, cwd="/", env=clean_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"GeoVisio's database cannot be migrated: {(done.stdout + done.stderr)[-1_500:].strip()}")
    _script(cluster, "rename_database", "postgres", name=TEMPLATE, unfinished=unfinished)


class Instance:
    """One instance on `cluster`, which must run and hold the template."""

    def __init__(self, config: InstanceConfig, cluster: Cluster, report: Report) -> None:
        self.config, self._cluster, self._report = config, cluster, report
        self._files = ServerFiles(directory=config.directory.absolute())
        self._started: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> InstanceState:
        """What is remembered of it; raises DemoError if it was never started."""
        state = read_state(self._state_path)
        if state is None:
            raise DemoError(f"instance {self.config.name} was never started")
        return state

    @property
    def url(self) -> str:
        """Its STAC landing page."""
        return f"http://127.0.0.1:{self.state.port}/api"

    def api(self, account: str = "") -> Api:
        """Access as an anonymous visitor, or as one of ACCOUNTS."""
        state = self.state
        return Api(url=self.url, token=state.tokens[account] if account else "")

    def start(self) -> None:
        """Bring it up with its database and accounts; does nothing when all is there. Raises DemoError."""
        self._ensure_database()
        if not (self.is_running() and self._answers()):
            self.stop()
            self._launch()
        self._ensure_tokens()

    def stop(self) -> None:
        """End its server; database and pictures stay."""
        process = find_server(self._files)
        if process is not None:
            stop_server(process)
        if self._started is not None:
            self._started.wait(10)
            self._started = None
        self._files.pid.unlink(missing_ok=True)

    def kill(self) -> None:
        """End its server at once."""
        process = find_server(self._files)
        if process is not None:
            kill_server(process)

    def remove(self) -> None:
        """Stop it and delete everything it holds."""
        self.stop()
        if self._cluster.status().state == "running":
            _script(self._cluster, "drop_database", "postgres", name=self.config.database)
        shutil.rmtree(self._files.directory, ignore_errors=True)

    def missing(self, specs: Sequence[SequenceSpec]) -> list[SequenceSpec]:
        """Those of `specs` it does not hold wholly; never one that was loaded and deleted later."""
        sets = self.state.upload_sets
        return [spec for spec in specs if not (spec.title in sets and sets[spec.title].whole)]

    def load(self, specs: Sequence[SequenceSpec], pictures: Mapping[str, Sequence[Path]]) -> None:
        """Upload sequences; `pictures` has the files by title. A load that was interrupted can be repeated."""
        total, sent = sum(len(pictures[spec.title]) for spec in specs), 0

        def count() -> None:
            nonlocal sent
            sent += 1
            self._report("uploading pictures", sent, total)

        for spec in specs:
            self._open_set(spec)
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            list(pool.map(lambda spec: send_pictures(*self._set_of(spec), pictures[spec.title], count), specs))
        for spec in specs:
            self._close_set(spec)
        _script(self._cluster, "refresh_grid", self.config.database)

    def upload_set(self, title: str) -> str:
        """The id of the upload set that was loaded under `title`."""
        return self.state.upload_sets[title].id

    def _open_set(self, spec: SequenceSpec) -> None:
        state = self.state
        if spec.title not in state.upload_sets:
            opened = UploadedSet(id=start_upload_set(self.api(spec.account), spec.title), account=spec.account)
            self._remember(replace(state, upload_sets={**state.upload_sets, spec.title: opened}))

    def _set_of(self, spec: SequenceSpec) -> tuple[Api, str]:
        return self.api(spec.account), self.state.upload_sets[spec.title].id

    def _close_set(self, spec: SequenceSpec) -> None:
        complete_upload_set(*self._set_of(spec))
        self._touch_up(spec)
        state = self.state
        whole = replace(state.upload_sets[spec.title], whole=True)
        self._remember(replace(state, upload_sets={**state.upload_sets, spec.title: whole}))

    def _touch_up(self, spec: SequenceSpec) -> None:
        """What people do to their pictures after uploading: tag some, hide some."""
        if not (spec.tags or spec.hidden):
            return
        api = self.api(spec.account or ADMIN)
        sequences = sequences_of(api, self.upload_set(spec.title))
        seen = [item for sequence in sequences for item in anonymous_items_of(self.url, sequence)]
        items = {item["properties"]["geovisio:rank_in_collection"]: item for item in seen}
        for rank, key, value in spec.tags:
            # the same tag twice is refused, and an interrupted load comes here twice
            if rank in items and {"key": key, "value": value} not in items[rank]["properties"]["semantics"]:
                tag_picture(api, items[rank]["id"], key, value)
        for rank in spec.hidden:
            if rank in items:
                hide_picture(api, items[rank]["id"])

    def _ensure_database(self) -> None:
        name = self.config.database
        if _has_database(self._cluster, name) and self._state_path.exists():
            return
        # one without the other is of no use: tokens are in the database, their secret is in the state
        self.remove()
        _script(self._cluster, "make_database", "postgres", name=name, template=TEMPLATE)
        _script(self._cluster, "own_default_account", name)
        self._remember(InstanceState(port=self.config.port or free_port()))

    @property
    def log(self) -> Path:
        """Where its server writes what it has to say."""
        return self._files.log

    def is_running(self) -> bool:
        """Whether its server process is there."""
        return find_server(self._files) is not None

    def _answers(self) -> bool:
        try:
            Api(url=self.url, timeout_s=5.0).get("/conformance")
        except OriginError:
            return False
        return True

    def _launch(self) -> None:
        state = self.state
        port = self.config.port or free_port(state.port)
        self._remember(replace(state, port=port))
        self._report("starting the server", 0, 0)
        command = gunicorn_command(self.config.python, self._files, port, APPLICATION)
        self._started = launch(command, self._files, self._environment())
        give_up = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._started.poll() is not None or time.monotonic() > give_up:
                self.stop()
                raise DemoError(
                    f"instance {self.config.name} did not start on port {port}:\n{last_lines(self._files.log)}"
                )
            time.sleep(0.05)

    def _environment(self) -> dict[str, str]:
        summary = {
            "name": {"en": self.config.title},
            "description": {"en": "A real Panoramax instance with generated pictures"},
            "email": "nobody@example.org",
            "geo_coverage": {"en": "A few streets, an island and both poles"},
        }
        return {
            **clean_environment(),
            "DB_URL": self._cluster.dsn(self.config.database),
            "FS_URL": str(self._files.directory / "pictures"),
            "FLASK_SECRET_KEY": self.state.secret,
            "API_SUMMARY": json.dumps(summary),
            "API_PICTURES_LICENSE_SPDX_ID": self.config.license.spdx,
            "API_PICTURES_LICENSE_URL": self.config.license.url,
            "API_LOG_LEVEL": "warning",
            "PICTURE_PROCESS_THREADS_LIMIT": "2",
            "PICTURE_PROCESS_DERIVATES_STRATEGY": "ON_DEMAND",
        }

    def _ensure_tokens(self) -> None:
        """One API token for each account: without a login server they cannot be claimed the usual way."""
        state = self.state
        made = dict(state.tokens)
        for account in ACCOUNTS:
            if account not in made:
                token = Api(url=self.url).call("POST", "/auth/tokens/generate?description=demo")
                _script(self._cluster, "give_token", self.config.database, account=account, token=str(token["id"]))
                made[account] = str(token["jwt_token"])
        if made != state.tokens:
            self._remember(replace(state, tokens=made))

    @property
    def _state_path(self) -> Path:
        return self._files.directory / "instance.json"

    def _remember(self, state: InstanceState) -> None:
        write_state(self._state_path, state)


def clean_environment() -> dict[str, str]:
    """Our environment without what would reach into a GeoVisio; it talks to its neighbours without a proxy."""
    kept = {name: value for name, value in installer_environment().items() if not name.startswith(FOREIGN)}
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", "PYTHONWARNINGS": "ignore"}


def _has_database(cluster: Cluster, name: str) -> bool:
    return _script(cluster, "has_database", "postgres", name=name).strip() == "1"


def _script(cluster: Cluster, script: str, database: str, **names: str) -> str:
    text = (files("panofed.demo") / f"sql/{script}.sql").read_text(encoding="utf-8")
    return cluster.client(database).text(text, **names)
