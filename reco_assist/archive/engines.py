"""What reads and encodes the files of an `add`: this process and its helpers, or a Ray cluster.

An engine examines files in the order of the listing and may work ahead; what becomes of each is decided by
`reco_assist.archive.ingest`, for every engine alike.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from reco_assist.archive.decoding import DecodedFile, DecodePool, DecodeProcess, DecoderCrashError
from reco_assist.archive.table import Vectors
from reco_assist.encoders.batches import encode_within_memory
from reco_assist.encoders.compact import compact_cells
from reco_assist.encoders.protocols import Encoder
from reco_assist.errors import ImageError, reason
from reco_assist.images import (
    MemoryShortError,
    Shard,
    address,
    is_remote,
    is_shard,
    note,
    open_shard,
    status,
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image that is encoded already.

    Attributes:
        vectors: What is kept of it for search; n = 1.
        width: Pixels of the full frame, EXIF orientation applied.
        height: Pixels of the full frame, EXIF orientation applied.
        thumbnail: A small JPEG.
    """

    vectors: Vectors
    width: int
    height: int
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found in a file.

    Attributes:
        path: The file, absolute; or where else the image lies, see `images.places`.
        bytes: Its size; 0 of a row of a Parquet file.
        mtime_ns: Time of its last change, in nanoseconds.
        content_hash: SHA-256 of its bytes; None where it cannot be read.
        picture: The decoded image, if its content is new and still to be encoded.
        encoded: The encoded image, if its content is new and the engine encodes while it examines.
        reason: Why the file cannot be used, if it cannot.
    """

    path: Path
    bytes: int = 0
    mtime_ns: int = 0
    content_hash: str | None = None
    picture: DecodedFile | None = None
    encoded: Encoded | None = None
    reason: str | None = None


class Known(Protocol):
    """Which files are known; the ledger of an archive."""

    def lookup(self, path: str, size: int, mtime_ns: int) -> tuple[str | None, str | None] | None:
        """Content hash and reason of rejection of a file that was read before and looks the same; or None."""

    def holds(self, content_hash: str) -> bool:
        """Whether there is an image with this content."""


class KnownImages(Known, Protocol):
    """All that is known."""

    def hashes(self) -> Sequence[str]:
        """Content hashes of all images."""


class Engine(Protocol):
    """What examines and encodes files."""

    @property
    def encoder_name(self) -> str:
        """Name of the encoder, for messages."""

    def examine(self, listing: Iterator[Path], known: KnownImages) -> Generator[Examined]:
        """What is found in each file and each image of a shard, in the order of the listing.

        Closing it ends the work.
        """

    def encode(self, images: Sequence[Examined]) -> Vectors:
        """What is kept of new images for search, in their order."""


class LocalEngine:
    """Decoding processes beside the model in this process.

    Args:
        encoder: The model.
        workers: Decoding processes.
        ahead: Files that are examined before they are asked for, so that the model need not wait.
    """

    def __init__(self, encoder: Encoder, *, workers: int, ahead: int) -> None:
        self._encoder = encoder
        self._workers = workers
        self._ahead = ahead

    @property
    def encoder_name(self) -> str:
        """Name of the encoder."""
        return self._encoder.name

    def examine(self, listing: Iterator[Path], known: KnownImages) -> Generator[Examined]:
        """See `Engine`."""

        def work(process: Callable[[], DecodeProcess], path: Path) -> Examined:
            return examine(process, path, known)

        waiting: deque[tuple[Path, Future[Examined]]] = deque()
        with DecodePool(side=self._encoder.input_size, workers=self._workers) as pool:
            for found in _opened(listing):
                if isinstance(found, Path):
                    waiting.append((found, pool.submit(work, found)))
                else:
                    waiting.append((found.path, _done(found)))
                if len(waiting) >= self._ahead:
                    yield outcome(*waiting.popleft())
            while waiting:
                yield outcome(*waiting.popleft())

    def encode(self, images: Sequence[Examined]) -> Vectors:
        """See `Engine`."""
        pictures = [one.picture for one in images if one.picture is not None]
        pixels = torch.from_numpy(np.stack([picture.pixels for picture in pictures]))  # (B, S, S, 3)
        return encode_vectors(self._encoder, pixels.permute(0, 3, 1, 2).contiguous())


def examine(process: Callable[[], DecodeProcess], path: Path, known: Known) -> Examined:
    """Look at a file, read it unless it is known, and decode it if its content is new.

    Runs beside the main thread and only reads what is known.
    """
    examined = Examined(path)
    try:
        str(path).encode()
        examined = look(path)
        before = known.lookup(address(path), examined.bytes, examined.mtime_ns)
        if before is not None:
            examined = replace(examined, content_hash=before[0], reason=before[1])
            if before[1] is not None or (before[0] is not None and known.holds(before[0])):
                return examined
        content_hash = process().hash(path)
        examined = replace(examined, content_hash=content_hash)
        if not known.holds(content_hash):
            examined = replace(examined, picture=process().decode())
    except UnicodeEncodeError:
        return replace(examined, reason="Its name is not valid UTF-8; rename it.")
    except MemoryShortError as error:
        return Examined(path, reason=str(error))  # without its size and time, it is looked at again
    except (OSError, ImageError) as error:
        return replace(examined, reason=str(error))
    return examined


def outcome(path: Path, future: "Future[Examined]") -> Examined:
    """What `examine` found in a thread of a pool, or that the file kills decoders."""
    try:
        return future.result()
    except DecoderCrashError as error:
        return replace(look(path), reason=str(error))


def look(path: Path) -> Examined:
    """Size and time of a file.

    Raises:
        ImageError: It cannot be looked at.
    """
    try:
        found = status(path)
    except OSError as error:
        raise ImageError(f"{address(path)} cannot be read: {reason(error)}.") from error
    return Examined(path, found.bytes, found.mtime_ns)


def examine_shard(path: Path) -> tuple[Shard, Examined | None]:
    """What a shard holds, and what is wrong with it; a damaged one has the images before the damage."""
    try:
        shard = open_shard(path)
    except ImageError as error:
        return Shard(()), Examined(path, reason=str(error))
    return shard, None if shard.fault is None else Examined(path, reason=shard.fault)


def _opened(listing: Iterator[Path]) -> Iterator[Path | Examined]:
    """Files, the images of shards, and what is wrong with shards."""
    for path in listing:
        if not is_shard(path):
            yield path
            continue
        shard, fault = examine_shard(path)
        for member, said in shard.members:
            if is_remote(member):  # of a shard here the list is kept itself
                note(member, said)
            yield member
        if fault is not None:
            yield fault


def _done(examined: Examined) -> "Future[Examined]":
    future: Future[Examined] = Future()
    future.set_result(examined)
    return future


@torch.inference_mode()
def encode_vectors(encoder: Encoder, pixels: Tensor) -> Vectors:
    """What the table keeps of a batch of images.

    Args:
        encoder: What encodes them.
        pixels: (B, 3, S, S) uint8 RGB.
    """
    features = encode_within_memory(encoder, pixels)
    embedding = features.embedding.half().cpu().numpy()  # (B, E)
    return Vectors(embedding, compact_cells(features, encoder.mean_language, encoder.vocabulary))
