"""One kind of vectors in FAISS: scanned whole while they are few, in inverted lists beyond some millions.

n vectors of d dimensions, q queries
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from reco_assist.errors import reason

Coding = Literal["bytes", "bits"]

FLAT_MOST = 4_000_000
"""Vectors up to which a scan of all is quick enough: some 5 s of a core per 100 million 512-bit codes."""

_PROBED = 16  # one list in so many is looked into
_FEWEST_PROBED = 8
_TRAINING_PER_LIST = 40
_ROUNDS = 8  # of k-means
_QUERY_BITS = 8  # of each dimension of a query that is compared with bits; errs by about .001
_MAPPED = faiss.IO_FLAG_MMAP_IFC
_COUNT_AT = 8  # byte of the number of vectors in a file, which kind and dimensions come before


def _list_count(vectors: int) -> int:
    """How many inverted lists so many vectors are kept in; 0 where they are scanned whole."""
    return 0 if vectors <= FLAT_MOST else max(4, round(vectors**0.5 / 2))


def training_count(vectors: int) -> int:
    """How many vectors the centres of the lists are learnt from."""
    return _TRAINING_PER_LIST * _list_count(vectors)


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """Coded vectors, for the largest inner products with a query.

    Attributes:
        coding: bytes (8 bits a dimension) or bits (RaBitQ, 1 bit a dimension).
        codes: The FAISS index of the codes.
        centres: (lists, d) FAISS index of the centres of its inverted lists; None where it is one flat run.
    """

    coding: Coding
    codes: Any
    centres: Any | None

    @classmethod
    def empty(cls, coding: Coding, dimensions: int, sample: NDArray[np.float32], vectors: int) -> Self:
        """For so many vectors, with ranges and centres learnt from a sample (m, d) of them."""
        product = faiss.METRIC_INNER_PRODUCT
        count = min(_list_count(vectors), len(sample))
        if coding == "bytes":
            flat: Any = faiss.IndexScalarQuantizer(dimensions, faiss.ScalarQuantizer.QT_8bit, product)
        else:
            flat = faiss.IndexRaBitQ(dimensions, product)
        flat.train(sample if coding == "bytes" and len(sample) else np.zeros((1, dimensions), np.float32))
        if not count:
            return cls(coding, flat, None)
        # Centres only say which lists to look into. The codes are of the vectors themselves, not of what is
        # left beside a centre, so that bits made elsewhere can be used as they are: hence the zeros.
        origin: Any = faiss.IndexFlatIP(dimensions)
        origin.add(np.zeros((count, dimensions), np.float32))
        if coding == "bytes":
            lists: Any = faiss.IndexIVFScalarQuantizer(
                origin,
                dimensions,
                count,
                faiss.ScalarQuantizer.QT_8bit,
                product,
                False,  # noqa: FBT003
            )
            lists.sq = flat.sq
        else:
            lists = faiss.IndexIVFRaBitQ(origin, dimensions, count, product)
        lists.is_trained = True
        origin.this.disown()
        lists.own_fields = True
        kmeans: Any = faiss.Kmeans(dimensions, count, niter=_ROUNDS, spherical=True, seed=1)
        kmeans.train(sample)
        centres = faiss.IndexFlatIP(dimensions)
        centres.add(kmeans.centroids)
        return cls(coding, lists, centres)

    @classmethod
    def load(cls, coding: Coding, path: Path, *, dimensions: int, vectors: int, mapped: bool) -> Self:
        """Read what `save` wrote, or map it into memory.

        Args:
            coding: Of the vectors.
            path: The file. It may be anybody's, and FAISS takes memory for whatever it says; it is compared
                with an index of ours before.
            dimensions: d.
            vectors: n.
            mapped: Map it.

        Raises:
            RuntimeError: A file is missing or damaged, or another index.
        """
        flat = _is_flat(
            path, cls.empty(coding, dimensions, np.zeros((1, dimensions), np.float32), 0), vectors
        )
        codes = faiss.read_index(str(path), _MAPPED if mapped else 0)
        if flat:
            return cls(coding, codes, None)
        centres = faiss.read_index(str(_centres_of(path)))
        _check_lists(coding, codes, centres, dimensions=dimensions, vectors=vectors)
        return cls(coding, codes, centres)

    def save(self, path: Path) -> None:
        """Write the index to a file, and its centres beside it.

        Raises:
            RuntimeError: The place cannot be written.
        """
        faiss.write_index(self.codes, str(path))
        if self.centres is not None:
            faiss.write_index(self.centres, str(_centres_of(path)))

    def add(self, codes: NDArray[np.uint8], vectors: NDArray[np.float32] | None = None) -> None:
        """Append coded vectors.

        Args:
            codes: (n, bytes) as `encode` or `rabitq_codes` makes them.
            vectors: (n, d) what they stand for; needed where there are inverted lists.
        """
        if self.centres is None:
            self.codes.add_sa_codes(codes)
            return
        assert vectors is not None
        homes = self.centres.search(vectors, 1)[1][:, 0]  # (n,)
        order = np.argsort(homes, kind="stable")
        ids = (self.codes.ntotal + order).astype(np.int64)
        sorted_codes = np.ascontiguousarray(codes[order])
        starts = np.searchsorted(homes[order], np.arange(self.codes.nlist + 1))
        for home in np.unique(homes).tolist():
            part = slice(starts[home], starts[home + 1])
            own_ids, own_codes = np.ascontiguousarray(ids[part]), np.ascontiguousarray(sorted_codes[part])
            self.codes.invlists.add_entries(
                home, len(own_ids), faiss.swig_ptr(own_ids), faiss.swig_ptr(own_codes)
            )
        self.codes.ntotal += len(codes)

    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Codes (n, bytes) of vectors (n, d); for `bytes` only."""
        codes: NDArray[np.uint8] = self.codes.sq.compute_codes(np.ascontiguousarray(vectors, np.float32))
        return codes

    def search(
        self, queries: NDArray[np.float32], count: int, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The largest inner products.

        Args:
            queries: (q, d) float32.
            count: How many for each query.
            allowed: (n,) which vectors count; all if None.

        Returns:
            Products (q, count) and positions (q, count), largest first; positions are -1 where there are no
            more.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        options = self._options()
        if allowed is not None:
            select: Any = faiss.IDSelectorBitmap
            options.sel = select(np.packbits(allowed, bitorder="little"))
        if self.centres is None:
            products, found = self.codes.search(queries, count, params=options)
            return products, found
        probed = min(self.codes.nlist, max(_FEWEST_PROBED, self.codes.nlist // _PROBED))
        nearness, homes = self.centres.search(queries, probed)  # (q, probed)
        options.nprobe = probed
        products = np.empty((len(queries), count), np.float32)
        found = np.empty((len(queries), count), np.int64)
        arrays: Sequence[Any] = (homes, nearness, products, found)
        pointers = [faiss.swig_ptr(array) for array in arrays]
        # FAISS's Python layer takes no options here.
        self.codes.search_preassigned_c(
            len(queries),
            faiss.swig_ptr(queries),
            count,
            *pointers,
            False,  # noqa: FBT003
            options,
        )
        return products, found

    def _options(self) -> Any:  # noqa: ANN401  (FAISS's classes have no types)
        if self.coding == "bytes":
            return faiss.SearchParameters() if self.centres is None else faiss.SearchParametersIVF()
        bits: Any = faiss.RaBitQSearchParameters if self.centres is None else faiss.IVFRaBitQSearchParameters
        options = bits()
        options.qb = _QUERY_BITS
        return options


def _is_flat(path: Path, empty: VectorIndex, vectors: int) -> bool:
    """Whether a file is one flat run of so many vectors; inverted lists are taken only where they are many.

    Raises:
        RuntimeError: It is neither.
    """
    model = faiss.serialize_index(empty.codes).tobytes()
    step, dimensions = empty.codes.code_size, empty.codes.d
    floats = (
        8 * dimensions if empty.coding == "bytes" else 4 * dimensions
    )  # ranges before codes; a centre behind
    end = 0 if empty.coding == "bytes" else 8 + floats + 1
    at = len(model) - end - 8  # of the codes' size, which they follow
    try:
        with path.open("rb") as file:
            size, head = os.fstat(file.fileno()).st_size, bytearray(file.read(at + 8))
            file.seek(max(0, size - end))
            tail = file.read(end)
    except OSError as error:
        raise RuntimeError(f"it cannot be read: {reason(error)}") from error
    if vectors > FLAT_MOST and head[:4] != model[:4]:
        return False
    if empty.coding == "bytes":
        ranges = np.frombuffer(bytes(head[at - floats : at]).ljust(floats, b"\xff"), "<f4")
        if not np.isfinite(ranges).all():
            raise RuntimeError("its ranges are no numbers")
        head[at - floats : at] = model[at - floats : at]
    counts = (vectors.to_bytes(8, "little"), (vectors * step).to_bytes(8, "little"))
    wanted = model[:_COUNT_AT] + counts[0] + model[_COUNT_AT + 8 : at] + counts[1]
    if size != at + 8 + vectors * step + end or head != wanted or tail != model[len(model) - end :]:
        raise RuntimeError("it is another index than it should be")
    return True


def _check_lists(coding: Coding, codes: Any, centres: Any, *, dimensions: int, vectors: int) -> None:  # noqa: ANN401
    """Refuse inverted lists that are not ours: FAISS believes what it reads, and answers with any id in them.

    Raises:
        RuntimeError: They are others.
    """
    kind: Any = faiss.IndexIVFScalarQuantizer if coding == "bytes" else faiss.IndexIVFRaBitQ
    origins: Any = faiss.downcast_index(codes.quantizer) if isinstance(codes, faiss.IndexIVF) else None
    flat = faiss.IndexFlatIP
    if not isinstance(codes, kind) or not isinstance(origins, flat) or not isinstance(centres, flat):
        raise RuntimeError("it is an index of another kind")
    sizes = (codes.d, codes.ntotal, centres.d, centres.ntotal, origins.d, origins.ntotal)
    if sizes != (dimensions, vectors, dimensions, codes.nlist, dimensions, codes.nlist):
        raise RuntimeError("it is an index of other vectors")
    model = VectorIndex.empty(coding, dimensions, np.zeros((1, dimensions), np.float32), 0).codes
    coded = (codes.code_size, codes.metric_type) == (model.code_size, model.metric_type)
    if coding == "bytes":
        ranges = faiss.vector_to_array(codes.sq.trained)
        same = (codes.sq.qtype, codes.sq.d, len(ranges)) == (model.sq.qtype, dimensions, 2 * dimensions)
        coded = coded and same and not codes.by_residual and bool(np.isfinite(ranges).all())
    else:
        coded = coded and (codes.rabitq.d, codes.rabitq.metric_type) == (dimensions, model.metric_type)
    if not coded or faiss.vector_to_array(origins.codes).any():
        raise RuntimeError("its codes are others than ours")
    seen = np.zeros(vectors, bool)
    for home in range(codes.nlist):
        if size := codes.invlists.list_size(home):
            ids = faiss.rev_swig_ptr(codes.invlists.get_ids(home), size)
            if not 0 <= ids.min() <= ids.max() < vectors:
                raise RuntimeError("it has ids of no vector")
            seen[ids] = True
    if not seen.all() or sum(map(codes.invlists.list_size, range(codes.nlist))) != vectors:
        raise RuntimeError("it has not each vector once")


def _centres_of(path: Path) -> Path:
    return path.with_suffix(".centres")
