"""Embeddings as files: what clip-retrieval and plain .npy + .parquet folders hold, read and written.

Such a folder has one global vector an image and no cells, so it can be searched by a word but nothing can be
learnt from it alone. It is a shortlist: the images nearest to a word are indexed into an archive.

n images, E dimensions
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from reco_assist.encoders.batches import encode_files
from reco_assist.encoders.protocols import Encoder
from reco_assist.errors import ImageError, InputError, reason
from reco_assist.folders import atomic_folder, is_vacant, make_folder
from reco_assist.images import address

if TYPE_CHECKING:
    from reco_assist.archive.archive import Archive

_PATH_COLUMNS = ("image_path", "path", "file_name", "filename")
"""Names of the column that says where an image is; the first that a file has is taken."""

_ROWS_AT_ONCE = 16_384
_MEAN_ROWS = 65_536
_TRIED = 4
_ALIKE = 0.5  # cosine; the same model with another crop is near 1, another model near 0


@dataclass(frozen=True, slots=True)
class _Part:
    """(n, E) vectors in a file that is mapped into memory, and the file that says whose they are."""

    vectors: NDArray[np.floating]
    metadata: Path
    column: str


class EmbeddingFolder:
    """Embeddings of images, made elsewhere. Made by `open`."""

    def __init__(self, path: Path, parts: Sequence[_Part]) -> None:
        self._path = path
        self._parts = parts

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a folder of clip-retrieval (img_emb, metadata), or of .npy files with .parquet files beside.

        Vectors stay on disk. Paths in it are absolute, or relative to the folder.

        Raises:
            InputError: There are no embeddings, or vectors and metadata do not belong together.
        """
        folder = Path(path).absolute()
        pairs = [(one, _metadata_of(one)) for one in sorted(folder.rglob("*.npy"))]
        found = [(vectors, metadata) for vectors, metadata in pairs if metadata is not None]
        if not found:
            raise InputError(
                f"{path} holds no embeddings: a folder of clip-retrieval (img_emb/*.npy, metadata/*.parquet) "
                "or .npy files with .parquet files of the same names, is expected."
            )
        parts = [_part(vectors, metadata) for vectors, metadata in found]
        if len({part.vectors.shape[1] for part in parts}) > 1:
            raise InputError(f"The files of {path} hold vectors of different lengths; keep one model's.")
        return cls(folder, parts)

    def __len__(self) -> int:
        return sum(len(part.vectors) for part in self._parts)

    def nearest(self, word: torch.Tensor, k: int) -> list[Path]:
        """Files of the k images nearest to a word, best first: an exact scan, some thousands at a time.

        Args:
            word: (E,) global vector of the word.
            k: At least 1.

        Raises:
            InputError: The vectors are of another length than the word's.
        """
        direction = torch.nn.functional.normalize(word.float().cpu(), dim=0).numpy()  # (E,)
        dimensions = self._parts[0].vectors.shape[1]
        if len(direction) != dimensions:
            raise InputError(
                f"The vectors of {self._path} have {dimensions} numbers and the encoder's {len(direction)}; "
                "name the model that made them by --encoder."
            )
        mean = self._mean()
        best: list[tuple[float, int, int]] = []  # score, part and row, the later rows negative
        for number, part in enumerate(self._parts):
            for start, vectors in _slices(part):
                centred = vectors - mean  # (n, E)
                scores = centred @ direction / np.maximum(np.linalg.norm(centred, axis=1), 1e-12)  # (n,)
                top = np.argsort(-scores, kind="stable")[:k]
                rows = ((float(scores[i]), -number, -(start + int(i))) for i in top)
                best = heapq.nlargest(k, [*best, *rows])
        return self._paths([(-part, -row) for _, part, row in best])

    def check(self, encoder: Encoder) -> None:
        """Encode a few of the images again and compare.

        Raises:
            InputError: The vectors are not this encoder's, or none of the images tried can be read.
        """
        part = self._parts[0]
        rows = np.unique(np.linspace(0, len(part.vectors) - 1, _TRIED).astype(int)).tolist()
        cosines = []
        for row, path in zip(rows, self._paths([(0, row) for row in rows]), strict=True):
            try:
                mine = encode_files(encoder, [path]).embedding[0].float().numpy()
            except ImageError:
                continue
            theirs = _unit(part.vectors[row : row + 1])[0]
            if mine.shape != theirs.shape:
                cosines.append(0.0)
            else:
                cosines.append(float(_unit(mine[None])[0] @ theirs))
        if not cosines:
            raise InputError(
                f"None of the images that {part.metadata} names can be read, such as {path}; paths in it "
                f"must be absolute, or relative to {self._path}."
            )
        if float(np.median(cosines)) < _ALIKE:
            raise InputError(
                f"The vectors of {self._path} are not those of the encoder {encoder.name!r} (cosine "
                f"{np.median(cosines):.2f}); name the model that made them by --encoder."
            )

    def _mean(self) -> NDArray[np.float32]:
        """(E,) of unit vectors, evenly from all parts."""
        step = max(1, len(self) // _MEAN_ROWS)
        sums = [_unit(part.vectors[::step]).sum(0, dtype=np.float64) for part in self._parts]
        count = sum(len(part.vectors[::step]) for part in self._parts)
        mean: NDArray[np.float32] = (np.sum(sums, axis=0) / count).astype(np.float32)
        return mean

    def _paths(self, places: Sequence[tuple[int, int]]) -> list[Path]:
        """Files of (part, row), in their order; the metadata of a part is read once."""
        found: dict[tuple[int, int], Path] = {}
        for number in sorted({number for number, _ in places}):
            part = self._parts[number]
            rows = [row for where, row in places if where == number]
            column = pq.read_table(part.metadata, columns=[part.column])[part.column]
            for row, value in zip(rows, column.take(rows).to_pylist(), strict=True):
                found[number, row] = self._path / str(value)
        return [found[place] for place in places]


def export_embeddings(archive: "Archive", folder: str | Path) -> int:
    """Write an archive's global embeddings as clip-retrieval does: unit vectors, half precision.

    Args:
        archive: The archive.
        folder: A new or empty folder.

    Returns:
        The number of images.

    Raises:
        InputError: The folder holds something already.
        StorageError: It cannot be written.
    """
    out = Path(folder)
    if not is_vacant(out):
        raise InputError(f"{out} exists already; give a new folder.")
    count = 0
    with atomic_folder(out) as draft:
        for name in ("img_emb", "metadata"):
            make_folder(draft / name)
        for number, (entries, vectors) in enumerate(archive.embeddings()):
            np.save(draft / "img_emb" / f"img_emb_{number}.npy", _unit(vectors).astype(np.float16))
            columns = {
                "image_path": [address(entry.path) for entry in entries],
                "width": [entry.width for entry in entries],
                "height": [entry.height for entry in entries],
                "content_hash": [entry.content_hash for entry in entries],
            }
            pq.write_table(pa.table(columns), draft / "metadata" / f"metadata_{number}.parquet")
            count += len(entries)
    return count


def _metadata_of(vectors: Path) -> Path | None:
    """The file that says whose vectors those of a file are; None where there is none, as for texts."""
    beside = vectors.with_suffix(".parquet")
    name = vectors.stem.replace("img_emb", "metadata", 1) + ".parquet"
    candidates = (beside, vectors.parent.with_name("metadata") / name)
    return next((one for one in candidates if one.is_file()), None)


def _part(vectors: Path, metadata: Path) -> _Part:
    try:
        values = np.load(vectors, mmap_mode="r", allow_pickle=False)
        described = pq.read_metadata(metadata)
    except (OSError, ValueError) as error:
        raise InputError(f"{vectors} and {metadata} cannot be read ({reason(error)}).") from error
    if values.ndim != 2 or values.dtype.kind != "f":
        raise InputError(
            f"{vectors} holds {values.dtype} of shape {values.shape}; rows of floating-point numbers, one an "
            "image, are expected."
        )
    if len(values) != described.num_rows:
        raise InputError(
            f"{vectors} holds {len(values)} vectors and {metadata} {described.num_rows} rows; they do not "
            "belong together."
        )
    names = described.schema.to_arrow_schema().names
    column = next((name for name in _PATH_COLUMNS if name in names), None)
    if column is None:
        raise InputError(
            f"{metadata} has the columns {', '.join(names)}; one named {' or '.join(_PATH_COLUMNS)} is "
            "expected to say where each image is."
        )
    return _Part(values, metadata, column)


def _slices(part: _Part) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Unit vectors (n, E) of a part, some at a time, and the row at which they start."""
    for start in range(0, len(part.vectors), _ROWS_AT_ONCE):
        yield start, _unit(part.vectors[start : start + _ROWS_AT_ONCE])


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors (n, E) at unit length; zeros stay zeros."""
    values = np.asarray(vectors, np.float32)
    unit: NDArray[np.float32] = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return unit
