"""Ranking the images of an archive by a word, by exemplars, or by both.

n images, E global, D language-image and C dense dimensions
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from reco_assist.archive.header import Mean
from reco_assist.archive.index import SearchIndex, centred
from reco_assist.archive.table import VECTOR_COLUMNS, Shape, Table, Vectors
from reco_assist.encoders.compact import Codes, CompactCells, inner_products, rotate

_BEST_CELLS = 3
_FIRST_CANDIDATES = 512
_MOST_CANDIDATES = 2048
_SAMPLE_ROWS = 2048
_ROWS_AT_ONCE = 512  # decoded cells are large


@dataclass(frozen=True, slots=True)
class Hit:
    """An image that was found.

    Attributes:
        content_hash: SHA-256 of the file's bytes, hexadecimal.
        path: Absolute.
        score: The higher the better; comparable within one search only.
    """

    content_hash: str
    path: Path
    score: float


@dataclass(frozen=True, slots=True)
class _Word:
    """How well an image fits a word: cos(embedding, word) + max over kept cells of cos(cell, word).

    Attributes:
        vector: (D,) float32, unit length: the word as cells know it.
        whole: (E,) float32, unit length: the word as embeddings know it.
        mean: What embeddings are centred by.
    """

    vector: Tensor
    whole: Tensor
    mean: Mean

    def scores(self, vectors: Vectors) -> NDArray[np.float32]:
        whole: NDArray[np.float32] = centred(vectors.embedding, self.mean) @ self.whole.numpy()  # (n,)
        cell: NDArray[np.float32] = inner_products(vectors.cells.language, self.vector).max(1)  # (n,)
        return np.add(whole, cell)

    def candidates(self, index: SearchIndex, count: int) -> tuple[NDArray[np.int64], float]:
        by_image, image_bound = index.best("embedding", self.whole.numpy(), count)
        by_cell, cell_bound = index.best("language", rotate(self.vector), count)
        return np.union1d(by_image, by_cell), image_bound + cell_bound


@dataclass(frozen=True, slots=True)
class _Exemplars:
    """How well an image fits exemplars: the mean of its best cells along foreground minus background.

    Attributes:
        direction: (C,) float32.
    """

    direction: Tensor

    def scores(self, vectors: Vectors) -> NDArray[np.float32]:
        products = np.sort(inner_products(vectors.cells.dense, self.direction), 1)  # (n, cells)
        best: NDArray[np.float32] = products[:, -_BEST_CELLS:].mean(1)  # (n,)
        return best

    def candidates(self, index: SearchIndex, count: int) -> tuple[NDArray[np.int64], float]:
        return index.best("dense", rotate(self.direction), count)


class Searcher:
    """Search in one version of an archive: candidates from FAISS, scores from the table.

    Args:
        table: The table.
        shape: The archive's shape.
        mean: The archive's mean embedding.
        cache: Folder of the index.
    """

    def __init__(self, table: Table, *, shape: Shape, mean: Mean, cache: Path) -> None:
        self._table = table
        self._mean = mean
        self._index = SearchIndex.open(cache, table, shape=shape, mean=mean)

    def search(
        self, *, language: Tensor | None, whole: Tensor | None, dense: Tensor | None, k: int
    ) -> list[Hit]:
        """The k best images, best first; equal scores by content hash.

        The ranking is exact up to the quantisation of the index: an image that is in no list of candidates
        scores at most the sum of what the lists end with (the threshold algorithm of Fagin, Lotem and Naor,
        PODS 2001), so lists grow until the k-th score reaches that sum, or until `_MOST_CANDIDATES`.

        Args:
            language: (D,) text vector for cells.
            whole: (E,) text vector for embeddings; given where `language` is.
            dense: (C,) difference of foreground and background prototype.
            k: How many images.
        """
        total = len(self._table)
        if total == 0 or k < 1:
            return []
        terms: list[_Word | _Exemplars] = []
        if language is not None and whole is not None:
            cells, image = functional.normalize(language, dim=0), functional.normalize(whole, dim=0)
            terms.append(_Word(cells, image, self._mean))
        if dense is not None:
            terms.append(_Exemplars(dense))
        count = max(_FIRST_CANDIDATES, 4 * k)
        most = min(total, max(_MOST_CANDIDATES, 4 * k))
        while True:
            found = [term.candidates(self._index, count) for term in terms]
            positions = np.unique(np.concatenate([images for images, _ in found]))
            hashes, scores = self._score(terms, positions)
            best = np.lexsort((hashes, -scores))[:k]
            bound = self._combine(terms, [np.array([rest], np.float32) for _, rest in found])[0]
            if count >= most or (len(best) == k and scores[best[-1]] >= bound):
                break
            count *= 4
        paths = self._table.take(positions[best].tolist(), ["path"])["path"].to_pylist()
        return [
            Hit(str(hashes[i]), Path(path), float(scores[i])) for i, path in zip(best, paths, strict=True)
        ]

    def _score(
        self, terms: list[_Word | _Exemplars], positions: NDArray[np.int64]
    ) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
        """Content hashes and exact scores of the images at some positions."""
        rows = self._table.take(positions.tolist(), ["content_hash", *VECTOR_COLUMNS])
        scores = [_in_parts(term, Vectors.of(rows)) for term in terms]
        return np.array(rows["content_hash"].to_pylist()), self._combine(terms, scores)

    def _combine(
        self, terms: list[_Word | _Exemplars], scores: list[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """One term's scores as they are; those of two standardised over the archive and added."""
        if len(terms) == 1:
            return scores[0]
        total = np.zeros_like(scores[0])
        for term, own in zip(terms, scores, strict=True):
            reference = _in_parts(term, self._sample)
            total += (own - reference.mean()) / max(float(reference.std()), 1e-6)
        return total

    @cached_property
    def _sample(self) -> Vectors:
        """Images spread evenly over the archive, or all of a small one."""
        positions = self._table.spread(_SAMPLE_ROWS)
        return Vectors.of(self._table.take(positions.tolist(), VECTOR_COLUMNS))


def _in_parts(term: _Word | _Exemplars, vectors: Vectors) -> NDArray[np.float32]:
    starts = range(0, len(vectors.embedding), _ROWS_AT_ONCE)
    return np.concatenate(
        [term.scores(_part(vectors, slice(start, start + _ROWS_AT_ONCE))) for start in starts]
    )


def _part(vectors: Vectors, images: slice) -> Vectors:
    language, dense = vectors.cells.language, vectors.cells.dense
    cells = CompactCells(
        Codes(language.bits[images], language.factors[images]),
        Codes(dense.bits[images], dense.factors[images]),
    )
    return Vectors(vectors.embedding[images], cells)
