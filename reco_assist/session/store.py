"""A small database that is its own audit log: every change is a line that is never rewritten.

audit.jsonl     one line of JSON for each change: who, what, when, and the values before and after
snapshot.json   the state after some line, so that opening does not read them all; a cache
session.lock    held while a process has the session open

The state is a mapping from keys to JSON values. It is the fold of the log, so killing the process at any
moment loses nothing but a line that was being written.
"""

import getpass
import logging
import os
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any

from reco_assist.errors import FormatError, StorageError, unknown_format
from reco_assist.files import read_bounded, write_bytes
from reco_assist.folders import make_output_folder
from reco_assist.json_files import JsonLog, json_line, parse_json
from reco_assist.locks import only_writer, uninterrupted
from reco_assist.safe_paths import storage_error, unlinked
from reco_assist.session.fold import Fold, History

log = logging.getLogger("reco_assist")

FORMAT = 1

LOG = "audit.jsonl"
_SNAPSHOT = "snapshot.json"
_LARGEST_SNAPSHOT = 1 << 30  # bytes; a larger one is not believed, and the log read instead
_LONGEST_HEAD = 1 << 10  # bytes of the first line of the log
_LOCK = "session.lock"
_SNAPSHOT_AFTER = 1 << 20  # bytes of the log, at least; and as many as the last snapshot has
_RECENT = 1000  # changes whose keys are remembered


@dataclass(frozen=True, slots=True)
class Moved:
    """A change that was undone or redone: what it was, and the keys that it touched."""

    what: str
    keys: tuple[str, ...]


