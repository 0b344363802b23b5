"""How large the pages of a Parquet column become, by their headers, before Arrow takes memory for them.

What the file's footer says of it is not compared with the pages by Arrow. Headers are structs of Thrift's
compact protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Callable
from typing import Any, BinaryIO

_MAX_DEPTH = 4
_MAX_TEXT = 1 << 20  # bytes of statistics in a header
_DATA, _DATA_V2, _UNPACKED, _PACKED = 5, 8, 2, 3  # fields of a page header
_ENCODING = {_DATA: 2, _DATA_V2: 4}  # field of the encoding, by the kind of page
_PREFIXES = 7  # DELTA_BYTE_ARRAY: a few bytes stand for a value as long as the one before


def unpacked_size(file: BinaryIO, start: int, length: int) -> int:
    """Bytes that the pages of a column take in memory.

    Args:
        file: Of the column.
        start: Offset of its first page.
        length: Bytes of all its pages as they lie in the file.

    Raises:
        ValueError: A header is damaged, or its page is written so that no size can be told from it.
    """
    total, at = 0, start
    while at < start + length:
        file.seek(at)
        reader = _Header(file)
        header = reader.struct()
        packed, unpacked = header.get(_PACKED), header.get(_UNPACKED)
        if not isinstance(packed, int) or not isinstance(unpacked, int) or min(packed, unpacked) < 0:
            raise ValueError(f"the page at byte {at:,} has no size")
        for kind, field in _ENCODING.items():
            if isinstance(page := header.get(kind), dict) and page.get(field) == _PREFIXES:
                raise ValueError("its images are encoded by their differences; write it with plain values")
        total += unpacked
        at += reader.bytes + packed
    return total


class _Header:
    """One struct, and the bytes that it took."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Values by the number of their field; of what is of no use here, None."""
        if depth > _MAX_DEPTH:
            raise ValueError("a page's header is nested too deeply")
        found: dict[int, Any] = {}
        field = 0
        while kind := self._read(1)[0]:
            field = field + (kind >> 4) if kind >> 4 else self._number()
            found[field] = self._value(kind & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:  # noqa: ANN401
        readers: dict[int, Callable[[], Any]] = {
            1: lambda: True,
            2: lambda: False,
            3: lambda: self._read(1),
            4: self._number,
            5: self._number,
            6: self._number,
            7: lambda: self._read(8),
            8: lambda: self._read(self._unsigned()),
            12: lambda: self.struct(depth + 1),
        }
        if kind not in readers:  # lists and maps are in no page's header
            raise ValueError("a page's header is damaged")
        return readers[kind]()

    def _number(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._read(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a page's header holds a number without end")

    def _read(self, size: int) -> bytes:
        if size > _MAX_TEXT:
            raise ValueError("a page's header is larger than 1 MiB")
        data = self._file.read(size)
        if len(data) < size:
            raise ValueError("a page's header is cut short")
        self.bytes += size
        return data
