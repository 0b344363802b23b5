"""A decoding process: reads, hashes, decodes and resizes one image after the other.

It is started by `reco_assist.archive.decoding` and speaks over its standard input and output. A request is
one line of JSON: a path to read and hash, with what is known of it (`Note`), or null to decode what was
read last. A reply is one line of JSON
and, after decoding, the pixels and the thumbnail. Two steps, because most hashes of a moved folder are known
and need no decoding. This module must import neither torch nor Lance: it starts in a fraction of a second.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from reco_assist.errors import ImageError
from reco_assist.images import (
    MemoryShortError,
    Note,
    content_hash,
    decode,
    note,
    read_bytes,
    squash,
    thumbnail,
)
from reco_assist.json_files import json_line, parse_json


def main() -> None:
    """Serve the process that started this one until it closes our input, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not break the protocol
    side = int(sys.argv[1])
    _send(replies, {"ready": True})
    data = b""
    for line in sys.stdin.buffer:
        request = parse_json(line, "A request to a decoding process")
        try:
            if request is None:
                _send_pixels(replies, data, side)
            else:
                data = _read(*request)
                _send(replies, {"hash": content_hash(data)})
        except ImageError as error:
            _send(replies, {"error": str(error), "passing": isinstance(error, MemoryShortError)})


def _read(path: str, known: tuple[int, int, int | None] | None) -> bytes:
    if known is not None:
        note(Path(path), Note(*known))
    return read_bytes(Path(path))


def _send_pixels(replies: BinaryIO, data: bytes, side: int) -> None:
    decoded = decode(data, reduce_to=2 * side)
    pixels = squash(decoded.pixels, side).tobytes()  # side * side * 3
    preview = thumbnail(decoded.pixels)
    _send(
        replies,
        {"width": decoded.width, "height": decoded.height, "thumbnail": len(preview)},
        pixels,
        preview,
    )


def _send(replies: BinaryIO, header: Mapping[str, object], *parts: bytes) -> None:
    replies.write(json_line(header))
    for part in parts:
        replies.write(part)
    replies.flush()
