"""Ctrl-C ends a command soon, also where a library computes on and Python cannot interrupt it."""

import atexit
import os
import signal
import socket
import sys
import time
from threading import Thread
from typing import NoReturn

STOPPED = 130

_WORDS = "stopped: run the same command again to go on\n"
_PATIENCE = 1.2  # seconds that a command has to end by itself


def end_soon() -> None:
    """From now on, end this process some time after a Ctrl-C that has not ended it.

    What is on disk is whole at any time, as after a kill; the next run goes on from there.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    # Written to by the system's handler at once; Python's own would wait until the main thread listens.
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    Thread(target=_watch, args=(reader,), daemon=True, name="reco-stop").start()


def stop() -> NoReturn:
    """End this process now, having done what was left for its exit.

    Python's own way out takes its modules apart first, which takes large libraries a second or more.
    """
    sys.stderr.write(_WORDS)
    atexit._run_exitfuncs()  # noqa: SLF001  (there is no public name for it)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(STOPPED)


def _watch(reader: socket.socket) -> None:
    while heard := reader.recv(1):
        if heard[0] == signal.SIGINT:
            time.sleep(_PATIENCE)
            sys.stderr.write(_WORDS)
            sys.stderr.flush()
            os._exit(STOPPED)
