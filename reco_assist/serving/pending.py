"""Corrections that are on disk and not learnt yet, each the newest of its annotation."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from reco_assist.errors import RecoAssistError
from reco_assist.serving.events import Event

_LOG = logging.getLogger(__name__)
_MOST = 10_000  # that may wait
_PAUSE, _LONGEST = 5.0, 300.0  # seconds before what failed is tried again
_IN_A_ROW = 3  # failures after which the rest waits, untried


class BusyError(RecoAssistError):
    """As many corrections wait as may."""


@dataclass(slots=True)
class _Project:
    """What waits of a project: the new ones, and those that could not be learnt yet."""

    new: dict[int, Event] = field(default_factory=dict)
    failed: dict[int, Event] = field(default_factory=dict)
    pause: float = _PAUSE
    due: float = 0.0  # when those that failed are tried again

    def events(self) -> list[Event]:
        return [*self.new.values(), *self.failed.values()]


class Pending:
    """Events by project and annotation. Safe to use from several threads.

    Args:
        keep: Puts an event on disk before it is taken; nothing is kept if None.
        most: New ones that may wait.
        clock: Seconds from any start.
    """

    def __init__(
        self,
        keep: Callable[[Event], None] | None = None,
        *,
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keep = keep
        self._most = most
        self._clock = clock
        self._projects: dict[str, _Project] = {}
        self._last: dict[tuple[str, int], Event] = {}  # without regions: for what is stale
        self._lock = Lock()

    def __len__(self) -> int:
        """Number of new events that wait."""
        return sum(len(project.new) for project in list(self._projects.values()))

    def add(self, event: Event) -> bool:
        """Take an event: it is on disk when this returns. Whether there was anything new in it.

        Raises:
            BusyError: Too many wait.
            StorageError: It cannot be written; it is not taken then.
        """
        with self._lock:
            if self._is_old(event):
                return False
            project = self._projects.get(event.project, _Project())
            if len(self) >= self._most and event.annotation not in project.new:
                raise BusyError(
                    f"{self._most} corrections wait to be learnt already; send it again in a minute"
                )
            if self._keep is not None:
                self._keep(event)
            self._put(event)
        return True

    def restore(self, event: Event) -> None:
        """Take an event that is on disk already."""
        with self._lock:
            if not self._is_old(event):
                self._put(event)

    def _is_old(self, event: Event) -> bool:
        earlier = self._last.get(event.key)
        if earlier is None:
            return event.regions is None and not event.deleted  # skipped before it said anything
        return not event.replaces(earlier)

    def _put(self, event: Event) -> None:
        project = self._projects.setdefault(event.project, _Project())
        project.failed.pop(event.annotation, None)
        project.new[event.annotation] = event
        bare = Event(event.project, event.annotation, None, deleted=event.deleted, updated=event.updated)
        self._last[event.key] = bare

    def projects(self) -> list[str]:
        """All projects of which anything waits."""
        with self._lock:
            return [name for name, project in self._projects.items() if project.events()]

    def waits(self, project: str) -> bool:
        """Whether anything of a project waits, new or failed."""
        with self._lock:
            return project in self._projects and bool(self._projects[project].events())

    def work(self, name: str, learn: Callable[[Event], bool], *, most: int | None = None) -> int:
        """Learn what waits of a project. After several failures in a row the rest is left for later.

        Args:
            name: The project's.
            learn: Learns an event; False where it may succeed at another time.
            most: Events to try; all if None.

        Returns:
            How many were learnt.
        """
        with self._lock:
            project = self._projects.get(name, _Project())
            found = list(project.new.values())
            found += project.failed.values() if self._clock() >= project.due else []
        learnt = failed = in_a_row = 0
        for event in found[:most]:
            done = learn(event)
            in_a_row = 0 if done else in_a_row + 1
            learnt, failed = learnt + done, failed + (not done)
            with self._lock:
                self._settle(project, event, done=done)
                if in_a_row == _IN_A_ROW:
                    for left in found[:most]:  # the server is gone, it seems: each would cost its time
                        self._settle(project, left, done=False, only_new=True)
                    break
        with self._lock:
            if failed:
                project.due = self._clock() + project.pause
                project.pause = min(2 * project.pause, _LONGEST)
            elif learnt:
                project.pause = _PAUSE
        return learnt

    @staticmethod
    def _settle(project: _Project, event: Event, *, done: bool, only_new: bool = False) -> None:
        """Note how it went; nothing where a newer event has come meanwhile."""
        number = event.annotation
        was_new = project.new.get(number) is event
        if was_new:
            del project.new[number]
        elif only_new or project.failed.get(number) is not event:
            return
        project.failed.pop(number, None)
        if not done:
            project.failed[number] = event  # at the end: others come first next time
