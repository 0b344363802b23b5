"""JSON that grows record by record, and numbers that depend on content alone."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from reco_assist.files import atomic_write
from reco_assist.formats.plain import PARTS


def dumps(value: object) -> str:
    """The one way in which exports write JSON: compact, ASCII, no NaN."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def write_array(file: BinaryIO, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records as a JSON array, one at a time; the bytes are those of `dumps` of their list."""
    separator = b"["
    for record in records:
        file.write(separator + dumps(record).encode())
        separator = b","
    file.write(b"[]" if separator == b"[" else b"]")


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a COCO document whose images and annotations may be made while they are written.

    Raises:
        StorageError: The file cannot be written; what was there stays.
    """
    with atomic_write(path) as file:
        separator = b"{"
        for key, value in document.items():
            file.write(separator + dumps(key).encode() + b":")
            separator = b","
            if key in PARTS:
                write_array(file, value)
            else:
                file.write(dumps(value).encode())
        file.write(b"}")


class Numbers:
    """Hands out whole numbers for contents: the same contents in the same order give the same numbers.

    They have 52 bits, so that readers which keep numbers as float64 (JavaScript, pandas) keep them whole, and
    are never 0, which COCO's evaluation takes for "none". Where a number is taken the hash is hashed on; for
    that all numbers given out are remembered, some 70 bytes each.
    """

    def __init__(self) -> None:
        self._taken: set[int] = {0}

    def take(self, *content: object) -> int:
        """A number for some content that this object has not given out before."""
        digest = sha256(dumps(content).encode()).digest()
        while (number := int.from_bytes(digest[:8], "big") >> 12) in self._taken:
            digest = sha256(digest).digest()
        self._taken.add(number)
        return number
