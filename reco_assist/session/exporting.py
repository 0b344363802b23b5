"""What a session hands on: reviewed masks as COCO, Label Studio tasks and label maps."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from reco_assist.annotations import Prediction, Region, Verdict
from reco_assist.annotations.regions import Instances, regions
from reco_assist.datasets import hold_out
from reco_assist.errors import InputError
from reco_assist.files import remove_file
from reco_assist.folders import make_output_folder
from reco_assist.formats import (
    FORMATS,
    Format,
    check_formats,
    keep_numbers,
    write_coco,
    write_label_maps,
    write_label_studio,
)
from reco_assist.safe_paths import inside
from reco_assist.session.records import Result
from reco_assist.session.session import Session
from reco_assist.version import __version__

log = logging.getLogger("reco_assist")

_MASKS = "masks/"
_FILES = frozenset({"coco.json", "coco-train.json", "coco-val.json", "label-studio.json"})
_NUMBERS = "categories"  # key of the store: the category id that each concept has had since its first export


@dataclass(frozen=True, slots=True)
class Choice:
    """Which images are exported, and how.

    Attributes:
        undecided: Also images that nobody has decided about, as the segmenter sees them.
        negatives: Rejected masks become images without the concept; otherwise nothing is said of them.
        absent: Also images in which every concept was said to be absent.
        instances: components: one region for each connected part; split: also parted where objects touch;
            none: one for each concept and image.
        formats: At least one of `FORMATS`.
        validation: Share of the images that goes into a data set of its own, 0 to 0.5; 0 for one data set.
    """

    undecided: bool = False
    negatives: bool = False
    absent: bool = True
    instances: Instances = "components"
    formats: tuple[Format, ...] = FORMATS
    validation: float = 0.0


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        folder: Where.
        files: Names of the files in it; label maps as one folder.
        images: Images by part: `all`, or `train` and `val`.
        regions: By concept.
        new: Images that the last export to this folder did not have.
        changed: Images whose regions or verdicts differ from it.
        removed: Images that only the last export had.
    """

    folder: Path
    files: tuple[str, ...]
    images: dict[str, int]
    regions: dict[str, int]
    new: int
    changed: int
    removed: int

    def __str__(self) -> str:
        parts = ", ".join(f"{count:,} {name}" for name, count in self.images.items())
        images = f"{sum(self.images.values()):,} images" + (f" ({parts})" if len(self.images) > 1 else "")
        regions = ", ".join(f"{count:,} of {name!r}" for name, count in self.regions.items())
        changes = (
            f"{self.new:,} new, {self.changed:,} changed, {self.removed:,} removed since the last export"
        )
        return f"{images}, masks: {regions}; {changes}."


@dataclass(frozen=True, slots=True)
class _Last:
    """What the last export to a folder wrote: digests by the images' names, and names of files."""

    images: dict[str, str]
    files: list[str]

    @classmethod
    def read(cls, session: Session, folder: Path) -> "_Last":
        """As the log has it, which may be a stranger's; what it cannot have written counts as not written."""
        record = session.store.get(_key(folder))
        found = record if isinstance(record, dict) else {}
        images, files = found.get("images"), found.get("files")
        last = cls({}, [name for name in files if isinstance(name, str)] if isinstance(files, list) else [])
        for name, digest in images.items() if isinstance(images, dict) else ():
            try:
                inside(folder / _MASKS, name)
                last.images[name] = str(digest)
            except InputError as error:
                log.warning("A label map of the last export is left: %s", error)
        return last


def export(session: Session, folder: str | Path, choice: Choice | None = None) -> Exported:
    """Write what was reviewed. The masks are those of `Session.mask`: what the curator saw.

    Args:
        session: The job.
        folder: Where the files go; they replace those of an earlier export.
        choice: Which images, and how; the defaults of `Choice` if None.

    Raises:
        InputError: The choice makes no sense, or leaves no image.
        StorageError: The folder cannot be written.
    """
    chosen = choice or Choice()
    check_formats(chosen.formats)
    if not 0 <= chosen.validation <= 0.5:
        raise InputError(f"The validation share is {chosen.validation}; give one from 0 to 0.5.")
    predictions = collect(session, chosen)
    if not predictions:
        raise InputError("No image is ready to be exported; accept some, or include the undecided ones.")
    place = make_output_folder(Path(folder))
    parts = split(session, predictions, chosen.validation)
    last = _Last.read(session, place)
    files = _write(session, place, parts, chosen, last)
    digests = {prediction.image.file_name: _digest(prediction) for prediction in predictions}
    new, changed, removed = _remember(session, place, digests, files, last)
    regions = dict.fromkeys(session.concepts, 0)
    for prediction in predictions:
        for region in prediction.regions:
            regions[region.concept] += 1
    sizes = {name: len(part) for name, part in parts.items()}
    return Exported(place, files, sizes, regions, new, changed, removed)


