"""Structured logs: one JSON object a line when nobody watches, readable lines on a terminal."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

from federation.settings import Settings


def configure_logs(settings: Settings, *, quiet: bool = False) -> None:
    """Send every log record to stderr; `quiet` leaves only errors, for commands that draw on the terminal."""
    level = logging.ERROR if quiet else logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    terminal = sys.stderr.isatty()
    processors: list[Processor] = [
        # what is bound to a request or a visit, such as the request's id
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
