"""The archive: all that is indexed, on disk, searchable.

NAME.reco/
  archive.json    the header
  images.lance/   the table, the truth
  skipped.json    files that are duplicates or unusable; a cache
  index/          the search index; a cache
  writer.lock     held by the process that writes
"""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reco_assist.archive.engines import Engine, LocalEngine
from reco_assist.archive.filters import ImageFilter
from reco_assist.archive.header import Header, Mean, common_parent
from reco_assist.archive.ingest import AddReport, Ingest, Ledger, load_skipped
from reco_assist.archive.search import Hit, Query, Searcher
from reco_assist.archive.table import CELL_COLUMNS, Shape, Table, cells_of, fixed_lists
from reco_assist.cluster import Cluster
from reco_assist.encoders import identity, load_encoder
from reco_assist.encoders.batches import encode_within_memory
from reco_assist.encoders.compact import Codes, CompactCells, compact_cells
from reco_assist.encoders.protocols import Encoder
from reco_assist.errors import ArchiveError, InputError
from reco_assist.folders import atomic_folder, is_vacant, make_output_folder
from reco_assist.images import absolute, address, allow_stores, folder_of
from reco_assist.locks import only_writer
from reco_assist.safe_paths import unlinked_tree

TABLE = "images.lance"
_SKIPPED = "skipped.json"
_INDEX = "index"
_LOCK = "writer.lock"

