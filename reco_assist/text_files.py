"""Text that anybody may have written: packed by gzip or not, in the Unicode form that its first bytes say."""

import json
import zlib
from pathlib import Path

from reco_assist.errors import FormatError, InputError, reason
from reco_assist.files import read_bounded

_MOST = 4 << 30  # bytes of a file, packed or not; a million masks have half of one
_GZIP = b"\x1f\x8b"


def read_plain(path: Path) -> bytes:
    """The bytes of a file, unpacked where gzip has packed it.

    Raises:
        InputError: There is no such file, or it cannot be read.
        FormatError: It is packed and damaged, or too large.
    """
    try:
        data = read_bounded(path, _MOST)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({reason(error)}): check its name") from error
    if not data.startswith(_GZIP):
        return data
    try:
        unpacker = zlib.decompressobj(wbits=31)
        unpacked = unpacker.decompress(data, _MOST)
    except zlib.error as error:
        raise FormatError(f"{path} cannot be unpacked ({reason(error)}): copy it anew") from error
    if not unpacker.eof:
        raise FormatError(f"{path} is cut short, or has more than {_MOST >> 30} GiB: copy it anew")
    return unpacked


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, UTF-16 or UTF-32, with or without a mark, packed by gzip or not.

    Raises:
        InputError: There is no such file, or it cannot be read.
        FormatError: It is no such text.
    """
    data = read_plain(path)
    try:
        return data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is no text in UTF-8 or UTF-16: save it as UTF-8") from error
