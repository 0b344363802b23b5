"""Structs of Thrift's compact protocol: Parquet's headers are such, and may be anybody's.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Mapping
from typing import Any

_DEEPEST = 12
_TRUE, _FALSE, _BYTE, _DOUBLE, _TEXT, _STRUCT = 1, 2, 3, 7, 8, 12
_NUMBERS, _LISTS = (4, 5, 6), (9, 10)


class CutShortError(ValueError):
    """A struct that goes on behind the data."""


class StructReader:
    """Reads structs out of bytes, and of them only what is wanted.

    Args:
        data: The bytes.
        at: Where the struct begins.
    """

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    def struct(self, wanted: Mapping[int, Any], depth: int = 0) -> dict[int, Any]:
        """Values by the number of their field.

        Args:
            wanted: Numbers of fields; with True for a number or a text, with such a table for a struct, and
                in a list of one for a list.
            depth: How many structs it lies in.

        Raises:
            ValueError: It is damaged, or another kind of value stands in a field.
        """
        if depth > _DEEPEST:
            raise ValueError("a header is nested too deeply")
        found: dict[int, Any] = {}
        field = 0
        while kind := self._byte():
            field = field + (kind >> 4) if kind >> 4 else self._number()
            value = self._value(kind & 15, wanted.get(field), depth)
            if field in wanted:
                found[field] = value
        return found

    def _value(self, kind: int, wanted: Any, depth: int) -> Any:  # noqa: ANN401
        if kind in _LISTS:
            return self._list(wanted, depth)
        if (wanted and isinstance(wanted, Mapping) != (kind == _STRUCT)) or isinstance(wanted, list):
            raise ValueError("a header holds another kind of value than it should")
        if kind == _STRUCT:
            return self.struct(wanted or {}, depth + 1)
        if kind in _NUMBERS:
            return self._number()
        if kind == _TEXT:
            return self._bytes(self._unsigned())
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind in (_BYTE, _DOUBLE):
            return self._bytes(1 if kind == _BYTE else 8)
        raise ValueError("a header is damaged")  # maps are in none of Parquet's

    def _list(self, wanted: Any, depth: int) -> list[Any]:  # noqa: ANN401
        if wanted and not isinstance(wanted, list):
            raise ValueError("a header holds a list where it should not")
        if depth > _DEEPEST:
            raise ValueError("a header is nested too deeply")
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._unsigned()
        if count > len(self._data) - self.at:  # each takes a byte at least
            raise CutShortError("a header is cut short")
        one = wanted[0] if wanted else None
        if count and isinstance(one, Mapping) != (kind == _STRUCT) and one:
            raise ValueError("a header holds a list of another kind than it should")
        if kind in (_TRUE, _FALSE):  # which are bytes in lists
            return [self._byte() for _ in range(count)]
        values = (self._value(kind, one, depth + 1) for _ in range(count))
        return [value for value in values if wanted]

    def _number(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a header holds a number without end")

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise CutShortError("a header is cut short")
        self.at += 1
        return self._data[self.at - 1]

    def _bytes(self, size: int) -> bytes:
        if size > len(self._data) - self.at:
            raise CutShortError("a header is cut short")
        self.at += size
        return self._data[self.at - size : self.at]