_ROWS_PER_SUM = 4096
_ROWS_PER_EXPORT = 1 << 16
_IMAGES_FOR_MEAN = 64  # fewer say more about the subject than about the kind of photographs
_Vector = NDArray[np.float32] | Tensor
_ENTRY_COLUMNS = ["content_hash", "path", "width", "height", "bytes"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An indexed image.

    Attributes:
        content_hash: SHA-256 of the file's bytes, hexadecimal: the image's identity.
        path: Where the file was when it was last seen, absolute; or where else it lies (`images.places`).
        file_name: POSIX path relative to the archive's root.
        width: Pixels, EXIF orientation applied.
        height: Pixels, EXIF orientation applied.
        bytes: Size of the file; 0 of a row of a Parquet file.
    """

    content_hash: str
    path: Path
    file_name: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures about an archive.

    Attributes:
        images: Indexed images.
        duplicates: Files with the same bytes as an indexed image, as far as the last runs saw them.
        rejected: Files that could not be used, and why.
        image_bytes: Size of the indexed files together.
        archive_bytes: Size of the archive on disk, its search index included.
        mean_images: Images that the frozen mean was taken from; 0 while it is the encoder's.
        version: Version of the table; every change counts it up.
    """

    images: int
    duplicates: int
    rejected: tuple[tuple[Path, str], ...]
    image_bytes: int
    archive_bytes: int
    mean_images: int
    version: int


class Archive:
    """Images and their embeddings on disk. Made by `Archive.create` or `Archive.open`.

    An archive object shows the version that it was opened at, and its own changes. One process at a time may
    write; any number may read meanwhile.
    """

    def __init__(self, path: Path, header: Header, encoder: Encoder | None) -> None:
        self._path = path
        self._header = header
        self._encoder = encoder
        self._table = Table(path / TABLE, header.shape)
        self._searcher: Searcher | None = None

    @classmethod
    def create(cls, path: str | Path, *, encoder: Encoder, root: str | Path | None = None) -> Self:
        """Create an empty archive; its folder appears complete or not at all.

        Args:
            path: The new folder; by convention its name ends in `.reco`.
            encoder: What will encode the images; the archive is bound to it.
            root: Folder that file names are relative to; by default the common parent of what is indexed.

        Raises:
            ArchiveError: Something is there already.
            StorageError: The place cannot be written.
        """
        folder = absolute(path)
        if not is_vacant(folder):
            raise ArchiveError(f"{path} exists already; open it to add to it, or give a new name.")
        mean = np.asarray(encoder.mean_embedding.float().cpu())
        header = Header(
            id=uuid.uuid4().hex,
            encoder=encoder.name,
            weights=encoder.weights,
            shape=_shape(encoder),
            root=None if root is None else address(absolute(root)),
            folders=(),
            mean=Mean(version=0, images=0, values=mean),
        )
        with atomic_folder(folder) as draft:
            make_output_folder(draft)  # never read as input, whatever the folder is called
            Table.create(draft / TABLE, header.shape)
            header.save(draft)
        return cls(folder, header, encoder)

    @classmethod
    def open(cls, path: str | Path, *, encoder: Encoder | None = None) -> Self:
        """Open an archive.

        Args:
            path: Its folder.
            encoder: The encoder it was made with; loaded by its name when it is needed, if None.

        Raises:
            ArchiveError: There is no archive, or one of another format or of another encoder, or damaged.
        """
        folder = absolute(path)
        header = Header.load(folder)
        if encoder is not None:
            _check_encoder(folder, header, encoder)
        return cls(folder, header, encoder)

    @property
    def path(self) -> Path:
        """The archive's folder, absolute."""
        return self._path

    @property
    def id(self) -> str:
        """Identity of the archive, for provenance."""
        return self._header.id

    @property
    def encoder_name(self) -> str:
        """Name of the encoder, as `load_encoder` understands it."""
        return self._header.encoder

    @property
    def encoder(self) -> Encoder:
        """The encoder it was made with: the one given, or else loaded by its name on first use.

        Raises:
            EncoderError: It cannot be loaded here.
            ArchiveError: The encoder of that name has other weights now.
        """
        if self._encoder is None:
            encoder = load_encoder(self._header.encoder)
            _check_encoder(self._path, self._header, encoder)
            self._encoder = encoder
        return self._encoder

    @property
    def mean(self) -> NDArray[np.float32]:
        """(E,) mean embedding that centres the archive.

        The encoder's own mean at first; frozen to the archive's at the end of the first `add` that leaves
        `_IMAGES_FOR_MEAN` images or more, so that scores keep their meaning while the archive grows.
        """
        return self._header.mean.values.copy()

    @property
    def root(self) -> Path | None:
        """Folder that file names are relative to: the chosen one, or the common parent of those indexed."""
        chosen = self._header.root
        return Path(chosen) if chosen is not None else common_parent(self._header.folders)

    def __len__(self) -> int:
        return len(self._table)

    def add(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        workers: int | None = None,
        batch_size: int = 32,
        progress: bool = True,
        on_batch: Callable[[AddReport], None] | None = None,
        cluster: Cluster | None = None,
    ) -> AddReport:
        """Index images; what is known already is skipped, so that a stopped run goes on where it was.

        Args:
            paths: Files and folders; shards (tar, Parquet); URIs of objects and folders in a store.
            workers: Decoding processes; by default the processors less one, and at most eight.
            batch_size: Images that are encoded and stored together.
            progress: Show a progress bar, if standard error is a terminal.
            on_batch: Called with the report so far after every stored batch.
            cluster: A Ray cluster that reads and encodes the files, which must lie at the same paths there;
                this machine alone if None. The table is the same, but for float noise.

        Returns:
            What became of the files. Unusable ones are listed there and do not stop the run.

        Raises:
            InputError: A path is missing, there is no image at all, or it lies outside the chosen root.
            ArchiveError: Another process is writing to the archive, or its encoder has other weights now.
            StorageError: The archive cannot be written; what was stored before stays.
        """
        if batch_size < 1 or (workers is not None and workers < 1):
            raise InputError("batch_size and workers are at least 1; leave them out for the defaults.")
        given = [absolute(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        allow_stores(*given)
        with self._writing():
            self._remember_folders(given)
            ledger = Ledger(self._table, self._path / _SKIPPED)
            engine = self._engine(cluster, workers=workers, batch_size=batch_size)
            ingest = Ingest(self._table, ledger, engine, batch_size=batch_size)
            report = ingest.run(given, skip=[self._path], progress=progress, on_batch=on_batch)
            self._forget_folders()
            self._freeze_mean()
        return report

    def remove(self, images: str | Path | Iterable[str | Path]) -> int:
        """Drop images from the archive; their files stay, and adding them again indexes them again.

        A path of a file that was rejected or is a duplicate makes the next `add` look at it again.

        Args:
            images: Content hashes or paths.

        Returns:
            How many images were dropped.

        Raises:
            ArchiveError: Another process is writing.
            StorageError: The archive cannot be written.
        """
        given = [images] if isinstance(images, str | Path) else list(images)
        with self._writing():
            ledger = Ledger(self._table, self._path / _SKIPPED)
            hashes = set()
            for image in given:
                path = address(absolute(image))
                ledger.skipped.pop(path, None)
                content_hash = str(image) if str(image) in ledger.by_hash else ledger.by_path.get(path)
                if content_hash is not None:
                    hashes.add(content_hash)
            self._table.delete(sorted(hashes))
            ledger.save_skipped()
        return len(hashes)

    def statistics(self) -> Statistics:
        """Count what is there; reads the whole folder's sizes."""
        skipped = load_skipped(self._path / _SKIPPED)
        return Statistics(
            images=len(self._table),
            duplicates=sum(entry.reason is None for entry in skipped.values()),
            rejected=tuple((Path(path), entry.reason) for path, entry in skipped.items() if entry.reason),
            image_bytes=sum(row.bytes for row in self._table.rows()),
            archive_bytes=sum(file.stat().st_size for file in self._path.rglob("*") if file.is_file()),
            mean_images=self._header.mean.images,
            version=self._table.version,
        )

    def images(self) -> Iterator[Entry]:
        """All images, in the table's order."""
        for batch in self._table.scan(_ENTRY_COLUMNS):
            yield from (self._entry(values) for values in batch.to_pylist())

    def entry(self, content_hash: str) -> Entry:
        """One image.

        Raises:
            ArchiveError: It is not in the archive.
        """
        return self._entry(self._find([content_hash], _ENTRY_COLUMNS)[content_hash])

    def thumbnails(self, content_hashes: Sequence[str]) -> list[bytes]:
        """Small JPEG files of some images, in their order.

        Raises:
            ArchiveError: An image is not in the archive.
        """
        found = self._find(content_hashes, ["thumbnail"])
        return [found[content_hash]["thumbnail"] for content_hash in content_hashes]

    def embeddings(self) -> Iterator[tuple[list[Entry], NDArray[np.float16]]]:
        """Global vectors (n, E) of all images as the encoder gave them, with the images, many at a time."""
        columns = [*_ENTRY_COLUMNS, "embedding"]
        for start in range(0, len(self._table), _ROWS_PER_EXPORT):
            rows = self._table.take(range(start, min(start + _ROWS_PER_EXPORT, len(self._table))), columns)
            entries = [self._entry(values) for values in rows.select(_ENTRY_COLUMNS).to_pylist()]
            yield entries, fixed_lists(rows["embedding"])

    def cells(self, *, most: int = 50_000) -> CompactCells:
        """Compact cells of all images, or of so many spread evenly, in order of content hash; 2 KB each."""
        positions = self._table.spread(most)
        inverse = np.argsort(np.argsort(positions))
        return cells_of(self._table.take(np.sort(positions).tolist(), CELL_COLUMNS).take(inverse))

    def cells_at(self, content_hashes: Sequence[str]) -> CompactCells:
        """Compact cells of some images, in their order.

        Raises:
            ArchiveError: An image is not in the archive.
        """
        found = self._find(content_hashes, CELL_COLUMNS)
        rows = [found[content_hash] for content_hash in content_hashes]
        parts = []
        for name in ("language", "dense"):
            factors = np.array([row[f"{name}_factors"] for row in rows], np.float16)  # (n, cells)
            bits = np.array([row[f"{name}_bits"] for row in rows], np.uint8)  # (n, cells * bytes)
            parts.append(Codes(bits.reshape(*factors.shape, -1), factors))
        return CompactCells(*parts)

    def search(
        self,
        *,
        language: _Vector | None = None,
        dense: _Vector | None = None,
        whole: _Vector | None = None,
        k: int = 50,
        where: ImageFilter | None = None,
    ) -> list[Hit]:
        """The images that fit a word, exemplars, or both.

        A word scores cos(embedding - mean, word) + max over the kept cells of cos(cell, word); exemplars
        score the mean of the three best kept cells along their direction. Given both, each score is
        standardised over the archive and they are added.

        Args:
            language: (D,) vector of a word, as `Encoder.encode_text` gives it.
            dense: (C,) foreground prototype minus background prototype.
            whole: (E,) the word as global vectors know it (`TextEmbedding.whole`), if not by `language`.
            k: How many images; all of them where the archive has fewer.
            where: Which images are looked at; all if None.

        Returns:
            The images, best first.

        Raises:
            InputError: Neither vector was given, or one of the wrong length, or impossible conditions.
        """
        tensors = (None if given is None else torch.as_tensor(given) for given in (language, dense, whole))
        return self.search_many([Query(*tensors)], k=k, where=where)[0]

    def search_many(
        self,
        queries: Sequence[Query],
        *,
        k: int = 50,
        where: ImageFilter | None = None,
    ) -> list[list[Hit]]:
        """Several searches in one pass over the index: the results of `search`, sooner.

        Args:
            queries: What is looked for.
            k: See `search`.
            where: See `search`.

        Raises:
            InputError: See `search`.
        """
        shape = self._header.shape
        wanted = [_checked(query, shape) for query in queries]
        if self._searcher is None:
            self._searcher = Searcher(
                self._table, shape=shape, mean=self._header.mean, cache=self._path / _INDEX
            )
        return self._searcher.search(wanted, k=k, where=where)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the only writer, and work on the latest version."""
        with writing(self._path, "wait until it has finished"):
            self._header = Header.load(self._path)
            self._table = Table(self._path / TABLE, self._header.shape)
            self._searcher = None
            yield

    def _engine(self, cluster: Cluster | None, *, workers: int | None, batch_size: int) -> Engine:
        if cluster is not None:
            from reco_assist.archive.distributed import RayEngine  # noqa: PLC0415  (Ray is an extra)

            return RayEngine(cluster, self.encoder.name, self._header.weights, side=self.encoder.input_size)
        processes = workers or min(8, max(1, (os.cpu_count() or 2) - 1))
        return LocalEngine(self.encoder, workers=processes, ahead=2 * (batch_size + processes))

    def _remember_folders(self, paths: Sequence[Path]) -> None:
        folders = {address(folder_of(path)) for path in paths}
        root = self._header.root
        for folder in sorted(folders):
            if root is not None and not Path(folder).is_relative_to(root):
                raise InputError(f"{folder} lies outside the archive's root {root}; use another archive.")
        self._save_folders({*self._header.folders, *folders})

    def _forget_folders(self) -> None:
        """Drop folders that no image lies in any more, since the common parent is taken of the others."""
        used = {address(parent) for row in self._table.rows() for parent in Path(row.path).parents}
        self._save_folders(used.intersection(self._header.folders))

    def _save_folders(self, folders: set[str]) -> None:
        if folders != set(self._header.folders):
            self._header = replace(self._header, folders=tuple(sorted(folders)))
            self._header.save(self._path)

    def _freeze_mean(self) -> None:
        """Take the archive's mean, once.

        In order of content hash, since sums of floats depend on the order, and the table's on its history.
        """
        if self._header.mean.version > 0 or len(self._table) < _IMAGES_FOR_MEAN:
            return
        order = self._table.spread(len(self._table))
        total = np.zeros(self._header.shape.embedding)  # (E,)
        for start in range(0, len(order), _ROWS_PER_SUM):
            rows = self._table.take(order[start : start + _ROWS_PER_SUM].tolist(), ["embedding"])
            total += fixed_lists(rows["embedding"]).sum(0, dtype=np.float64)  # (E,)
        mean = Mean(version=1, images=len(order), values=(total / len(order)).astype(np.float32))
        self._header = replace(self._header, mean=mean)
        self._header.save(self._path)

    def _find(self, hashes: Sequence[str], columns: list[str]) -> dict[str, dict[str, Any]]:
        found = self._table.find(hashes, columns)
        for content_hash in hashes:
            if content_hash not in found:
                raise ArchiveError(f"There is no image {content_hash} in {self._path}; search it anew.")
        return found

    def _entry(self, values: dict[str, Any]) -> Entry:
        path = Path(values["path"])
        root = self.root  # none where images lie on different disks or in different stores
        name = path.relative_to(path.anchor) if root is None else Path(os.path.relpath(path, root))
        details = {key: values[key] for key in ("content_hash", "width", "height", "bytes")}
        return Entry(path=path, file_name=name.as_posix(), **details)


@contextmanager
def writing(folder: Path, otherwise: str) -> Iterator[None]:
    """Hold an archive's lock; the system frees it when a process dies. Nothing in the table may be a link.

    Args:
        folder: The archive's.
        otherwise: What to do where another process holds it.

    Raises:
        ArchiveError: Another process is writing.
        StorageError: The archive cannot be written, or holds links.
    """
    busy = ArchiveError(f"Another process is writing to the archive {folder}; {otherwise}.")
    with only_writer(folder, name=_LOCK, busy=busy):
        unlinked_tree(folder / TABLE)
        yield


def _shape(encoder: Encoder) -> Shape:
    """What an encoder makes of an image, by trying it on a grey one."""
    size = encoder.input_size
    grey = torch.full((1, 3, size, size), 128, dtype=torch.uint8)
    with torch.inference_mode():
        features = encode_within_memory(encoder, grey)
        cells = compact_cells(features, encoder.mean_language, encoder.vocabulary)
    language, embedding = features.language.shape[1], features.embedding.shape[1]
    return Shape(
        language,
        cells.language.factors.shape[1],
        features.dense.shape[1],
        cells.dense.factors.shape[1],
        whole=None if embedding == language else embedding,
    )


def _check_encoder(folder: Path, header: Header, encoder: Encoder) -> None:
    if (identity(encoder.name), encoder.weights) != (identity(header.encoder), header.weights):
        raise ArchiveError(
            f"The archive {folder} was made with the encoder {header.encoder!r} (weights "
            f"{header.weights[:12]}), not with {encoder.name!r} (weights {encoder.weights[:12]}); open it "
            "with that one, or index the images into a new archive."
        )


def _checked(query: Query, shape: Shape) -> Query:
    if query.language is None and query.dense is None:
        raise InputError("A search needs a word or exemplars; give `language`, `dense` or both.")
    whole = query.language if query.whole is None else query.whole
    return Query(
        _vector("language", query.language, shape.language),
        _vector("dense", query.dense, shape.dense),
        None if query.language is None else _vector("whole", whole, shape.embedding),
    )


def _vector(name: str, values: Tensor | None, length: int) -> Tensor | None:
    if values is None:
        return None
    vector = values.detach().float().cpu()
    if vector.shape != (length,) or not bool(torch.isfinite(vector).all()):
        raise InputError(
            f"`{name}` has the shape {tuple(vector.shape)} where {length} finite numbers are expected; use "
            "the archive's encoder."
        )
    return vector
