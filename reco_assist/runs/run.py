"""One run: targets segmented into an output folder, and exported from there."""

from collections import Counter, deque
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from tqdm.auto import tqdm

from reco_assist.annotations import Prediction
from reco_assist.cluster import Cluster
from reco_assist.errors import InputError
from reco_assist.folders import make_folder, make_output_folder
from reco_assist.formats import (
    FORMATS,
    check_formats,
    keep_numbers,
    read_coco,
    write_coco,
    write_label_maps,
    write_label_studio,
)
from reco_assist.images import Stamp, stamp
from reco_assist.locks import only_writer
from reco_assist.runs.batches import Batch, make_batches
from reco_assist.runs.journal import Journal, key_of
from reco_assist.runs.kept_tiles import FOLDER, KeptTiles
from reco_assist.segmenter import Predictor, Segmenter, Target
from reco_assist.version import __version__

BATCH = 16
"""Images of a batch; fixed, so that a stopped run goes on with the same batches."""

CONCEPTS = "concepts"
"""Folder of the results with the Concepts that they were made with, by digest."""

_JOURNAL = "journal.jsonl"


class Run:
    """What a predictor finds in targets, in a folder of results. Opened by `Run.open`.

    Bound to its targets: what was segmented before counts as long as the listing up to it and its files are
    the same. The next batches are made anew, and images that are gone are not exported.

    Attributes:
        out: The folder.
        predictor: What segments.
        targets: The images, in their order.
        options: What decides the masks besides the predictor, as JSON values.
    """

    def __init__(
        self, out: Path, predictor: Predictor, targets: Sequence[Target], options: Mapping[str, Any]
    ) -> None:
        self.out, self.predictor, self.targets, self.options = out, predictor, targets, dict(options)
        self._settings = {
            "concepts": list(predictor.digests.values()),
            "options": self.options,
            "version": __version__,
        }
        self._journal = Journal(out / _JOURNAL, self._settings)
        self._stamps: list[tuple[Stamp, ...]] = []  # of the files of each finished batch
        for batch in self._batches():
            stamps = tuple(stamp(target.path) for target in batch)
            if not self._journal.holds(len(self._stamps), key_of(batch, stamps)):
                break
            self._stamps.append(stamps)
        self._journal.cut(len(self._stamps))
        self._lost: dict[str, str] = {}
        self._known, self._before = self._earlier()  # now: a damaged export is said before hours of work

    @classmethod
    @contextmanager
    def open(
        cls,
        out: Path,
        predictor: Predictor,
        targets: Sequence[Target],
        *,
        options: Mapping[str, Any] | None = None,
    ) -> Iterator[Self]:
        """Begin a run, or go on with the one that the folder holds; with other settings it begins anew.

        Args:
            out: The folder; made if missing, and locked until the block ends.
            predictor: What segments.
            targets: The images; see `list_targets`.
            options: What decides the masks besides the predictor, as JSON values.

        Raises:
            StorageError: The folder cannot be written, or another process writes to it.
        """
        with only_writer(make_output_folder(out)):
            if isinstance(predictor, Segmenter):  # so that 'reco-assist explain' needs nothing but the folder
                for concept in predictor.concepts:
                    concept.save(make_folder(out / CONCEPTS) / f"{concept.digest}.concept")
            yield cls(out, predictor, targets, options or {})

    @property
    def done(self) -> int:
        """How many targets were dealt with."""
        return min(len(self._stamps) * BATCH, len(self.targets))

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(file name, reason in a sentence) of targets that have no masks."""
        return list({**self._lost, **dict(self._journal.skipped)}.items())

    def predictions(self) -> Iterator[Prediction]:
        """What was found in each image, in the order of the targets, read from disk while it is asked for."""
        for batch in self._journal.batches():
            yield from (one for one in batch.predictions if one.image.file_name not in self._lost)

    def segment(self, *, cluster: Cluster | None = None, progress: bool = True) -> None:
        """Segment what is left; every finished batch is on disk at once.

        Of a huge image each batch of tiles is on disk at once too, but not on a cluster.
        After a run that died, the first batch is made without the images that crash a decoder, if there are
        any.

        Args:
            cluster: A Ray cluster that does the work, with the images at the same paths; here if None.
            progress: Show a bar, in a terminal or a notebook.

        Raises:
            StorageError: The journal cannot be written.
            InputError: A cluster is given, and what makes the masks is no Segmenter.
        """
        off = None if progress else True
        tiles = KeptTiles(self.out / FOLDER, self._settings, progress=progress)
        begun: deque[tuple[Sequence[Target], tuple[Stamp, ...]]] = deque()

        def left() -> Iterator[Sequence[Target]]:
            for batch in self._batches(len(self._stamps)):
                begun.append(
                    (batch, tuple(stamp(target.path) for target in batch))
                )  # before its files are read
                yield batch

        with (
            tqdm(
                total=len(self.targets), initial=self.done, unit="image", desc="segment", disable=off
            ) as bar,
            closing(self._made(left(), cluster, tiles)) as made,
        ):
            for batch in made:
                targets, stamps = begun.popleft()
                self._journal.append(key_of(targets, stamps), batch)
                self._stamps.append(stamps)
                tiles.forget()
                bar.update(len(targets))

    def export(self, formats: Collection[str] = FORMATS) -> dict[str, int]:
        """Write what was found, without the images that are gone or were changed since; see `skipped`.

        Args:
            formats: Any of `FORMATS`.

        Returns:
            How many regions each concept has.

        Raises:
            InputError: There is no such format.
            StorageError: The folder cannot be written.
        """
        formats = check_formats(formats)
        self._lost = self._look()
        about = self.predictor.about()
        names = keep_numbers([one["name"] for one in about], self._known)
        info = {"description": f"reco-assist {__version__}", "concepts": about, "options": self.options}
        version = "reco-assist " + " ".join(f"{one['name']}@{str(one['digest'])[:8]}" for one in about)
        if "coco" in formats:
            write_coco(self.out / "coco.json", self.predictions, names, info=info)
        if "label-studio" in formats:
            path = self.out / "label-studio.json"
            write_label_studio(path, self.predictions(), names, model_version=version)
        if "png" in formats:
            write_label_maps(self.out / "masks", self.predictions, names, earlier=self._before)
        counts = self._regions()
        return {name: counts[name] for name in names}

    def _regions(self) -> Counter[str]:
        """How many regions of each concept are exported."""
        known = self._journal.regions
        if self._lost or known is None:
            return Counter(region.concept for one in self.predictions() for region in one.regions)
        return known

    def _batches(self, first: int = 0) -> Iterator[Sequence[Target]]:
        for start in range(first * BATCH, len(self.targets), BATCH):
            yield self.targets[start : start + BATCH]

    def _made(
        self, batches: Iterator[Sequence[Target]], cluster: Cluster | None, tiles: KeptTiles
    ) -> Generator[Batch]:
        if cluster is None:
            predictor = self.predictor
            if isinstance(predictor, Segmenter):
                predictor = predictor.keeping(tiles)
            return make_batches(predictor, batches, self.out / ".unfinished")
        if not isinstance(self.predictor, Segmenter):
            raise InputError("The engine ray segments with Concepts only; run a student on this machine.")
        from reco_assist.runs import distributed  # noqa: PLC0415  (Ray is an extra)

        return distributed.make_batches(cluster, self.predictor, batches)

    def _look(self) -> dict[str, str]:
        """Targets whose masks are of a file that is there no more, and why, in a sentence each."""
        lost = {}
        for batch, stamps in zip(self._batches(), self._stamps, strict=False):
            for target, then in zip(batch, stamps, strict=True):
                now = stamp(target.path)
                if now != then:
                    what = "is gone" if now is None else "was changed"
                    lost[target.file_name] = (
                        f"{target.file_name} {what} since it was segmented: run the same command again"
                    )
        return lost

    def _earlier(self) -> tuple[dict[str, int], list[str]]:
        """Of the last export: the ids of its categories, which they keep, and the names of its images."""
        path = self.out / "coco.json"
        if not path.is_file():
            return {}, []
        last = read_coco(path)
        known = {
            name: number for name, number in last.concepts.items() if isinstance(number, int) and number > 0
        }
        return known, [str(one["file_name"]) for one in last.images.values()]
