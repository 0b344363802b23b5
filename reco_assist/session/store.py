"""A small database that is its own audit log: every change is a line that is never rewritten.

audit.jsonl     one line of JSON for each change: who, what, when, and the values before and after
snapshot.json   the state after some line, so that opening does not read them all; a cache
session.lock    held while a process has the session open

The state is a mapping from keys to JSON values. It is the fold of the log, so killing the process at any
moment loses nothing but a line that was being written.
"""

import getpass
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from io import FileIO
from pathlib import Path
from threading import RLock
from typing import Any

from reco_assist.errors import FormatError, StorageError, unknown_format
from reco_assist.files import make_output_folder, only_writer, storage_error, uninterrupted, write_bytes

log = logging.getLogger("reco_assist")

FORMAT = 1

LOG = "audit.jsonl"
_SNAPSHOT = "snapshot.json"
_LOCK = "session.lock"
_SNAPSHOT_EVERY = 200  # changes
_REMEMBERED = 200  # changes of a scope that can be undone

Changes = dict[str, tuple[Any, Any]]
"""Values before and after by key; None stands for no value."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A change that was undone or redone: what it was, and the keys that it touched."""

    what: str
    keys: tuple[str, ...]


@dataclass(slots=True)
class _History:
    """What can be undone and redone in one scope, the latest last."""

    done: list[tuple[str, Changes]] = field(default_factory=list)
    undone: list[tuple[str, Changes]] = field(default_factory=list)


