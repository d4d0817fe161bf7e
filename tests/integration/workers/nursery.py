"""Forks `panofed worker` processes: one that has imported everything starts a hundred in the time that one takes alone.

A line of its input is the environment of a worker and the file of its log, as JSON; it answers with the number of the
process.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from panofed import harvesting, logs
from panofed.cli import app

LOADED = (harvesting, logs)


def main() -> None:
    # children are not waited for: nobody asks how they ended
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.environ.clear()
            os.environ.update(order["environment"])
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for number in (1, 2):
                os.dup2(log, number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            app(["worker"])
        print(child, flush=True)  # noqa: T201 (it is what the test reads)


if __name__ == "__main__":
    main()