def collect(session: Session, choice: Choice) -> list[Prediction]:
    """What is to be exported of each image, by file name; copies of an image are listed like any other."""
    found: dict[str, Prediction | None] = {}
    predictions = []
    for file_name, digest in sorted(session.files().items()):
        if digest not in found:
            found[digest] = _prediction(session, session.result(digest), choice)
        one = found[digest]
        if one is not None:
            image = session.result(digest).image
            named = type(image)(file_name, digest, image.width, image.height)
            predictions.append(Prediction(named, one.regions, one.verdicts))
    return predictions


def split(
    session: Session, predictions: Sequence[Prediction], validation: float
) -> dict[str, list[Prediction]]:
    """Part a data set so that near-duplicates, and copies, stay on one side; see `datasets.hold_out`.

    Returns:
        `{"all": ...}` without a validation part, else `train` and `val`; each keeps the order given.
    """
    if not validation:
        return {"all": list(predictions)}
    digests = {prediction.image.content_hash for prediction in predictions}
    marks = {digest: session.result(digest).fingerprint for digest in digests}
    shown = {
        prediction.image.content_hash: {region.concept for region in prediction.regions}
        for prediction in predictions
    }
    held = hold_out(marks, shown, validation)
    sides: dict[str, list[Prediction]] = {"train": [], "val": []}
    for prediction in predictions:
        sides["val" if prediction.image.content_hash in held else "train"].append(prediction)
    return sides


def _prediction(session: Session, result: Result, choice: Choice) -> Prediction | None:
    digest = result.image.content_hash
    shown: list[Region] = []
    verdicts: list[Verdict] = []
    listed = choice.undecided
    for name in session.concepts:
        finding = result.findings.get(name)
        if finding is None:
            continue
        state = session.review(digest, name).state
        if state == "accepted" or (choice.undecided and state in {"pending", "skipped"}):
            verdict, mask = finding.verdict(name), session.mask(digest, name)
            levels = session.masks.scores(digest, name)
            found = regions(verdict, mask, levels, instances=choice.instances)
            if state == "accepted":  # somebody has looked
                found = [replace(one, score=1.0) for one in found]
                verdict = replace(verdict, present=bool(found), probability=float(bool(found)))
            shown += found
            verdicts.append(verdict)
            listed = True
        elif state == "absent" or (choice.negatives and state == "rejected"):
            verdicts.append(Verdict(name, present=False, probability=0.0))
            listed |= choice.absent if state == "absent" else True
    return Prediction(result.image, tuple(shown), tuple(verdicts)) if listed else None


def _write(
    session: Session,
    folder: Path,
    parts: Mapping[str, Sequence[Prediction]],
    choice: Choice,
    last: _Last,
) -> tuple[str, ...]:
    concepts = keep_numbers(session.concepts, session.store.get(_NUMBERS) or {})
    info = {"description": f"reco-assist {__version__}", "session": session.folder.name}
    everything = [prediction for part in parts.values() for prediction in part]
    files: list[str] = []
    if "coco" in choice.formats:
        for part, predictions in parts.items():
            files.append("coco.json" if part == "all" else f"coco-{part}.json")
            write_coco(folder / files[-1], partial(iter, predictions), concepts, info=info)
    if "label-studio" in choice.formats:
        files.append("label-studio.json")
        version = f"reco-assist {__version__}, reviewed"
        write_label_studio(folder / files[-1], everything, concepts, model_version=version)
    if "png" in choice.formats:
        files.append(_MASKS)
        write_label_maps(folder / _MASKS, partial(iter, everything), concepts, earlier=last.images)
    return tuple(files)


def _remember(
    session: Session, folder: Path, digests: Mapping[str, str], files: Sequence[str], last: _Last
) -> tuple[int, int, int]:
    """Note what was exported, clear away what only the last export wrote, and count what differs from it."""
    for name in _FILES.intersection(last.files).difference(files):
        remove_file(folder / name)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    known = session.store.get(_NUMBERS) or {}
    # Those of concepts that were removed stay taken: an id never comes to mean something else.
    numbers = {**known, **keep_numbers(session.concepts, known)}
    earlier = last.images
    exported = {"at": now, "images": dict(digests), "files": list(files)}
    session.store.put("export", {_key(folder): exported, _NUMBERS: numbers})
    new = sum(name not in earlier for name in digests)
    changed = sum(name in earlier and earlier[name] != digest for name, digest in digests.items())
    return new, changed, len(earlier.keys() - digests.keys())


def _key(folder: Path) -> str:
    """Where the store keeps what was exported to a folder."""
    return f"export/{folder.resolve()}"


def _digest(prediction: Prediction) -> str:
    parts: Collection[object] = (
        [(region.concept, region.mask.counts, region.score) for region in prediction.regions],
        [(verdict.concept, verdict.present, verdict.probability) for verdict in prediction.verdicts],
    )
    return sha256(repr(parts).encode()).hexdigest()[:16]
