"""A part that `panofed run` or `panofed demo` started ends when they do, whatever ended them."""

from __future__ import annotations

import os
import signal
import threading


def end_with_parent() -> None:
    """Ask this process to end as soon as its standard input ends: that is a pipe which only the parent holds open."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
