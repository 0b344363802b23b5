"""JSON on disk and from elsewhere: one parser that never overflows, and logs of one line for each record."""

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from reco_assist.errors import FormatError, StorageError, reason
from reco_assist.files import read_bounded
from reco_assist.safe_paths import storage_error, unlinked

_LARGEST_NUMBER = sys.float_info.max
_LONGEST = 256 << 20  # bytes of a line of a log


def parse_json(data: bytes | str, what: object, *, finite: bool = False) -> Any:  # noqa: ANN401  (any JSON value)
    """The value of a JSON text that anybody may have written.

    Args:
        data: The text; bytes in UTF-8, UTF-16 or UTF-32.
        what: What it is, as the user knows it, for the error.
        finite: Refuse numbers that are infinite or none, which Python's parser lets in.

    Raises:
        FormatError: It is no JSON, or nested too deeply to be a file of any use.
    """
    try:
        with _no_collection():
            return (
                json.loads(data, parse_float=_finite, parse_constant=_finite) if finite else json.loads(data)
            )
    except RecursionError:
        raise FormatError(f"{what} is nested too deeply; give a file that a tool wrote.") from None
    except ValueError as error:
        said = reason(error, 80)
        raise FormatError(f"{what} is no valid JSON ({said}); restore it, or write it again.") from None


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without Python's search for cycles, of which JSON has none: a third of the time of a large file."""
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


def read_json(path: Path, most: int) -> Any:  # noqa: ANN401  (any JSON value)
    """The value of a JSON file that anybody may have written.

    Args:
        path: Of the file.
        most: Bytes that it may have.

    Raises:
        FormatError: It is no JSON, or too large; see `files.read_bounded`.
        OSError: It is missing, or cannot be read.
    """
    return parse_json(read_bounded(path, most), path)


def text(value: object) -> str:
    """A JSON value that has to be a text.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, str):
        raise ValueError(f"{_cut(value)} is no text")
    return value


def number(value: object) -> float:
    """A JSON value that has to be a finite number.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST_NUMBER:
        raise ValueError(f"{_cut(value)} is no number")
    return float(value)


def whole(value: object) -> int:
    """A JSON value that has to be a whole number, not below 0.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_NUMBER:
        raise ValueError(f"{_cut(value)} is no whole number")
    return value


def json_line(record: object) -> bytes:
    """A record as one line of JSON in ASCII, with its end.

    Raises:
        ValueError: It holds a number that JSON does not have.
    """
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"


class JsonLog:
    """A file of one line for each record, for one writer: hold `locks.only_writer` where there may be two.

    A record is on disk when `append` returns. A last line without an end was cut short by a kill or by a full
    disk: it was never acknowledged, is not read, and is cut off before the next record.

    Args:
        path: Its folder must exist; the file is made by the first record.
        head: The first line, with its end; a file that begins otherwise counts as empty, and is replaced by
            the first record.

    Raises:
        StorageError: The path leads through a link; see `safe_paths.unlinked`.
        FormatError: A line is longer than any of ours.
        OSError: The file is there and cannot be read.
    """

    def __init__(self, path: Path, head: bytes = b"") -> None:
        self.path = unlinked(path)
        self._head = head
        self._ends = [len(head)]
        if not path.is_file():
            return
        with path.open("rb") as file:
            if file.read(len(head)) != head:
                return
            while line := file.readline(_LONGEST + 1):
                if len(line) > _LONGEST:
                    raise FormatError(
                        f"A line of {path} is longer than {_LONGEST >> 20} MiB, which none of ours is; "
                        "restore it from a copy."
                    )
                if line.endswith(b"\n"):
                    self._ends.append(self._ends[-1] + len(line))

    def __len__(self) -> int:
        """Number of records."""
        return len(self._ends) - 1

    def append(self, *lines: bytes) -> None:
        """Add records, each with its end (see `json_line`). Of none, the file is made.

        After an error none of them is there; a kill, or a power cut, may leave the first of them.

        Raises:
            StorageError: They cannot be written, or read again; what was there stays.
        """
        if any(len(line) > _LONGEST for line in lines):
            raise StorageError(
                f"Cannot write {self.path}: a line of more than {_LONGEST >> 20} MiB could not be read "
                "again; do less at once."
            )
        unlinked(self.path)
        try:
            # Unbuffered: a buffer that a full disk did not take would hinder cutting the file back.
            # A file that holds records and is gone is not begun anew: they would be missing in it.
            with self.path.open("r+b" if len(self) or self.path.exists() else "w+b", buffering=0) as file:
                if not len(self):
                    _write(file, self._head)
                elif file.seek(0, os.SEEK_END) < self._ends[-1]:
                    raise StorageError(
                        f"Cannot write {self.path}: something else cut it; restore it from a copy."
                    )
                file.seek(self._ends[-1])
                file.truncate()
                try:
                    _write(file, b"".join(lines))
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(self._ends[-1])
                    raise
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise storage_error(self.path, error) from error
        for line in lines:
            self._ends.append(self._ends[-1] + len(line))

    def cut(self, count: int) -> None:
        """Keep the first records only; the file is cut by the next `append`."""
        del self._ends[count + 1 :]

    def records(self, damaged: Callable[[str], None] | None = None) -> Iterator[Any]:
        """All records, read from disk one at a time.

        Args:
            damaged: Told of each line that is no JSON, which is then left out.

        Raises:
            FormatError: A line is no JSON, and nobody is to be told.
        """
        for number, line in enumerate(self.lines(), 1 + bool(self._head)):
            try:
                yield parse_json(line, f"Line {number} of {self.path}", finite=True)
            except FormatError as error:
                if damaged is None:
                    raise
                damaged(str(error))

    def lines(self, start: int = 0) -> Iterator[bytes]:
        """The records from a number on as they are on disk, each with its end, read one at a time."""
        if len(self) <= start:
            return
        with self.path.open("rb") as file:
            file.seek(self._ends[start])
            for _ in range(start, len(self)):
                yield file.readline()


def _cut(value: object) -> str:
    simple = value is None or isinstance(value, str | float | bool | int)
    return repr(value)[:60] if simple else f"a {type(value).__name__}"


def _finite(digits: str) -> float:
    value = float(digits)
    if not abs(value) <= _LARGEST_NUMBER:
        raise ValueError(f"the number {digits[:20]}")
    return value


def _write(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
