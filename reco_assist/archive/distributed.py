"""Reading and encoding on a Ray cluster.

Workers decode and encode; the process that called `add` alone decides what is new and writes the table, in
the order of the listing. So duplicates are found, a killed run goes on like a local one, and the archive
needs no shared disk. An image's row is some 10 KB: one writer keeps up with thousands of images a second.
"""

import json
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import astuple, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reco_assist.archive.decoding import DecodePool, DecodeProcess
from reco_assist.archive.engines import (
    Encoded,
    Examined,
    Known,
    KnownImages,
    encode_vectors,
    examine,
    examine_shard,
    look,
    outcome,
)
from reco_assist.archive.table import Vectors
from reco_assist.cluster import Cluster, worker_errors
from reco_assist.encoders import Codes, CompactCells, Encoder
from reco_assist.encoders.batches import pixels_of
from reco_assist.errors import ImageError
from reco_assist.images import Note, Shard, address, allow_stores, allowed_stores, hint, is_shard, note

_WINDOW = 100_000  # paths in memory at once
_BATCH = 32
_SHARDS_AHEAD = 16
_PREFIX = 32  # hexadecimal digits of content hashes that workers compare: 128 bits

_VECTORS = ("embedding", "language_bits", "language_factors", "dense_bits", "dense_factors")

_Columns = dict[str, Any]


