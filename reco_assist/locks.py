"""Who may write, and when: one process in a folder, one at a time here, and no interrupt halfway."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from reco_assist.errors import RecoAssistError, StorageError
from reco_assist.folders import make_folder
from reco_assist.safe_paths import storage_error, unlinked

_LOCK = ".writer.lock"


@contextmanager
def only_writer(
    folder: Path, *, name: str = _LOCK, busy: RecoAssistError | None = None, wait: bool = False
) -> Iterator[None]:
    """Keep other processes from writing to a folder. The system lets go when a process dies.

    Args:
        folder: An existing one.
        name: Of the file in it that is locked.
        busy: What to raise where another process is writing; a `StorageError` if None.
        wait: Until no other process is writing, however long that takes.

    Raises:
        StorageError: Another process is writing to it, or it cannot be written.
    """
    # It would empty what a link leads to.
    lock = FileLock(unlinked(folder / name), timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout as error:
        raise busy or StorageError(
            f"Another process is writing to {folder}; wait until it has finished, or choose another folder."
        ) from error
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Take turns at something with all processes and threads of this user on this machine.

    Args:
        what: Names it.

    Raises:
        StorageError: The system's temporary folder cannot be written, or our place in it is somebody else's.
    """
    user = os.getuid() if hasattr(os, "getuid") else None  # elsewhere each user has a temporary folder
    place = Path(tempfile.gettempdir(), "reco-assist" if user is None else f"reco-assist-{user}")
    folder = make_folder(unlinked(place))
    if user not in (None, folder.stat().st_uid):
        raise StorageError(f"Cannot write {folder}: it is somebody else's; remove it, or set TMPDIR.")
    with only_writer(folder, name=f"{sha256(what.encode()).hexdigest()[:32]}.lock", wait=True):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C, or a notebook's interrupt, wait for the end of a block of some milliseconds.

    What is on disk and what is in memory agree after it, for those who catch the interrupt and go on.
    """
    if threading.current_thread() is not threading.main_thread():  # others are never interrupted
        yield
        return
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: told.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if told:
            signal.raise_signal(signal.SIGINT)
