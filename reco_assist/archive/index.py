"""The search index of an archive: a cache beside the table, never the truth.

n images, E global, D language-image and C dense dimensions, q queries
"""

import logging
import re
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from reco_assist.archive.header import Mean
from reco_assist.archive.ivf import VectorIndex, training_count
from reco_assist.archive.table import VECTOR_COLUMNS, Shape, Table, Vectors
from reco_assist.encoders.compact import Codes
from reco_assist.errors import FormatError, StorageError
from reco_assist.files import write_bytes
from reco_assist.folders import atomic_folder, remove_folder
from reco_assist.json_files import json_line, read_json

log = logging.getLogger("reco_assist")

Part = Literal["embedding", "language", "dense"]
PARTS: tuple[Part, ...] = ("embedding", "language", "dense")
_TRAINING_ROWS = 16384  # the value range of each dimension is taken from these
_STATE = "state.json"
_LARGEST_STATE = 1 << 16  # bytes
_FILES = ["*.faiss", "*.centres", _STATE]
_HOME = re.compile(r"table-\d+-mean-\d+")  # names that `SearchIndex.open` gives
_GROWTH = 2  # ranges and centres are learnt anew when an archive has grown by this factor


@dataclass(frozen=True, slots=True)
class _State:
    """What an index was made of.

    Attributes:
        images: n.
        trained: Images that there were when ranges and centres were learnt.
        digest: SHA-256 of the content hashes, in the table's order.
    """

    images: int
    trained: int
    digest: str


class SearchIndex:
    """Inner-product indices: 8 bits a dimension over the embeddings, 1 bit (RaBitQ) over both kinds of cells.

    Args:
        parts: By name.
        shape: The archive's shape.
    """

    def __init__(self, parts: dict[Part, VectorIndex], shape: Shape) -> None:
        self._parts = parts
        self._per_image = _per_image(shape)

    @classmethod
    def open(cls, folder: Path, table: Table, *, shape: Shape, mean: Mean) -> Self:
        """Map the cached index of this version of the table into memory, or make it.

        Where the table has only grown since a cached index was made, the new rows are added to that one.
        Where the folder cannot be written, the index stays in memory.

        Args:
            folder: Where the cache lies.
            table: The table.
            shape: The archive's shape.
            mean: The archive's mean embedding.
        """
        home = folder / f"table-{table.version}-mean-{mean.version}"
        parts = _load(home, shape, len(table))
        if parts is None:
            parts, state = _extended(folder, table, shape, mean) or _built(table, shape, mean)
            if _save(parts, state, home, shape):
                parts = _load(home, shape, len(table)) or parts
        return cls(parts, shape)

    def best(
        self, part: Part, queries: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None = None
    ) -> list[tuple[NDArray[np.int64], float]]:
        """The images whose vectors point most along each query.

        Args:
            part: Which vectors.
            queries: (q, E), (q, D) or (q, C) float32; for cells as `rotate` turns them.
            count: How many images to look for; among the cells, as many times more as an image has.
            allowed: (n,) which images count; all if None.

        Returns:
            For each query, positions of images in the table's order, each once, and the inner product that no
            vector of any other image exceeds, up to the quantisation (-inf where there are no others).
        """
        lists, per_image = self._parts[part], self._per_image[part]
        total = lists.codes.ntotal if allowed is None else int(allowed.sum()) * per_image
        wanted = min(count * per_image, total)
        if wanted == 0:
            return [(np.empty(0, np.int64), -np.inf)] * len(queries)
        cells = allowed if allowed is None or per_image == 1 else np.repeat(allowed, per_image)
        products, found = lists.search(queries, wanted, cells)
        return [
            (
                np.unique(own[(own >= 0) & (own < lists.codes.ntotal)] // per_image),
                -np.inf if wanted == total else float(values[own >= 0].min(initial=np.inf)),
            )
            for own, values in zip(found, products, strict=True)
        ]


def centred(embedding: NDArray[np.float16], mean: Mean) -> NDArray[np.float32]:
    """Embeddings (n, E) less the mean, at unit length; zeros stay zeros."""
    values: NDArray[np.float32] = embedding.astype(np.float32) - mean.values  # (n, E)
    length = np.linalg.norm(values, axis=1, keepdims=True)  # (n, 1)
    values /= np.where(length > 0, length, 1)
    return values


def rabitq_codes(codes: Codes, dimensions: int) -> NDArray[np.uint8]:
    """Cells in FAISS's own code for them: bits, lowest first, then two float32, 0 and factor * sqrt(dim).

    FAISS would make the same of the decoded vectors, a hundred times slower.

    Args:
        codes: Of n images with p cells each.
        dimensions: Of the coded vectors.

    Returns:
        (n * p, bytes) uint8.
    """
    bits = codes.bits.reshape(-1, codes.bits.shape[-1])  # (n*p, ceil(dim / 8))
    scale = np.zeros((len(bits), 2), "<f4")  # (n*p, 2)
    scale[:, 1] = codes.factors.reshape(-1).astype(np.float32) * np.float32(np.sqrt(dimensions))
    return np.concatenate([_REVERSED[bits], scale.view(np.uint8)], 1)


_REVERSED = np.packbits(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1), axis=1, bitorder="little"
)[:, 0]
"""Each byte with its bits in reverse order."""


def _per_image(shape: Shape) -> dict[Part, int]:
    return {"embedding": 1, "language": shape.language_cells, "dense": shape.dense_cells}


def _dimensions(name: Part, shape: Shape) -> int:
    return {"embedding": shape.embedding, "language": shape.language, "dense": shape.dense}[name]


