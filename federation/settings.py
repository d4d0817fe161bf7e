"""Settings: read once from the environment (prefix PANOFED_), frozen, passed as an argument to who needs them.

Every field is documented in docs/settings.md; a test holds the two together. Names carry their unit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from federation.errors import ConfigurationError

#: What can happen, as federation/events.py calls it; a test compares the two.
EVENT_KINDS = (
    "joined", "leaving", "left", "down", "back", "late", "braked", "schema-drift", "paused", "resumed", "checked",
    "registered", "proved", "proof-lost", "approved", "refused", "moved", "settings-changed", "harvest-asked",
    "reconciliation-asked", "brake-confirmed", "brake-refused", "taken-down", "takedown-ended", "token-made",
    "token-revoked", "signed-in", "link-made", "link-used", "link-revoked",
)  # fmt: skip
Port = Annotated[int, Field(ge=0, le=65535)]
#: Services elsewhere that the map page may ask; catalog_api/web/policy.py knows their hosts.
VIEWER_SERVICES = ("presets", "address", "icons", "wikidata", "speed")
#: Addresses that can stand in a Content-Security-Policy: without what ends a source or a directive there.
_ORIGIN = re.compile(r"https?://[\w.-]+(:\d+)?", re.ASCII)
_ADDRESS = re.compile(_ORIGIN.pattern + r"(/[^\s;,]*)?", re.ASCII)


#: Settings that may hold a password or a token.
_SECRET = re.compile("secret|token|smtp_url|webhook_url|database")
#: A secret that nobody guesses: 24 letters of base64 are 18 bytes.
_SECRET_LETTERS_MIN = 24


class Settings(BaseSettings):
    """All settings. Seconds end in `_s`, metres in `_m`, bytes in `_bytes`; counts have plain names."""

    model_config = SettingsConfigDict(env_prefix="PANOFED_", frozen=True, extra="forbid", env_ignore_empty=True)

    # where things are
    data_dir: Path = Path(".panofed")
    instances_file: Path = Path("instances.yaml")
    host: str = "127.0.0.1"
    port: Port = 8080
    public_url: str = ""

    # database
    database_url: str = ""
    database_read_url: str = ""
    pg_bindir: str = ""
    pg_port: Port = 0
    pg_shared_buffers: str = ""
    pg_start_timeout_s: float = Field(default=60.0, gt=0)
    pg_statement_cache: int = Field(default=512, ge=0)
    pool_size: int = Field(default=8, ge=1, le=100)
    connect_timeout_s: float = Field(default=10.0, gt=0)
    statement_timeout_s: float = Field(default=10.0, gt=0)
    merge_timeout_s: float = Field(default=60.0, gt=0)
    disk_reserve_bytes: int = Field(default=512_000_000, ge=0)

    # index
    leaf_base_resolution: int = Field(default=0, ge=0, le=2)
    leaf_max_pictures: int = Field(default=2_000_000, ge=1_000)
    leaf_check_s: float = Field(default=30.0, gt=0)
    split_batch_pictures: int = Field(default=5_000, ge=1, le=50_000)
    dictionary_items: int = Field(default=5_000, ge=100)
    dictionary_bytes: int = Field(default=112_640, ge=1_024, le=1_048_576)
    zstd_level: int = Field(default=15, ge=1, le=19)
    compact_growth: float = Field(default=1.5, gt=1)
    compact_min_pictures: int = Field(default=50_000, ge=1)
    fold_interval_s: float = Field(default=5.0, gt=0)
    fold_batch_rows: int = Field(default=50_000, ge=1_000)
    changes_kept_days: int = Field(default=30, ge=1)
    cut_gap_m: float = Field(default=75.0, gt=0)

    # harvest
    cadence_s: float = Field(default=45.0, gt=0)
    cadence_sleeping_s: float = Field(default=900.0, gt=0)
    cadence_failing_s: float = Field(default=3_600.0, gt=0)
    worker_jobs: int = Field(default=16, ge=2, le=100)
    visit_lanes: int = Field(default=4, ge=1, le=32)
    visit_lane_sequences: int = Field(default=8, ge=1, le=10_000)
    run_lease_s: float = Field(default=30.0, ge=2)
    crawl_ranges: int = Field(default=16, ge=1, le=1_024)
    crawl_workers: int = Field(default=4, ge=1, le=64)
    jobs_kept_days: float = Field(default=3.0, gt=0)
    overlap_s: float = Field(default=3_600.0, ge=900)
    page_sequences: int = Field(default=1_000, ge=1, le=1_000)
    page_pictures: int = Field(default=1_000, ge=1, le=10_000)
    batch_pictures: int = Field(default=6_000, ge=1, le=50_000)
    sequence_pictures_max: int = Field(default=1_000_000, ge=1)
    item_bytes_max: int = Field(default=2_000_000, ge=10_000)
    instance_concurrency: int = Field(default=2, ge=1, le=32)
    instance_requests_per_s: float = Field(default=10.0, ge=0)
    instance_rest_share: float = Field(default=0.25, ge=0, le=100)
    instance_slot_lease_s: float = Field(default=20.0, ge=0.2)
    breaker_faults: int = Field(default=5, ge=0)
    breaker_first_s: float = Field(default=30.0, gt=0)
    breaker_last_s: float = Field(default=900.0, gt=0)
    listing_pages_max: int = Field(default=10_000, ge=1)
    sequence_pages_max: int = Field(default=10_000, ge=1)
    retry_first_s: float = Field(default=60.0, gt=0)
    retry_last_s: float = Field(default=86_400.0, gt=0)
    quarantine_kept_days: int = Field(default=30, ge=1)
    runs_kept_days: int = Field(default=90, ge=1)
    idle_runs_kept_days: int = Field(default=3, ge=1)
    events_kept_days: int = Field(default=730, ge=30)
    days_kept_days: int = Field(default=1_100, ge=90)
    freshness_kept_days: int = Field(default=90, ge=1)
    unreachable_days: float = Field(default=30.0, gt=0)
    tombstones_kept_days: int = Field(default=365, ge=30)
    quarantine_body_bytes: int = Field(default=4_096, ge=0)
    followup_delays_s: tuple[float, ...] = Field(default=(600.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0), min_length=1)
    reconcile_period_days: float = Field(default=7.0, gt=0)
    reconcile_sequences: int = Field(default=500, ge=1, le=10_000)
    reconcile_pictures: int = Field(default=50_000, ge=1)
    relist_period_h: float = Field(default=24.0, gt=0)
    brake_share: float = Field(default=0.20, gt=0, le=1)
    brake_pictures: int = Field(default=1_000, ge=1)
    health_late_s: float = Field(default=120.0, gt=0)
    health_failures: int = Field(default=3, ge=1)
    health_count_s: float = Field(default=300.0, gt=0)

    # telling of events
    notify_kinds: str = ""
    notify_kept_days: int = Field(default=7, ge=1)
    notify_timeout_s: float = Field(default=10.0, gt=0)
    notify_private: bool = False
    webhook_secret: str = ""
    webhook_url: str = ""
    mail_from: str = ""
    mail_to: str = ""
    smtp_url: str = ""

    # outbound
    user_agent: str = "panofed/0.1 (+https://panoramax.fr; no contact configured)"
    outbound_connect_timeout_s: float = Field(default=10.0, gt=0)
    outbound_first_byte_timeout_s: float = Field(default=60.0, gt=0)
    outbound_read_timeout_s: float = Field(default=60.0, gt=0)
    outbound_total_timeout_s: float = Field(default=300.0, gt=0)
    outbound_body_max_bytes: int = Field(default=256_000_000, ge=1_000_000)
    outbound_header_max_bytes: int = Field(default=8_190, ge=1_000)
    outbound_headers_max: int = Field(default=128, ge=16)
    outbound_redirects_max: int = Field(default=5, ge=0, le=20)
    # a GeoVisio answers 500 once per pooled connection after its database restarted: 5 in a row were seen
    outbound_attempts: int = Field(default=6, ge=1, le=10)
    outbound_backoff_first_s: float = Field(default=0.5, gt=0)
    outbound_backoff_last_s: float = Field(default=10.0, gt=0)
    outbound_retry_after_max_s: float = Field(default=120.0, ge=0)
    outbound_allow_loopback: bool = False
    outbound_allow_http: bool = False
    outbound_ports: tuple[int, ...] = (80, 443)

    # catalog
    workers: int = Field(default=2, ge=1, le=64)
    search_limit_default: int = Field(default=10, ge=1)
    search_limit_max: int = Field(default=10_000, ge=1)
    collections_limit_max: int = Field(default=1_000, ge=1)
    items_limit_max: int = Field(default=10_000, ge=1)
    hide_unreachable: bool = False
    nearness_results: int = Field(default=1_000, ge=1, le=10_000)
    nearness_box_max_deg: float = Field(default=45.0, gt=0, le=360)
    geometry_vertices_max: int = Field(default=2_000, ge=4)
    search_pictures_max: int = Field(default=200_000, ge=1)
    count_timeout_s: float = Field(default=2.0, gt=0)
    ids_max: int = Field(default=1_000, ge=1)
    body_max_bytes: int = Field(default=1_000_000, ge=1_000)
    large_answers_at_once: int = Field(default=2, ge=1)
    requests_at_once: int = Field(default=200, ge=1)
    connections_max: int = Field(default=2_000, ge=1)
    # beyond 65,535 the parser's offsets into an address overflow
    url_max_bytes: int = Field(default=60_000, ge=1_000, le=65_000)
    header_max_bytes: int = Field(default=16_384, ge=1_000)
    request_read_timeout_s: float = Field(default=20.0, gt=0)
    slow_reader_timeout_s: float = Field(default=60.0, gt=0)
    keep_alive_s: int = Field(default=65, ge=1)
    rate_limit_per_s: float = Field(default=0.0, ge=0)
    rate_limit_burst: int = Field(default=50, ge=1)
    trusted_proxies: str = ""
    forwarded_header: Literal["x-forwarded", "forwarded"] = "x-forwarded"
    allowed_hosts: str = ""
    shutdown_s: float = Field(default=10.0, gt=0)
    shutdown_notice_s: float = Field(default=0.0, ge=0)
    metrics_token: str = ""
    access_log: bool = False
    changes_limit_max: int = Field(default=10_000, ge=1)
    changes_wait_max_s: float = Field(default=60.0, ge=0, le=600)
    changes_waiting_max: int = Field(default=100, ge=1)
    export_rows_max: int = Field(default=1_000_000, ge=1)
    exports_at_once: int = Field(default=2, ge=1)
    exports_dir: str = ""
    export_every_s: float = Field(default=0.0, ge=0)
    export_row_group: int = Field(default=20_000, ge=100, le=1_000_000)
    figures_age_s: float = Field(default=5.0, ge=0)
    stats_age_s: float = Field(default=300.0, ge=0)
    ping_interval_s: float = Field(default=10.0, ge=0)
    # registration and checks
    registration: Literal["off", "moderated", "automatic"] = "off"
    registrations_max: int = Field(default=200, ge=1)
    registration_days: int = Field(default=30, ge=1)
    check_kept_s: float = Field(default=600.0, ge=0)
    check_timeout_s: float = Field(default=120.0, gt=0)
    check_pictures: int = Field(default=1_000, ge=1, le=10_000)
    checks_at_once: int = Field(default=4, ge=1, le=100)
    checks_per_hour: int = Field(default=60, ge=1)
    client_checks_per_hour: int = Field(default=10, ge=1)
    checks_kept_days: int = Field(default=30, ge=1)
    dns_server: str = ""
    # operators and administrators
    link_hours: float = Field(default=72.0, gt=0, le=720)
    session_hours: float = Field(default=12.0, gt=0, le=720)
    session_idle_hours: float = Field(default=2.0, gt=0, le=720)
    sessions_kept_days: int = Field(default=90, ge=31)
    session_on_loopback_http: bool = False
    sign_in_failures: int = Field(default=10, ge=1)
    sign_in_window_s: float = Field(default=300.0, gt=0)
    operator_cadence_min_s: float = Field(default=30.0, ge=5)
    operator_requests_per_s_max: float = Field(default=50.0, gt=0, le=1_000)
    operator_concurrency_max: int = Field(default=8, ge=1, le=32)
    reconcile_ask_s: float = Field(default=3_600.0, ge=0)
    operator_rows: int = Field(default=100, ge=1, le=1_000)
    # tiles
    tile_cache_bytes: int = Field(default=1_000_000_000, ge=0)
    tile_cache_memory_bytes: int = Field(default=64_000_000, ge=0)
    tile_shared_age_s: int = Field(default=0, ge=0)
    # pages
    viewer_dir: Path = Path(".viewer")
    map_style: str = ""
    map_hosts: str = ""
    geocoder: str = ""
    viewer_services: str = ""
    list_sequences: int = Field(default=24, ge=1, le=200)
    list_count_max: int = Field(default=1_000, ge=0)
    catalog_contact: str = ""
    catalog_colour: str = Field(default="#0a4dad", pattern=r"^#[0-9a-fA-F]{6}$")
    catalog_title: str = "Panoramax federated catalog"
    catalog_description: str = "Every registered Panoramax instance in one STAC API. Pictures stay on their instance."
    log_level: str = "info"

    @property
    def tile_cache_control(self) -> str:
        """The header Cache-Control of tiles."""
        shared = f", s-maxage={self.tile_shared_age_s}" if self.tile_shared_age_s else ""
        return f"public, max-age=0{shared}, must-revalidate"

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        for each in filter(None, (part.strip() for part in text.split(","))):
            ip_network(each)  # ValueError says what is wrong with it
        return text

    @field_validator("public_url")
    @classmethod
    def _no_trailing_slash(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url.rstrip("/")

    @field_validator("notify_kinds")
    @classmethod
    def _kinds(cls, text: str) -> str:
        for each in filter(None, (part.strip() for part in text.split(","))):
            if each not in EVENT_KINDS:
                raise ValueError(f"{each} is none of {', '.join(EVENT_KINDS)}")
        return text

    @field_validator("webhook_url")
    @classmethod
    def _webhook(cls, url: str, others: ValidationInfo) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        if url and len(others.data.get("webhook_secret", "")) < _SECRET_LETTERS_MIN:
            raise ValueError(
                f"needs PANOFED_WEBHOOK_SECRET, of {_SECRET_LETTERS_MIN} letters or more: messages are signed"
            )
        return url

    @field_validator("smtp_url")
    @classmethod
    def _mail(cls, url: str, others: ValidationInfo) -> str:
        if url and (urlsplit(url).scheme not in ("smtp", "smtps") or not urlsplit(url).hostname):
            raise ValueError("must be smtp://HOST or smtps://HOST, with NAME:PASSWORD@ before the host where needed")
        if url and not ("@" in others.data.get("mail_from", "") and "@" in others.data.get("mail_to", "")):
            raise ValueError("needs PANOFED_MAIL_FROM and PANOFED_MAIL_TO")
        return url

    @field_validator("map_style")
    @classmethod
    def _address(cls, url: str) -> str:
        if url and not _ADDRESS.fullmatch(url):
            raise ValueError("is not an address that starts with http:// or https://")
        return url

    @field_validator("geocoder")
    @classmethod
    def _geocoder(cls, name: str) -> str:
        if name and name not in ("nominatim", "ban") and not _ADDRESS.fullmatch(name):
            raise ValueError("is neither nominatim, nor ban, nor an address that starts with http:// or https://")
        return name

    @field_validator("map_hosts")
    @classmethod
    def _origins(cls, text: str) -> str:
        for each in filter(None, (part.strip() for part in text.split(","))):
            if not _ORIGIN.fullmatch(each):
                raise ValueError(f"{each} is not an origin such as https://tiles.example.org")
        return text

    @field_validator("dns_server")
    @classmethod
    def _name_server(cls, text: str) -> str:
        address, port = text, "53"
        if text.startswith("[") or text.count(":") == 1:
            address, _, port = text.rpartition(":")
        if text and not (port.isdigit() and 0 < int(port) < 65_536):
            raise ValueError("is neither an address nor address:port")
        if text:
            ip_address(address.strip("[]"))
        return text

    @field_validator("viewer_services")
    @classmethod
    def _services(cls, text: str) -> str:
        for each in filter(None, (part.strip() for part in text.split(","))):
            if each not in VIEWER_SERVICES:
                raise ValueError(f"{each} is none of {', '.join(VIEWER_SERVICES)}")
        return text


#: Variables that steer tests and benchmarks, not the program.
_NOT_SETTINGS = ("PANOFED_TEST_", "PANOFED_BENCH_")


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    """A misspelt variable would be ignored in silence.

    >>> _refuse_unknown({"PANOFED_PROT": "8081"})
    Traceback (most recent call last):
    ...
    federation.errors.ConfigurationError: PANOFED_PROT: there is no such setting; did you mean PANOFED_PORT?
    """
    known = [f"PANOFED_{name.upper()}" for name in Settings.model_fields]
    for name in environment:
        if name.startswith("PANOFED_") and name not in known and not name.startswith(_NOT_SETTINGS):
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"{name}: there is no such setting{hint}")


def _shown(fault: Mapping[str, Any]) -> object:
    """The value that was refused, unless it may hold a secret."""
    return "..." if _SECRET.search(str(fault["loc"][-1])) else fault["input"]


def load_settings(**overrides: object) -> Settings:
    """Read the environment; raises ConfigurationError naming each wrong variable and its value.

    >>> load_settings(port=8081).port
    8081
    >>> load_settings(port=-1)
    Traceback (most recent call last):
    ...
    federation.errors.ConfigurationError: PANOFED_PORT=-1: Input should be greater than or equal to 0
    """
    _refuse_unknown(os.environ)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = (
            f"PANOFED_{'_'.join(str(part) for part in fault['loc']).upper()}={_shown(fault)}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigurationError("; ".join(problems)) from error