class Store:
    """Keys and values on disk, with a log, undo and one writer. Safe to use from several threads.

    Args:
        folder: Where it lies; made if it is missing.
        who: Name that the log gives the curator; the login name if None.

    Raises:
        StorageError: The folder cannot be written, or another process has it open.
        FormatError: The log is damaged, or of another version.
    """

    def __init__(self, folder: Path, *, who: str | None = None) -> None:
        self.folder = make_output_folder(folder)
        self.who = who or _login()
        self.mutex = RLock()
        self._state: dict[str, Any] = {}
        self._histories: dict[str, _History] = {}
        self._count = 0
        self._last: str | None = None
        self._since_snapshot = 0
        self._hash = sha256()
        busy = f"The session {folder.name} is open in another notebook or script; close that one first."
        with ExitStack() as lock:
            lock.enter_context(only_writer(folder, name=_LOCK, busy=StorageError(busy)))
            self._log = self._open()
            self._lock = lock.pop_all()

    @property
    def count(self) -> int:
        """Changes so far."""
        return self._count

    @property
    def last_change(self) -> str | None:
        """When the last change was made, as ISO 8601 in UTC."""
        return self._last

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._log.closed

    def get(self, key: str) -> Any:  # noqa: ANN401  (any JSON value)
        """The value of a key, None where there is none. Do not change it in place."""
        return self._state.get(key)

    def items(self, prefix: str) -> list[tuple[str, Any]]:
        """(rest of the key, value) of the keys that begin with a prefix, in the order of their creation."""
        with self.mutex:
            return [(k[len(prefix) :], v) for k, v in self._state.items() if k.startswith(prefix)]

    def put(
        self, what: str, values: Mapping[str, Any], *, scope: str | None = None, forget: str | None = None
    ) -> None:
        """Change values; on disk when this returns.

        Args:
            what: The change in a word or two, for the log.
            values: New values by key; None removes the key.
            scope: Which undo history this belongs to; None for what cannot be undone. Scopes share no keys.
            forget: The undo history that has no meaning any more after this change.

        Raises:
            StorageError: It cannot be written; nothing is changed.
        """
        with self.mutex:
            changes = {
                key: (self._state.get(key), value)
                for key, value in values.items()
                if self._state.get(key) != value
            }
            if changes:
                self._write({"what": what, "scope": scope, "forget": forget, "changes": changes})

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
        history = self._histories.get(scope) or _History()
        return len(history.done), len(history.undone)

    def log(self) -> Iterator[dict[str, Any]]:
        """All lines of the log."""
        with (self.folder / LOG).open("rb") as file:
            yield from (json.loads(line) for line in file if line.endswith(b"\n"))

    def close(self) -> None:
        """Write a snapshot and let other processes in. A closed store refuses changes."""
        with self.mutex:
            if not self._log.closed:
                self._snapshot()
                self._log.close()
                self._lock.close()

    def _travel(self, scope: str, move: str) -> Moved | None:
        with self.mutex:
            history = self._histories.get(scope) or _History()
            stack = history.done if move == "undo" else history.undone
            if not stack:
                return None
            what, changes = stack[-1]
            swapped = {key: (after, before) for key, (before, after) in changes.items()}
            self._write({"what": what, "move": move, "scope": scope, "changes": swapped})
            return Moved(what, tuple(changes))

    def _write(self, event: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {"n": self._count + 1, "at": now, "who": self.who, **event}
        line = _line(event)
        if self._log.closed:
            raise StorageError(f"The session {self.folder.name} was opened again elsewhere; go on there.")
        with uninterrupted():
            self._append(line)
            self._apply(event, line)
        self._since_snapshot += 1
        if self._since_snapshot >= _SNAPSHOT_EVERY:
            self._snapshot()

    def _append(self, line: bytes) -> None:
        """Add a line to the log, on disk when this returns; nothing where it cannot be written."""
        end = self._log.tell()
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._log.write(rest) :]
            os.fsync(self._log.fileno())
        except OSError as error:
            self._log.truncate(end)
            self._log.seek(end)
            raise storage_error(self.folder / LOG, error) from error

    def _apply(self, event: Mapping[str, Any], line: bytes) -> None:
        changes: Changes = {key: (before, after) for key, (before, after) in event["changes"].items()}
        for key, (_, after) in changes.items():
            if after is None:
                self._state.pop(key, None)
            else:
                self._state[key] = after
        self._count, self._last = self._count + 1, event["at"]
        self._hash.update(line)
        if event.get("forget"):
            self._histories.pop(event["forget"], None)
        if event["scope"] is None:
            return
        history = self._histories.setdefault(event["scope"], _History())
        move = event.get("move")
        if move is None:
            history.undone.clear()
        else:
            (history.done if move == "undo" else history.undone).pop()
        (history.undone if move == "undo" else history.done).append((event["what"], changes))
        del history.done[:-_REMEMBERED]

    def _open(self) -> FileIO:
        path = self.folder / LOG
        try:
            # Unbuffered: a buffer that a full disk did not take would get in the way of cutting the log back.
            log = path.open("r+b" if path.exists() else "w+b", buffering=0)
        except OSError as error:
            raise storage_error(path, error) from error
        try:
            head = _line({"format": FORMAT})
            first = log.readline()
            if not first.endswith(b"\n"):  # new, or killed while this was written
                log.seek(0)
                log.truncate()
                log.write(head)
            else:
                check_head(path, first)
            self._replay(log)
        except BaseException:
            log.close()
            raise
        return log

    def _replay(self, log: FileIO) -> None:
        start = log.tell()
        data = log.read()
        end = data.rfind(b"\n") + 1  # what follows was cut short by a kill
        log.seek(start + end)
        log.truncate()
        for line in self._rest(data[:end]).splitlines(keepends=True):
            try:
                event = json.loads(line)
                self._apply(event, line)
            except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
                raise FormatError(
                    f"Line {self._count + 2} of {self.folder / LOG} is damaged; run 'reco-assist doctor "
                    f"{self.folder} --repair', which leaves it out."
                ) from error
            self._since_snapshot += 1

    def _rest(self, data: bytes) -> bytes:
        """What the snapshot does not hold; all if there is none or it is not of this log."""
        try:
            found = json.loads((self.folder / _SNAPSHOT).read_bytes())
            known = sha256(data[: found["bytes"]])
            if found["sha256"] != known.hexdigest() or found["bytes"] > len(data):
                return data
            histories = {
                scope: _History(*([(what, _pairs(changes)) for what, changes in stack] for stack in stacks))
                for scope, stacks in found["histories"].items()
            }
            state, count, last = dict(found["state"]), int(found["count"]), found["last"]
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return data
        self._state, self._count, self._last = state, count, last
        self._histories, self._hash = histories, known
        return data[found["bytes"] :]

    def _snapshot(self) -> None:
        self._since_snapshot = 0
        record = {
            "bytes": self._log.tell() - len(_line({"format": FORMAT})),
            "sha256": self._hash.hexdigest(),
            "count": self._count,
            "last": self._last,
            "state": self._state,
            "histories": {name: (one.done, one.undone) for name, one in self._histories.items()},
        }
        try:
            write_bytes(self.folder / _SNAPSHOT, _line(record))
        except StorageError as error:  # the log, which counts, has been written
            log.warning("The next opening of %s takes longer: %s", self.folder, error)


def check_head(path: Path, line: bytes) -> None:
    """Refuse a log whose first line is not that of this release.

    Raises:
        FormatError: It is of another format, or no log at all.
    """
    if line == _line({"format": FORMAT}):
        return
    try:
        said = unknown_format(f"The session {path.parent}", json.loads(line)["format"], FORMAT)
    except (ValueError, KeyError, TypeError, OverflowError):
        said = f"{path} is no log of a session: restore it from a copy, or choose another folder."
    raise FormatError(said)


def _pairs(changes: Mapping[str, Any]) -> Changes:
    return {key: (before, after) for key, (before, after) in changes.items()}


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _login() -> str:
    try:
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (OSError, KeyError, ImportError):  # no entry for this user, as in some containers
        return "unknown"
