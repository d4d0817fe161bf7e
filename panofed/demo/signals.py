"""Ctrl-C and SIGTERM: the first one unwinds the program in order, the second one ends everything at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM)
FORCED_EXIT_CODE = 130


class Stopping(BaseException):
    """Somebody asked the program to end. Not an Exception: nothing on the way may swallow it."""


class StopRequest:
    """Whether the program was asked to end; worker threads ask it between two steps."""

    def __init__(self, force: Callable[[], None]) -> None:
        self._asked = threading.Event()
        self._force = force

    def check(self) -> None:
        """Raises Stopping once the program was asked to end."""
        if self._asked.is_set():
            raise Stopping

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until the program is asked to end; raises Stopping then."""
        self._asked.wait(seconds)
        self.check()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take both signals over; call it in the main thread."""
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            end_children()
            self._force()
            os._exit(FORCED_EXIT_CODE)
        self._asked.set()
        raise Stopping


def end_children() -> None:
    """Kill every process this one started, and theirs."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
