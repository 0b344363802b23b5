"""Ranking the images of an archive by a word, by exemplars, or by both.

n images, E global, D language-image and C dense dimensions
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from reco_assist.archive.filters import ImageFilter
from reco_assist.archive.header import Mean
from reco_assist.archive.index import PARTS, Part, SearchIndex, centred
from reco_assist.archive.table import VECTOR_COLUMNS, Shape, Table, Vectors
from reco_assist.encoders.compact import Codes, CompactCells, inner_products, rotate
from reco_assist.encoders.protocols import TextEmbedding

_BEST_CELLS = 3
_FIRST_CANDIDATES = 512
_MOST_CANDIDATES = 2048
_SAMPLE_ROWS = 2048
_REMEMBERED = 8  # filters whose images are kept in memory, 8 bytes an image
_ROWS_AT_ONCE = 512  # decoded cells are large


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What is looked for: at least one of `language` and `dense`.

    Attributes:
        language: (D,) vector of a word, unit length.
        dense: (C,) foreground prototype minus background prototype of exemplars.
        whole: (E,) the word as global vectors know it, where another model gives those.
    """

    language: Tensor | None = None
    dense: Tensor | None = None
    whole: Tensor | None = None

    @classmethod
    def of(cls, word: TextEmbedding) -> Self:
        """The query for a word."""
        return cls(language=word.vector, whole=word.whole)


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

    def queries(self) -> dict[Part, NDArray[np.float32]]:
        return {"embedding": self.whole.numpy(), "language": rotate(self.vector)}


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

    def queries(self) -> dict[Part, NDArray[np.float32]]:
        return {"dense": rotate(self.direction)}


_Terms = Sequence[_Word | _Exemplars]


def _terms(query: Query, mean: Mean) -> _Terms:
    terms: list[_Word | _Exemplars] = []
    if query.language is not None:
        whole = query.language if query.whole is None else query.whole
        terms.append(
            _Word(functional.normalize(query.language, dim=0), functional.normalize(whole, dim=0), mean)
        )
    if query.dense is not None:
        terms.append(_Exemplars(query.dense))
    return terms


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
        self._filters: dict[ImageFilter, NDArray[np.int64]] = {}

    def search(self, wanted: Sequence[Query], *, k: int, where: ImageFilter | None) -> list[list[Hit]]:
        """The k best images for each of several queries, best first; equal scores by content hash.

        The ranking is exact up to the quantisation of the index: an image that is in no list of candidates
        scores at most the sum of what the lists end with (the threshold algorithm of Fagin, Lotem and Naor,
        PODS 2001), so lists grow until the k-th score reaches that sum, or until `_MOST_CANDIDATES`.

        Args:
            wanted: The queries.
            k: How many images.
            where: Which images are looked at; all if None.
        """
        allowed = None if where is None else self._allowed(where)
        total = len(self._table) if allowed is None else len(allowed)
        if total == 0 or k < 1:
            return [[] for _ in wanted]
        queries = [_terms(query, self._mean) for query in wanted]
        count = max(_FIRST_CANDIDATES, 4 * k)
        most = min(total, max(_MOST_CANDIDATES, 4 * k))
        if allowed is not None and total <= count:
            return [self._ranked(terms, allowed, k)[0] for terms in queries]
        found: list[list[Hit]] = [[] for _ in wanted]
        left = list(range(len(wanted)))
        mask = None if allowed is None else self._mask(allowed)
        while left:
            unsure = []
            candidates = self._candidates([queries[i] for i in left], count, mask)
            for i, (positions, rests) in zip(left, candidates, strict=True):
                found[i], last = self._ranked(queries[i], positions, k)
                if count < most and not (len(found[i]) == k and last >= self._combine(queries[i], rests)[0]):
                    unsure.append(i)
            left = unsure
            count *= 4
        return found

    def _candidates(
        self, queries: Sequence[_Terms], count: int, mask: NDArray[np.bool_] | None
    ) -> Iterator[tuple[NDArray[np.int64], list[NDArray[np.float32]]]]:
        """For each query, positions that may be among the best, and what each term of any other is at most.

        One pass over an index serves all queries.
        """
        positions: list[list[NDArray[np.int64]]] = [[] for _ in queries]
        bounds = [[0.0] * len(terms) for terms in queries]
        for part in PARTS:
            asked = [
                (i, j, vectors[part])
                for i, terms in enumerate(queries)
                for j, term in enumerate(terms)
                if part in (vectors := term.queries())
            ]
            if not asked:
                continue
            answers = self._index.best(part, np.stack([vector for *_, vector in asked]), count, mask)
            for (i, j, _), (images, bound) in zip(asked, answers, strict=True):
                positions[i].append(images)
                bounds[i][j] += bound
        for own, rests in zip(positions, bounds, strict=True):
            yield np.unique(np.concatenate(own)), [np.array([rest], np.float32) for rest in rests]

    def _ranked(self, terms: _Terms, positions: NDArray[np.int64], k: int) -> tuple[list[Hit], float]:
        """The k best of some images, and the last one's score (-inf of none)."""
        if not len(positions):
            return [], -np.inf
        hashes, scores = self._score(terms, positions)
        best = np.lexsort((hashes, -scores))[:k]
        paths = self._table.take(positions[best].tolist(), ["path"])["path"].to_pylist()
        hits = [
            Hit(str(hashes[i]), Path(path), float(scores[i])) for i, path in zip(best, paths, strict=True)
        ]
        return hits, float(scores[best[-1]])

    def _allowed(self, where: ImageFilter) -> NDArray[np.int64]:
        """Positions of the images that conditions leave; the last few conditions are remembered."""
        if where not in self._filters:
            while len(self._filters) >= _REMEMBERED:
                self._filters.pop(next(iter(self._filters)))
            self._filters[where] = self._table.positions(where.condition(), without=where.without)
        return self._filters[where]

    def _mask(self, allowed: NDArray[np.int64]) -> NDArray[np.bool_]:
        mask = np.zeros(len(self._table), bool)
        mask[allowed] = True
        return mask

    def _score(
        self, terms: _Terms, positions: NDArray[np.int64]
    ) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
        """Content hashes and exact scores of the images at some positions."""
        rows = self._table.take(positions.tolist(), ["content_hash", *VECTOR_COLUMNS])
        scores = [_in_parts(term, Vectors.of(rows)) for term in terms]
        return np.array(rows["content_hash"].to_pylist()), self._combine(terms, scores)

    def _combine(self, terms: _Terms, scores: list[NDArray[np.float32]]) -> NDArray[np.float32]:
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
