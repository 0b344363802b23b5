"""Corrections on disk before they are acknowledged, and which of them are not learnt yet.

Those that wait are kept in memory by their places in the log alone: what is in them may be large.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from time import monotonic

from reco_assist.errors import FormatError, RecoAssistError, StorageError, reason
from reco_assist.folders import make_output_folder
from reco_assist.json_files import JsonLog, json_line, parse_json
from reco_assist.serving.events import MOST, Event, read_record
from reco_assist.serving.marks import labels_of

_LOG = logging.getLogger(__name__)
_NAME = "corrections.jsonl"
_PAUSE, _LONGEST = 5.0, 300.0  # seconds before what failed is tried again
_IN_A_ROW = 3  # failures after which the rest waits, untried


class BusyError(RecoAssistError):
    """As many corrections wait as may."""


class CorrectionLog:
    """All events, one line each. For one process: hold `locks.only_writer` of the folder.

    Args:
        folder: Where it lies; made if it is missing.

    Raises:
        StorageError: The folder cannot be made, or the log in it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = make_output_folder(folder)
        path = folder / _NAME
        with _readable(path):
            self._log = JsonLog(path)

    def append(self, *events: Event) -> range:
        """Write events, all or none; on disk when this returns. Their places in the log.

        Raises:
            StorageError: They cannot be written.
        """
        start = len(self._log)
        self._log.append(*(json_line(event.record()) for event in events))
        return range(start, len(self._log))

    def read(self, place: int) -> Event:
        """The event at a place.

        Raises:
            FormatError: It is none any more.
            StorageError: The log cannot be read.
        """
        with _readable(self._log.path):
            return self._event(place, next(self._log.lines(place)))

    def events(self) -> Iterator[tuple[int, Event]]:
        """All events with their places; a line that is none is told of and left out.

        Raises:
            StorageError: The log cannot be read.
        """
        with _readable(self._log.path):
            for place, line in enumerate(self._log.lines()):
                try:
                    yield place, self._event(place, line)
                except FormatError as error:
                    _LOG.warning("%s", error)

    def _event(self, place: int, line: bytes) -> Event:
        what = f"Line {place + 1} of {self._log.path}"
        return read_record(parse_json(line, what), what)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in a sentence why a log cannot be read."""
    try:
        yield
    except OSError as error:
        if isinstance(error, RecoAssistError):
            raise
        raise StorageError(f"{path} cannot be read ({reason(error)}): restore it.") from error


@dataclass(slots=True)
class Pause:
    """The time until something that failed is tried again: twice as long after each failure."""

    seconds: float = _PAUSE
    until: float = 0.0

    @property
    def left(self) -> float:
        """Seconds until it may be tried."""
        return max(0.0, self.until - monotonic())

    @property
    def over(self) -> bool:
        """Whether it may be tried."""
        return not self.left

    def begin(self) -> None:
        """It has failed."""
        self.until = monotonic() + self.seconds
        self.seconds = min(2 * self.seconds, _LONGEST)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An event that waits: its place in the log, and the labels that it names."""

    place: int
    labels: frozenset[str]


@dataclass(slots=True)
class _Project:
    """What waits of a project by annotation, new or failed, and all labels that were ever named in it."""

    new: dict[int, _Entry] = field(default_factory=dict)
    failed: dict[int, _Entry] = field(default_factory=dict)
    pause: Pause = field(default_factory=Pause)
    named: set[str] = field(default_factory=set)

    def tried(self) -> list[tuple[int, _Entry]]:
        """What may be tried now, the new ones first."""
        return [*self.new.items(), *(self.failed.items() if self.pause.over else ())]

    def settle(self, annotation: int, entry: _Entry, *, done: bool) -> None:
        """Note how it went with one; nothing where a newer event of the annotation has come meanwhile."""
        if entry not in (self.new.get(annotation), self.failed.get(annotation)):
            return
        self.new.pop(annotation, None)
        self.failed.pop(annotation, None)
        if not done:
            self.failed[annotation] = entry  # at the end: others come first next time


