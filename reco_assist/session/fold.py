"""The fold of a session's log: what all changes so far come to, with what can be undone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Any, Self

from reco_assist.errors import FormatError

Changes = dict[str, tuple[Any, Any]]
"""Values before and after by key; None stands for no value."""


@dataclass(slots=True)
class History:
    """What can be undone and redone in one scope, the latest last; it reaches as far back as the log."""

    done: list[tuple[str, Changes]] = field(default_factory=list)
    undone: list[tuple[str, Changes]] = field(default_factory=list)


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

    def add(self, event: Any, line: bytes) -> None:  # noqa: ANN401  (any JSON value)
        """Fold a line in.

        Args:
            event: Its JSON value.
            line: Its bytes, with their end.

        Raises:
            FormatError: It is no change, or none that can follow the earlier ones; nothing was folded in.
        """
        try:
            changes = _pairs(event["changes"])
            what, at, scope = str(event["what"]), str(event["at"]), event["scope"]
            move, forget = event.get("move"), event.get("forget")
            stack = self._taken(scope, move)
            if not isinstance(forget, str | None):
                raise TypeError("another kind of scope")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise FormatError("A line of the log is no change that can follow those before it.") from error
        for key, (_, after) in changes.items():
            alike = self._alike.setdefault(key.partition("/")[0], {})
            if after is None:
                self.state.pop(key, None)
                alike.pop(key, None)
            else:
                self.state[key] = after
                alike[key] = None
        self.count, self.last = self.count + 1, at
        self._hash.update(line)
        if forget:
            self.histories.pop(forget, None)
        if scope is not None:
            if stack is not None:
                stack.pop()
            self._remember(scope, move, what, changes)

    def _taken(self, scope: str | None, move: str | None) -> list[tuple[str, Changes]] | None:
        """What a move takes its change from; None of a change that is no move."""
        if not isinstance(scope, str | None) or move not in {None, "undo", "redo"}:
            raise TypeError("another kind of scope or move")
        if scope is None or move is None:
            return None
        history = self.histories[scope]
        stack = history.done if move == "undo" else history.undone
        stack[-1]  # IndexError: nothing to take back
        return stack

    def _remember(self, scope: str, move: str | None, what: str, changes: Changes) -> None:
        history = self.histories.setdefault(scope, History())
        if move is None:
            history.undone.clear()
        (history.undone if move == "undo" else history.done).append((what, changes))

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
            fold.histories = {
                scope: History(*([(what, _pairs(changes)) for what, changes in stack] for stack in stacks))
                for scope, stacks in record["histories"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise FormatError("The snapshot is not of this log.") from error
        return fold


def _pairs(changes: Mapping[str, Any]) -> Changes:
    return {key: (before, after) for key, (before, after) in changes.items()}
