"""The fold of a session's log: what all changes so far come to, with what can be undone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Any, Self

from reco_assist.errors import FormatError
from reco_assist.session.forms import fits

Changes = dict[str, tuple[Any, Any]]
"""Values before and after by key; None stands for no value."""


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the log.

    Attributes:
        what: The change in a word or two.
        at: When, as ISO 8601 in UTC.
        changes: Values.
        scope: Which undo history it belongs to; None of what cannot be undone.
        move: `undo` or `redo`; None of a new change.
        forget: Keys that no undo and no redo of earlier changes touches any more; a scope, whose keys are all
            meant, in logs of release 0.1.
    """

    what: str
    at: str
    changes: Changes
    scope: str | None
    move: str | None
    forget: str | frozenset[str] | None


@dataclass(slots=True)
class History:
    """What can be undone and redone in one scope, the latest last; it reaches as far back as the log."""

    done: list[tuple[str, Changes]] = field(default_factory=list)
    undone: list[tuple[str, Changes]] = field(default_factory=list)

    def forget(self, keys: frozenset[str]) -> None:
        """Leave some keys as they are, whatever is undone or redone from now on."""
        for stack in (self.done, self.undone):
            stack[:] = [
                (what, left)
                for what, changes in stack
                if (left := changes if keys.isdisjoint(changes) else _without(changes, keys))
            ]


class Fold:
    """The state after some lines of a log, which may come from anybody.

    Attributes:
        state: JSON values by key. Keys that begin alike, up to their first slash, are found by `items`.
        histories: By scope.
        count: Changes.
        last: When the last of them was made, as ISO 8601 in UTC.
    """

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._alike: dict[str, dict[str, None]] = {}
        self.histories: dict[str, History] = {}
        self.count = 0
        self.last: str | None = None
        self._hash = sha256()

    @property
    def sha256(self) -> str:
        """Of all lines so far."""
        return self._hash.hexdigest()

    @property
    def within_reach(self) -> set[str]:
        """Keys that undo and redo may touch."""
        stacks = [stack for one in self.histories.values() for stack in (one.done, one.undone)]
        return {key for stack in stacks for _, changes in stack for key in changes}

    def reaches(self, key: str) -> bool:
        """Whether undo or redo may touch a key."""
        return any(
            key in changes
            for one in self.histories.values()
            for stack in (one.done, one.undone)
            for _, changes in stack
        )

    def read(self, event: Any) -> Change:  # noqa: ANN401  (any JSON value)
        """The change that an event of a log, or a new one, makes at this point.

        Raises:
            FormatError: It makes none, or holds what no session does.
        """
        try:
            change = Change(
                str(event["what"]),
                str(event["at"]),
                _pairs(event["changes"]),
                event["scope"],
                event.get("move"),
                _forgotten(event.get("forget")),
            )
            self._check(change)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise FormatError("A line of the log is no change that can follow those before it.") from error
        return change

    def _check(self, change: Change) -> None:
        if not all(one is None or isinstance(one, str) for one in (change.scope, change.move)):
            raise TypeError("another kind of scope or move")
        if change.move is not None:
            self._stack(change)[-1]  # IndexError: nothing to take back
        for key, values in change.changes.items():
            if not all(fits(key, value) for value in values):
                raise ValueError(f"{key} holds something else")

    def _stack(self, change: Change) -> list[tuple[str, Changes]]:
        """What a move takes its change from."""
        history = self.histories[change.scope or ""]
        return {"undo": history.done, "redo": history.undone}[change.move or ""]

    def add(self, change: Change, line: bytes) -> None:
        """Fold a change in.

        Args:
            change: As `read` gave it at this point.
            line: Its line of the log, with its end.
        """
        for key, (_, after) in change.changes.items():
            alike = self._alike.setdefault(key.partition("/")[0], {})
            if after is None:
                self.state.pop(key, None)
                alike.pop(key, None)
            else:
                self.state[key] = after
                alike[key] = None
        self.count, self.last = self.count + 1, change.at
        self._hash.update(line)
        if change.move is not None:
            self._stack(change).pop()
        if isinstance(change.forget, str):
            self.histories.pop(change.forget, None)
        elif change.forget:
            for history in self.histories.values():
                history.forget(change.forget)
        if change.scope is not None:
            history = self.histories.setdefault(change.scope, History())
            if change.move is None:
                history.undone.clear()
            stack = history.undone if change.move == "undo" else history.done
            stack.append((change.what, change.changes))

    def items(self, prefix: str) -> list[tuple[str, Any]]:
        """(rest of the key, value) of the keys that begin with a prefix, in the order of their creation.

        Args:
            prefix: What lies before the keys' first slash is looked up; without one, all keys are.
        """
        alike = self._alike.get(prefix.partition("/")[0], ()) if "/" in prefix else self.state
        return [(key[len(prefix) :], self.state[key]) for key in alike if key.startswith(prefix)]

    def record(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "sha256": self.sha256,
            "count": self.count,
            "last": self.last,
            "state": self.state,
            "histories": {name: (one.done, one.undone) for name, one in self.histories.items()},
        }

    @classmethod
    def of(cls, record: Any, lines: Iterable[bytes]) -> Self:  # noqa: ANN401  (any JSON value)
        """What `record` gave, if it is of these lines.

        Args:
            record: May be of another log, or anything.
            lines: Of the log, from the first on; as many are read as the record counts.

        Raises:
            FormatError: It is not of these lines.
        """
        fold = cls()
        try:
            fold.count, fold.last = int(record["count"]), record["last"]
            known = 0
            for line in islice(lines, fold.count):
                fold._hash.update(line)
                known += 1
            if (known, fold.sha256) != (fold.count, record["sha256"]):
                raise ValueError("another log")
            fold.state = dict(record["state"])
            for key in fold.state:
                fold._alike.setdefault(key.partition("/")[0], {})[key] = None
            if not all(fits(key, value) for key, value in fold.state.items()):
                raise ValueError("it holds something else")
            fold.histories = {
                scope: History(*([(what, _pairs(changes)) for what, changes in stack] for stack in stacks))
                for scope, stacks in record["histories"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise FormatError("The snapshot is not of this log.") from error
        return fold


def _pairs(changes: Mapping[str, Any]) -> Changes:
    return {key: (before, after) for key, (before, after) in changes.items()}


def _forgotten(given: Any) -> str | frozenset[str] | None:  # noqa: ANN401  (any JSON value)
    if given is None or isinstance(given, str):
        return given
    if not isinstance(given, list) or not all(isinstance(key, str) for key in given):
        raise TypeError("another kind of keys")
    return frozenset(given)


def _without(changes: Changes, keys: frozenset[str]) -> Changes:
    return {key: values for key, values in changes.items() if key not in keys}