class Pending:
    """Events that wait, by project and annotation, each the newest. Safe to use from several threads.

    Args:
        log: Has an event before it is taken. What it holds already waits from the beginning.
        most: Events that may wait, new ones and those that failed.
    """

    def __init__(self, log: CorrectionLog, *, most: int = MOST) -> None:
        self._log = log
        self._most = most
        self._projects: dict[str, _Project] = {}  # whose turn it is comes first
        self._last: dict[tuple[str, int], Event] = {}  # without regions: for what is stale
        self._lock = Lock()
        for place, event in log.events():
            if not self._is_old(event):
                self._put(place, event)

    def __len__(self) -> int:
        """Number of new events that wait."""
        return sum(len(project.new) for project in list(self._projects.values()))

    def add(self, *events: Event) -> bool:
        """Take events, all or none: they are on disk when this returns. Whether they say anything new.

        Raises:
            BusyError: Too many wait.
            StorageError: They cannot be written.
        """
        with self._lock:
            fresh = list({event.key: event for event in events if not self._is_old(event)}.values())
            if not fresh:
                return False
            waiting = sum(len(one.new) + len(one.failed) for one in self._projects.values())
            more = sum(not self._waits_already(event) for event in fresh)
            if more and waiting + more > self._most:
                raise BusyError(
                    f"{waiting:,} corrections wait to be learnt already, and {self._most:,} may; send it "
                    "again in a minute"
                )
            for place, event in zip(self._log.append(*fresh), fresh, strict=True):
                self._put(place, event)
        return True

    def _waits_already(self, event: Event) -> bool:
        project = self._projects.get(event.project)
        return project is not None and (event.annotation in project.new or event.annotation in project.failed)

    def _is_old(self, event: Event) -> bool:
        earlier = self._last.get(event.key)  # none: even a skip says something, to what it overtook
        return earlier is not None and not event.replaces(earlier)

    def _put(self, place: int, event: Event) -> None:
        project = self._projects.setdefault(event.project, _Project())
        labels = frozenset(label for region in event.regions or () for label in labels_of(region))
        project.named |= labels
        project.failed.pop(event.annotation, None)
        project.new[event.annotation] = _Entry(place, labels)
        bare = Event(event.project, event.annotation, None, deleted=event.deleted, updated=event.updated)
        self._last[event.key] = bare

    def turn(self) -> str | None:
        """The project of which something can be learnt now, and was longest ago; None if there is none."""
        with self._lock:
            return next((name for name, project in self._projects.items() if project.tried()), None)

    def due(self) -> float | None:
        """Seconds until something may be learnt; None where nothing waits."""
        with self._lock:
            waiting = [project for project in self._projects.values() if project.new or project.failed]
            return min((0.0 if one.new else one.pause.left for one in waiting), default=None)

    def waits(self, project: str, *, new: bool = False) -> bool:
        """Whether anything of a project waits, or anything that was not tried yet."""
        with self._lock:
            found = self._projects.get(project, _Project())
            return bool(found.new or (found.failed and not new))

    def named(self, project: str, *, waiting: bool = False) -> set[str]:
        """Labels that annotations of a project have ever named, or that those which wait name."""
        with self._lock:
            found = self._projects.get(project, _Project())
            if not waiting:
                return set(found.named)
            entries = [*found.new.values(), *found.failed.values()]
            return {label for entry in entries for label in entry.labels}

    def work(self, name: str, learn: Callable[[Event], bool], *, most: int) -> bool:
        """Learn what waits of a project. After several failures in a row the rest is left for later.

        Args:
            name: The project's.
            learn: Learns an event; False where it may succeed at another time.
            most: Events to try.

        Returns:
            Whether there was anything to try.
        """
        with self._lock:
            project = self._projects.get(name)
            if project is None:
                return False
            self._projects[name] = self._projects.pop(name)
            tried, new = project.tried()[:most], list(project.new.items())
        failed = in_a_row = 0
        for annotation, entry in tried:
            done = self._try(entry, learn)
            in_a_row = 0 if done else in_a_row + 1
            failed += not done
            with self._lock:
                project.settle(annotation, entry, done=done)
                if in_a_row == _IN_A_ROW:  # the server is gone, it seems: each would cost its time
                    for other, left in new:  # but not what has come meanwhile
                        project.settle(other, left, done=False)
                    break
        with self._lock:
            if in_a_row == _IN_A_ROW or (failed and failed == len(tried)):
                project.pause.begin()
            elif tried and not failed:
                project.pause = Pause()
        return bool(tried)

    def _try(self, entry: _Entry, learn: Callable[[Event], bool]) -> bool:
        try:
            return learn(self._log.read(entry.place))
        except (FormatError, StorageError) as error:
            _LOG.warning("a correction is not learnt yet, and is tried again: %s", error)
            return False
