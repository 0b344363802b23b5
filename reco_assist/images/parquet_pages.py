"""Where the pages of a Parquet column are and how large they become, before Arrow takes memory for them.

Arrow does not compare what the footer says of pages with their own headers, and ends the process over some
damaged footers that it is only asked about. Fields: https://github.com/apache/parquet-format
"""

import errno
from dataclasses import dataclass
from typing import Any, BinaryIO

from reco_assist.errors import reason
from reco_assist.images.thrift import CutShortError, StructReader

_MAGIC = b"PAR1"
_LARGEST_FOOTER = 1 << 26
_LARGEST_HEADER = 1 << 20
_USUAL_HEADER = 1 << 10
_FOOTER = {4: [{1: [{3: {3: [True], 5: True, 7: True, 9: True, 11: True}}], 3: True}]}
_PAGE = {2: True, 3: True, 5: {2: True}, 8: {4: True}}
_PREFIXES = 7  # DELTA_BYTE_ARRAY: a few bytes stand for a value as long as the one before


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a column in a row group.

    Attributes:
        rows: Of the row group.
        values: Of the column, as its footer says.
        start: Offset of the first page.
        length: Bytes of all pages as they lie in the file.
    """

    rows: int
    values: int
    start: int
    length: int


def row_groups(file: BinaryIO, size: int) -> list[dict[int, Any]]:
    """What the footer says of the row groups: it is bounded and sound when this returns.

    Args:
        file: A Parquet file.
        size: Its bytes.

    Raises:
        OSError: The footer is damaged, or too large.
    """
    try:
        return list(StructReader(_footer(file, size)).struct(_FOOTER).get(4, []))
    except ValueError as error:
        raise OSError(errno.EIO, f"it is damaged ({reason(error)})") from error


def pages_of(groups: list[dict[int, Any]], size: int, column: tuple[str, ...]) -> list[Pages]:
    """The pages of a column, by row group.

    Args:
        groups: Of `row_groups`.
        size: Bytes of the file.
        column: Names on the way to it.

    Raises:
        OSError: The footer does not say where they are.
    """
    name = [one.encode() for one in column]
    try:
        return [_pages(group, name, size) for group in groups]
    except ValueError as error:
        raise OSError(errno.EIO, f"it is damaged ({reason(error)})") from error


def unpacked_size(file: BinaryIO, pages: Pages) -> int:
    """Bytes that pages take in memory, by their own headers.

    Raises:
        OSError: A header is damaged, or its page is written so that no size can be told from it.
    """
    total, at = 0, pages.start
    try:
        while at < pages.start + pages.length:
            header, length = _header(file, at)
            packed, unpacked = header.get(3), header.get(2)
            if not isinstance(packed, int) or not isinstance(unpacked, int) or min(packed, unpacked) < 0:
                raise ValueError(f"the page at byte {at:,} has no size")
            if _PREFIXES in (header.get(5, {}).get(2), header.get(8, {}).get(4)):
                raise OSError(
                    errno.EINVAL, "its images are encoded by their differences; write it with plain values"
                )
            total += unpacked
            at += length + packed
    except ValueError as error:
        raise OSError(errno.EIO, f"it is damaged ({reason(error)})") from error
    return total


def _footer(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - 8))
    length, magic = file.read(4), file.read(4)
    footer = int.from_bytes(length, "little")
    if magic != _MAGIC or footer > size - 8:
        raise ValueError("it has no footer")
    if footer > _LARGEST_FOOTER:
        raise ValueError("its footer is larger than 64 MiB")
    file.seek(size - 8 - footer)
    return file.read(footer)


def _pages(group: dict[int, Any], name: list[bytes], size: int) -> Pages:
    columns: list[dict[int, Any]] = [one.get(3, {}) for one in group.get(1, [])]
    column = next((one for one in columns if one.get(3) == name), {})
    starts = [one for one in (column.get(11), column.get(9)) if isinstance(one, int) and one > 0]
    rows, values, length = group.get(3), column.get(5), column.get(7)
    numbers = [one for one in (rows, values, length) if isinstance(one, int) and one >= 0]
    if len(numbers) < 3 or not starts or min(starts) + numbers[2] > size:
        raise ValueError("a row group does not say where its images are")
    return Pages(numbers[0], numbers[1], min(starts), numbers[2])


def _header(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """A page's header and its bytes; statistics may make it long."""
    size = _USUAL_HEADER
    while True:
        file.seek(at)
        data = file.read(size)
        reader = StructReader(data)
        try:
            return reader.struct(_PAGE), reader.at
        except CutShortError:
            if size >= _LARGEST_HEADER or len(data) < size:
                raise
            size = _LARGEST_HEADER