class RayEngine:
    """See `Engine`.

    Args:
        cluster: Where the work is done.
        encoder_name: Name of the encoder.
        weights: SHA-256 of its weights.
        side: Its input side.
    """

    def __init__(self, cluster: Cluster, encoder_name: str, weights: str, *, side: int) -> None:
        self._cluster = cluster
        self._make = cluster.factory(encoder_name, weights)
        self._side = side
        self.encoder_name = encoder_name

    def examine(self, listing: Iterator[Path], known: KnownImages) -> Generator[Examined]:
        """See `Engine`. Files that look as they did when they were read are not sent to the cluster."""
        opened = self._opened(listing)
        while window := list(islice(opened, _WINDOW)):
            settled = {
                number: found
                for number, one in enumerate(window)
                if (found := one if isinstance(one, Examined) else _settled(one, known))
            }
            rows = [
                {"number": number, "path": str(path), "note": _told(path)}
                for number, path in enumerate(window)
                if isinstance(path, Path) and number not in settled
            ]
            number = 0
            for found_number, found in self._on_cluster(rows, known) if rows else ():
                yield from (settled[i] for i in range(number, found_number))
                yield found
                number = found_number + 1
            yield from (settled[i] for i in range(number, len(window)))

    def encode(self, images: Sequence[Examined]) -> Vectors:
        """Join what the workers made of each image."""
        rows = [_arrays(one.encoded.vectors) for one in images if one.encoded is not None]
        embedding, *codes = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        return Vectors(embedding, CompactCells(Codes(codes[0], codes[1]), Codes(codes[2], codes[3])))

    def _opened(self, listing: Iterator[Path]) -> Iterator[Path | Examined]:
        """Files, the images of shards, and what is wrong with shards. Workers open these, some ahead."""
        waiting: deque[tuple[Path, Any]] = deque()
        for path in listing:
            if is_shard(path):
                ray = self._cluster.connect()
                waiting.append((path, ray.remote(_examine_shard).remote(path, allowed_stores())))
            else:
                waiting.append((path, None))
            if len(waiting) > _SHARDS_AHEAD:
                yield from self._arrived(*waiting.popleft())
        while waiting:
            yield from self._arrived(*waiting.popleft())

    def _arrived(self, path: Path, opening: Any) -> Iterator[Path | Examined]:  # noqa: ANN401  (an ObjectRef)
        if opening is None:
            yield path
            return
        ray = self._cluster.connect()
        with worker_errors(ray):
            shard, fault = ray.get(opening)
        for member, said in shard.members:
            note(member, said)
            yield member
        if fault is not None:
            yield fault

    def _on_cluster(self, rows: list[dict[str, Any]], known: KnownImages) -> Iterator[tuple[int, Examined]]:
        ray = self._cluster.connect()
        decoding, encoding = self._cluster.workers(ray)
        hashes = np.sort(np.array([value[:_PREFIX] for value in known.hashes()], f"S{_PREFIX}"))
        data = ray.data.from_items(rows, override_num_blocks=max(1, len(rows) // _BATCH))
        data = data.map_batches(
            Decoding,
            fn_constructor_args=(self._side, ray.put(hashes), allowed_stores()),
            batch_size=_BATCH,
            batch_format="numpy",
            **decoding,
        ).map_batches(
            Encoding, fn_constructor_args=(self._make,), batch_size=None, batch_format="numpy", **encoding
        )
        with worker_errors(ray):
            for batch in data.iter_batches(batch_size=None, batch_format="numpy"):
                yield from _examined(batch)


class Decoding:
    """A worker that reads and decodes; an image that kills the decoder is reported, and the worker lives on.

    Args:
        side: Side S in pixels of the square that images are resized to.
        hashes: Ray reference to the sorted beginnings of the content hashes of known images.
        stores: What may be opened; see `allow_stores`.
    """

    def __init__(self, side: int, hashes: Any, stores: Sequence[str]) -> None:  # noqa: ANN401  (an ObjectRef)
        import ray  # noqa: PLC0415  (an extra; a worker has it)

        allow_stores(*stores)
        self._side = side
        self._known = _Hashes(ray.get(hashes))
        self._pool = DecodePool(side=side, workers=1)

    def __call__(self, batch: _Columns) -> _Columns:
        """Examine files; those without new content have black pixels and no thumbnail."""
        paths = [Path(str(path)) for path in batch["path"]]
        for path, told in zip(paths, batch["note"], strict=True):
            if told:
                note(path, Note(*json.loads(str(told))))
        futures = [self._pool.submit(self._work, path) for path in paths]
        found = [outcome(path, future) for path, future in zip(paths, futures, strict=True)]
        black = np.zeros((self._side, self._side, 3), np.uint8)
        pictures = [one.picture for one in found]
        return {
            "number": batch["number"],
            "path": batch["path"],
            "bytes": np.array([one.bytes for one in found], np.int64),
            "mtime_ns": np.array([one.mtime_ns for one in found], np.int64),
            "hash": np.array([one.content_hash or "" for one in found]),
            "reason": np.array([one.reason or "" for one in found]),
            "new": np.array([picture is not None for picture in pictures]),
            "width": np.array([picture.width if picture else 0 for picture in pictures]),
            "height": np.array([picture.height if picture else 0 for picture in pictures]),
            "thumbnail": np.array([picture.thumbnail if picture else b"" for picture in pictures], object),
            "pixels": np.stack(
                [picture.pixels if picture else black for picture in pictures]
            ),  # (B, S, S, 3)
        }

    def _work(self, process: Callable[[], DecodeProcess], path: Path) -> Examined:
        return examine(process, path, self._known)


class Encoding:
    """A worker that holds the encoder.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], Encoder]) -> None:
        self._encoder = make()
        size = self._encoder.input_size
        self._blank = encode_vectors(self._encoder, torch.full((1, 3, size, size), 128, dtype=torch.uint8))

    def __call__(self, batch: _Columns) -> _Columns:
        """Replace the pixels of new images by what the table keeps of them; of others it is zeros."""
        pixels, new = batch.pop("pixels"), batch["new"]
        columns = [np.zeros((len(new), *part.shape[1:]), part.dtype) for part in _arrays(self._blank)]
        if new.any():
            vectors = encode_vectors(self._encoder, pixels_of(list(pixels[new])).contiguous())
            for column, part in zip(columns, _arrays(vectors), strict=True):
                column[new] = part
        return {**batch, **dict(zip(_VECTORS, columns, strict=True))}


class _Hashes:
    """What a worker knows of the archive: the beginnings of its content hashes."""

    def __init__(self, beginnings: NDArray[np.bytes_]) -> None:
        self._beginnings = beginnings

    def lookup(self, path: str, size: int, mtime_ns: int) -> None:  # noqa: ARG002
        """Files that look as they did are not sent to workers."""
        return

    def holds(self, content_hash: str) -> bool:
        beginning = np.bytes_(content_hash[:_PREFIX])
        place = int(np.searchsorted(self._beginnings, beginning))
        return place < len(self._beginnings) and bool(self._beginnings[place] == beginning)


def _examine_shard(path: Path, stores: Sequence[str]) -> tuple[Shard, Examined | None]:
    """`examine_shard` in a worker."""
    allow_stores(*stores)
    return examine_shard(path)


def _settled(path: Path, known: Known) -> Examined | None:
    """What can be said of a file without reading it; None where a worker has to."""
    try:
        str(path).encode()
        found = look(path)
    except UnicodeEncodeError:
        return Examined(path, reason="Its name is not valid UTF-8; rename it.")
    except ImageError as error:
        return Examined(path, reason=str(error))
    before = known.lookup(address(path), found.bytes, found.mtime_ns)
    if before is None or (before[1] is None and not (before[0] and known.holds(before[0]))):
        return None
    return replace(found, content_hash=before[0], reason=before[1])


def _told(path: Path) -> str:
    """What a worker need not ask about a file, as JSON; empty where nothing is known."""
    try:
        known = hint(path)
    except OSError:
        return ""  # the worker says what is wrong
    return "" if known is None else json.dumps(astuple(known))


def _arrays(vectors: Vectors) -> tuple[NDArray[Any], ...]:
    cells = vectors.cells
    return (
        vectors.embedding,
        cells.language.bits,
        cells.language.factors,
        cells.dense.bits,
        cells.dense.factors,
    )


def _examined(batch: _Columns) -> Iterator[tuple[int, Examined]]:
    """Number in the window and what was found, of each row of a batch."""
    for i, number in enumerate(batch["number"].tolist()):
        encoded = None
        if batch["new"][i]:
            embedding, *codes = (np.asarray(batch[name][i : i + 1]) for name in _VECTORS)
            cells = CompactCells(Codes(codes[0], codes[1]), Codes(codes[2], codes[3]))
            encoded = Encoded(
                Vectors(embedding, cells),
                int(batch["width"][i]),
                int(batch["height"][i]),
                bytes(batch["thumbnail"][i]),
            )
        yield (
            number,
            Examined(
                Path(str(batch["path"][i])),
                int(batch["bytes"][i]),
                int(batch["mtime_ns"][i]),
                str(batch["hash"][i]) or None,
                encoded=encoded,
                reason=str(batch["reason"][i]) or None,
            ),
        )
