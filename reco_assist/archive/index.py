"""The FAISS index of an archive: a cache beside the table, never the truth.

n images, D language-image and C dense dimensions
"""

import logging
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from reco_assist.archive.header import Mean
from reco_assist.archive.table import VECTOR_COLUMNS, Shape, Table, Vectors
from reco_assist.encoders.compact import Codes

log = logging.getLogger("reco_assist")

_TRAINING_ROWS = 16384  # the value range of each dimension is taken from these
_QUERY_BITS = 8  # of each dimension of a query that is compared with codes; errs by about .001


@dataclass(frozen=True, slots=True)
class _Part:
    """One FAISS index and how many of its vectors belong to an image."""

    index: Any
    per_image: int


class SearchIndex:
    """Inner-product indices: 8 bits a dimension over the embeddings, 1 bit (RaBitQ) over both kinds of cells.

    Args:
        parts: By name: "embedding", "language" and "dense".
    """

    def __init__(self, parts: dict[str, _Part]) -> None:
        self._parts = parts

    @classmethod
    def open(cls, folder: Path, table: Table, *, shape: Shape, mean: Mean) -> Self:
        """Map the cached index of this version of the table into memory, or build it.

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
            parts = _build(table, shape, mean)
            if _save(parts, home):
                parts = _load(home, shape, len(table)) or parts
        return cls(parts)

    def best(self, part: str, query: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], float]:
        """The images whose vectors point most along a query.

        Args:
            part: "embedding", "language" or "dense".
            query: (D,) or (C,) float32; for cells as `rotate` turns it.
            count: How many images to look for; among the cells, as many times more as an image has.

        Returns:
            Positions of images in the table's order, each once, and the inner product that no vector of any
            other image exceeds, up to the quantisation (-inf where there are no others).
        """
        index, per_image = self._parts[part].index, self._parts[part].per_image
        wanted = min(count * per_image, index.ntotal)
        options = None
        if part != "embedding":
            options = faiss.RaBitQSearchParameters()
            options.qb = _QUERY_BITS
        products, found = index.search(query[None].astype(np.float32), wanted, params=options)
        bound = -np.inf if wanted == index.ntotal else float(products[0, -1])
        return np.unique(found[0] // per_image), bound


def centred(embedding: NDArray[np.float16], mean: Mean) -> NDArray[np.float32]:
    """Embeddings (n, D) less the mean, at unit length; zeros stay zeros."""
    values: NDArray[np.float32] = embedding.astype(np.float32) - mean.values  # (n, D)
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


def _empty(shape: Shape) -> dict[str, _Part]:
    product = faiss.METRIC_INNER_PRODUCT
    eight_bit = faiss.IndexScalarQuantizer(shape.embedding, faiss.ScalarQuantizer.QT_8bit, product)
    parts = {"embedding": _Part(eight_bit, 1)}
    for name, dimensions, per_image in (
        ("language", shape.language, shape.language_cells),
        ("dense", shape.dense, shape.dense_cells),
    ):
        index = faiss.IndexRaBitQ(dimensions, product)
        index.train(np.zeros((1, dimensions), np.float32))  # its centre is the origin
        parts[name] = _Part(index, per_image)
    return parts


def _build(table: Table, shape: Shape, mean: Mean) -> dict[str, _Part]:
    parts = _empty(shape)
    count = len(table)
    if count == 0:
        return parts
    sample = np.linspace(0, count - 1, min(count, _TRAINING_ROWS)).astype(np.int64)
    rows = table.take(sample.tolist(), VECTOR_COLUMNS)
    parts["embedding"].index.train(centred(Vectors.of(rows).embedding, mean))
    for batch in table.scan(VECTOR_COLUMNS):
        vectors = Vectors.of(batch)
        parts["embedding"].index.add(centred(vectors.embedding, mean))
        for name, codes in (("language", vectors.cells.language), ("dense", vectors.cells.dense)):
            index = parts[name].index
            index.add_sa_codes(rabitq_codes(codes, index.d))
    return parts


def _load(home: Path, shape: Shape, images: int) -> dict[str, _Part] | None:
    """The cached parts, mapped into memory; None where they are missing or cannot be used."""
    if not home.is_dir():
        return None
    parts = {}
    for name, empty in _empty(shape).items():
        try:
            index = faiss.read_index(str(home / f"{name}.faiss"), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            log.warning("The search index %s is damaged and is built anew (%s).", home, error)
            return None
        if index.ntotal != images * empty.per_image:
            return None
        parts[name] = _Part(index, empty.per_image)
    return parts


def _save(parts: dict[str, _Part], home: Path) -> bool:
    """Write the parts beside each other, move them under their name, and drop those of other versions."""
    draft = home.with_name(f".{secrets.token_hex(8)}")
    try:
        draft.mkdir(parents=True)
        for name, part in parts.items():
            faiss.write_index(part.index, str(draft / f"{name}.faiss"))
        shutil.rmtree(home, ignore_errors=True)
        draft.rename(home)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        log.info("The search index cannot be kept in %s (%s); it stays in memory.", home.parent, error)
        return home.is_dir()  # another process may just have written the same
    for other in home.parent.iterdir():
        if other != home and not other.name.startswith("."):
            shutil.rmtree(other, ignore_errors=True)
    return True