def _built(table: Table, shape: Shape, mean: Mean) -> tuple[dict[Part, VectorIndex], _State]:
    """Everything anew."""
    count = len(table)
    most = max(training_count(count * cells) // cells for cells in _per_image(shape).values())
    sample = np.linspace(0, count - 1, min(count, max(most, _TRAINING_ROWS))).astype(np.int64)
    vectors = Vectors.of(table.take(np.unique(sample).tolist(), VECTOR_COLUMNS))
    parts = {}
    for name, cells in _per_image(shape).items():
        dimensions = _dimensions(name, shape)
        known = _floats(name, vectors, mean, dimensions)
        coding: Literal["bytes", "bits"] = "bytes" if name == "embedding" else "bits"
        parts[name] = VectorIndex.empty(coding, dimensions, known, count * cells)
    digest = _add_rows(parts, table, shape, mean, start=0)
    return parts, _State(count, count, digest)


def _extended(
    folder: Path, table: Table, shape: Shape, mean: Mean
) -> tuple[dict[Part, VectorIndex], _State] | None:
    """A cached index with the rows that have come since; None where no cached one can be continued."""
    homes = [path for path in folder.glob(f"table-*-mean-{mean.version}") if path.is_dir()]
    for home in homes:
        state = _read_state(home)
        if state is None or not 0 < state.images <= len(table) <= _GROWTH * state.trained:
            continue
        if _digest(table, state.images) != state.digest:
            continue
        parts = _load(home, shape, state.images, mapped=False)
        if parts is not None:
            digest = _add_rows(parts, table, shape, mean, start=state.images)
            return parts, _State(len(table), state.trained, digest)
    return None


def _add_rows(parts: dict[Part, VectorIndex], table: Table, shape: Shape, mean: Mean, *, start: int) -> str:
    """Add the table's rows from a position on; the digest of all content hashes."""
    for batch in table.scan(VECTOR_COLUMNS, start=start):
        vectors = Vectors.of(batch)
        for name, lists in parts.items():
            dimensions = _dimensions(name, shape)
            floats = None
            if name == "embedding" or lists.centres is not None:
                floats = _floats(name, vectors, mean, dimensions)
            if name == "embedding":
                assert floats is not None
                lists.add(lists.encode(floats), floats)
            else:
                lists.add(rabitq_codes(_codes(name, vectors), dimensions), floats)
    return _digest(table, len(table))


def _digest(table: Table, images: int) -> str:
    """Digest of the first so many content hashes."""
    digest = sha256()
    left = images
    for batch in table.scan(["content_hash"]):
        hashes = batch["content_hash"].to_pylist()[:left]
        digest.update("".join(hashes).encode())
        left -= len(hashes)
        if not left:
            break
    return digest.hexdigest()


def _codes(name: Part, vectors: Vectors) -> Codes:
    return vectors.cells.language if name == "language" else vectors.cells.dense


def _floats(name: Part, vectors: Vectors, mean: Mean, dimensions: int) -> NDArray[np.float32]:
    """Vectors as they are compared with queries: centred embeddings, or the signs that cells are kept by."""
    if name == "embedding":
        return centred(vectors.embedding, mean)
    bits = _codes(name, vectors).bits
    signs = np.unpackbits(bits, axis=-1, count=dimensions).reshape(-1, dimensions)  # (n*p, dim)
    return (signs.astype(np.float32) * 2 - 1) / np.float32(np.sqrt(dimensions))


def _read_state(home: Path) -> _State | None:
    try:
        path = home / _STATE
        state = _State(**read_json(path, _LARGEST_STATE))
    except (OSError, FormatError, TypeError):
        return None
    counts = state.images, state.trained
    return state if all(isinstance(one, int) for one in counts) else None  # a cache that somebody else wrote


def _load(home: Path, shape: Shape, images: int, *, mapped: bool = True) -> dict[Part, VectorIndex] | None:
    """The cached parts, mapped into memory; None where they are missing or cannot be used."""
    if not home.is_dir():
        return None
    parts: dict[Part, VectorIndex] = {}
    for name, cells in _per_image(shape).items():
        try:
            parts[name] = VectorIndex.load(
                "bytes" if name == "embedding" else "bits",
                home / f"{name}.faiss",
                dimensions=_dimensions(name, shape),
                vectors=images * cells,
                mapped=mapped,
            )
        except RuntimeError as error:
            log.info("The search index %s cannot be used (%s).", home, error)
            return None
    return parts


def _save(parts: dict[Part, VectorIndex], state: _State, home: Path, shape: Shape) -> bool:
    """Write the parts beside each other, move them under their name, and drop those of other versions.

    Returns:
        Whether an index lies there now.
    """
    try:
        if home.is_dir():
            if _load(home, shape, state.images) is not None:  # another process has just written the same
                return True
            log.warning("The search index %s is damaged and is built anew.", home)
            remove_folder(home, made_of=_FILES)
        with atomic_folder(home) as draft:
            for name, lists in parts.items():
                lists.save(draft / f"{name}.faiss")
            write_bytes(draft / _STATE, json_line(asdict(state)))
    except (OSError, RuntimeError) as error:
        log.info("The search index cannot be kept in %s (%s); it stays in memory.", home.parent, error)
        return home.is_dir()  # another process may just have written the same
    for other in home.parent.iterdir():
        if other != home and _HOME.fullmatch(other.name):
            try:
                remove_folder(other, made_of=_FILES)
            except StorageError as error:  # a cache that is of no use any more
                log.info("The old search index %s stays: %s", other, error)
    return True