class Store:
    """Keys and values on disk, with a log, undo and one writer. Safe to use from several threads.

    Args:
        folder: Where it lies; made if it is missing.
        who: Name that the log gives the curator; the login name if None.
        locked: The caller holds the `only_session` of the folder already.

    Raises:
        StorageError: The folder cannot be written, or another process has it open.
        FormatError: The log is damaged, or of another version.
    """

    def __init__(self, folder: Path, *, who: str | None = None, locked: bool = False) -> None:
        self.folder = make_output_folder(folder)
        self.who = who or _login()
        self.mutex = RLock()
        self._closed = False
        self._since_snapshot = self._snapshot_size = 0  # bytes
        self._recent: deque[tuple[int, tuple[str, ...]]] = deque(maxlen=_RECENT)
        with ExitStack() as lock:
            if not locked:
                lock.enter_context(only_session(folder))
            self._log = open_log(folder)
            self._fold = self._replay()
            self._log.append()  # a new session is one at once, and a line cut short is gone
            self._lock = lock.pop_all()

    @property
    def count(self) -> int:
        """Changes so far."""
        return self._fold.count

    @property
    def last_change(self) -> str | None:
        """When the last change was made, as ISO 8601 in UTC."""
        return self._fold.last

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._closed

    def touched(self, since: int) -> set[str] | None:
        """Keys that were changed after so many changes; None where that is not remembered any more."""
        with self.mutex:
            if since == self.count:
                return set()
            if since < 0 or not self._recent or self._recent[0][0] > since + 1:
                return None
            return {key for number, keys in self._recent if number > since for key in keys}

    def get(self, key: str) -> Any:  # noqa: ANN401  (any JSON value)
        """The value of a key, None where there is none. Do not change it in place."""
        return self._fold.state.get(key)

    def items(self, prefix: str) -> list[tuple[str, Any]]:
        """(rest of the key, value) of the keys that begin with a prefix, in the order of their creation."""
        with self.mutex:
            return self._fold.items(prefix)

    def put(
        self, what: str, values: Mapping[str, Any], *, scope: str | None = None, forget: Collection[str] = ()
    ) -> None:
        """Change values; on disk when this returns.

        Args:
            what: The change in a word or two, for the log.
            values: New values by key; None removes the key.
            scope: Which undo history this belongs to; None for what cannot be undone. Scopes share no keys.
            forget: Keys that no undo and no redo of earlier changes shall touch after this one.

        Raises:
            StorageError: It cannot be written; nothing is changed.
        """
        with self.mutex:
            state = self._fold.state
            changes = {
                key: (state.get(key), value) for key, value in values.items() if state.get(key) != value
            }
            gone = sorted(filter(self._fold.reaches, set(forget)))
            if changes or gone:
                self._write({"what": what, "scope": scope, "forget": gone or None, "changes": changes})

    def undo(self, scope: str) -> Moved | None:
        """Take the last change of a scope back.

        Returns:
            What was undone, None if nothing was left.
        """
        return self._travel(scope, "undo")

    def redo(self, scope: str) -> Moved | None:
        """Make the last change that was undone again; returns what, None if nothing was left."""
        return self._travel(scope, "redo")

    def reach(self, scope: str) -> tuple[int, int]:
        """How many changes of a scope can be undone and redone."""
        history = self._fold.histories.get(scope) or History()
        return len(history.done), len(history.undone)

    @property
    def within_reach(self) -> set[str]:
        """Keys that undo and redo may touch."""
        with self.mutex:
            return self._fold.within_reach

    def reaches(self, key: str) -> bool:
        """Whether undo or redo may touch a key."""
        with self.mutex:
            return self._fold.reaches(key)

    def log(self) -> Iterator[dict[str, Any]]:
        """All lines of the log."""
        yield {"format": FORMAT}
        yield from self._log.records()

    def close(self) -> None:
        """Write a snapshot and let other processes in. A closed store refuses changes."""
        with self.mutex:
            if not self._closed:
                self._closed = True
                self._snapshot()
                self._lock.close()

    def _travel(self, scope: str, move: str) -> Moved | None:
        with self.mutex:
            history = self._fold.histories.get(scope) or History()
            stack = history.done if move == "undo" else history.undone
            if not stack:
                return None
            what, changes = stack[-1]
            swapped = {key: (after, before) for key, (before, after) in changes.items()}
            self._write({"what": what, "move": move, "scope": scope, "changes": swapped})
            return Moved(what, tuple(changes))

    def _write(self, event: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"n": self._fold.count + 1, "at": now, "who": self.who, **event}
        line, change = json_line(event), self._fold.read(event)
        if self._closed:
            raise StorageError(f"The session {self.folder.name} was opened again elsewhere; go on there.")
        with uninterrupted():
            self._log.append(line)
            self._fold.add(change, line)
        self._recent.append((self._fold.count, tuple(event["changes"])))
        self._since_snapshot += len(line)
        if self._since_snapshot >= max(_SNAPSHOT_AFTER, self._snapshot_size):
            self._snapshot()

    def _replay(self) -> Fold:
        fold = self._remembered()
        for line in self._log.lines(fold.count):
            try:
                fold.add(fold.read(parse_json(line, self._log.path, finite=True)), line)
            except FormatError as error:
                raise FormatError(
                    f"Line {fold.count + 2} of {self._log.path} is damaged; run 'reco-assist doctor "
                    f"{self.folder} --repair', which leaves it out."
                ) from error
            self._since_snapshot += len(line)
        return fold

    def _remembered(self) -> Fold:
        """What the snapshot holds; nothing if there is none or it is not of this log."""
        try:
            path = unlinked(self.folder / _SNAPSHOT)
            data = read_bounded(path, _LARGEST_SNAPSHOT)
            fold = Fold.of(parse_json(data, path, finite=True), self._log.lines())
        except (OSError, FormatError):
            return Fold()
        self._snapshot_size = len(data)
        return fold

    def _snapshot(self) -> None:
        """Keep the state. Its cost is shared by as many bytes of changes, however large the session is."""
        self._since_snapshot = 0
        try:
            data = json_line(self._fold.record())
            self._snapshot_size = len(data)
            write_bytes(self.folder / _SNAPSHOT, data)
        except StorageError as error:  # the log, which counts, has been written
            log.warning("The next opening of %s takes longer: %s", self.folder, error)


def only_session(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes, and other objects of this one, from a session.

    Raises:
        StorageError: One of them has it open, or its folder cannot be written.
    """
    busy = f"The session {folder.name} is open in another notebook or script; close that one first."
    return only_writer(folder, name=_LOCK, busy=StorageError(busy))


def open_log(folder: Path) -> JsonLog:
    """The log of a session, which may be missing or of no line at all.

    Raises:
        FormatError: It is of another format, or no log at all.
        StorageError: It cannot be read, or is a link.
    """
    path, head = unlinked(folder / LOG), json_line({"format": FORMAT})
    try:
        opened, first = JsonLog(path, head), b""
        if not len(opened) and path.is_file():
            with path.open("rb") as file:
                first = file.readline(_LONGEST_HEAD)
    except OSError as error:
        raise storage_error(path, error) from error
    if head.startswith(first):  # new, or killed while this was written
        return opened
    try:
        said = unknown_format(f"The session {folder}", parse_json(first, path)["format"], FORMAT)
    except (FormatError, KeyError, TypeError, IndexError):
        said = f"{path} is no log of a session: restore it from a copy, or choose another folder."
    raise FormatError(said)


def _login() -> str:
    try:
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (OSError, KeyError, ImportError):  # no entry for this user, as in some containers
        return "unknown"
