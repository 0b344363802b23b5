"""Examples: images with pseudo-labels or corrected masks, in a folder, made batch by batch and resumable."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.errors import FormatError, ImageError, InputError, reason
from reco_assist.files import file_hash, write_bytes
from reco_assist.folders import make_output_folder
from reco_assist.formats import name_key, read_coco
from reco_assist.formats.photographs import check_size
from reco_assist.image_files import load_image
from reco_assist.images import Stamp, is_of, near_duplicate_groups, perceptual_hash, read_stamp, stamp
from reco_assist.json_files import JsonLog, json_line
from reco_assist.segmenter import Loaded, Predictor, Skipped, Target, load
from reco_assist.student.pseudo_labels import PseudoLabel, corrected_label, pseudo_label

BATCH = 16  # fixed: a resumed run makes the same batches
_LIST = "examples.jsonl"

Kind = Literal["corrected", "present", "absent"]
Masks = dict[str, NDArray[np.bool_] | None]
"""(H, W) bool by concept; None where nothing was said about it."""


@dataclass(frozen=True, slots=True)
class Example:
    """One image of the examples.

    Attributes:
        file_name: As the data set names it.
        key: Of its files in the folder.
        kind: corrected by a human, or the teacher finds a concept present, or none.
        fingerprint: 64 bits that near-duplicates share but for a few.
        stamp: Of its file when it was read; None in lists of older releases.
    """

    file_name: str
    key: str
    kind: Kind
    fingerprint: int
    stamp: Stamp = None


@dataclass(frozen=True, slots=True)
class CorrectedMasks:
    """Masks that somebody has corrected, read when asked for.

    Attributes:
        files: Names of the corrected images; see `formats.name_key`.
        digest: Of the file they come from.
        masks: The masks of an image by its name, and by the height and width of its photograph.
        blank: How many masks without a pixel were left out.
    """

    files: frozenset[str]
    digest: str
    masks: Callable[[str, tuple[int, int]], Masks]
    blank: int


def read_corrected_masks(path: Path, concepts: Sequence[str]) -> CorrectedMasks:
    """Corrected masks of a COCO file: of a session's export, pulled from Label Studio, or anybody's.

    Every image of the file counts as corrected: what is not outlined in it is not there. A file of ours names
    in `reco_verdicts` the concepts that were decided about; of others in that image nothing is known.

    Raises:
        InputError: There is no such file, or it knows none of the concepts.
        FormatError: It is not a COCO data set.
    """
    read = read_coco(path)
    found = read.drawn
    known = {name.casefold() for name in found.concepts}
    if not known & {name.casefold() for name in concepts}:
        raise InputError(
            f"{path} has the categories {sorted(found.concepts)} and the student is about "
            f"{list(concepts)}: give corrections of these concepts"
        )

    def masks(file: str, size: tuple[int, int]) -> Masks:
        image = found.find(file)
        if image is None:
            raise InputError(f"{file} is not in {path}: correct it too")
        record = found.images[image]
        check_size(found.name(record), size, (record["height"], record["width"]), str(path))
        said = record.get("reco_verdicts")

        def one(name: str) -> NDArray[np.bool_] | None:
            unsaid = said and found.presence(image, name) is None and not found.of(image, name)
            return None if unsaid or name.casefold() not in known else found.union(image, name)

        return {name: one(name) for name in concepts}

    files = frozenset(name_key(found.name(image)) for image in found.images.values())
    blank = len(read.document["annotations"]) - len(found.document["annotations"])
    return CorrectedMasks(files, file_hash(path), masks, blank)


class Examples:
    """Examples in a folder.

    Args:
        folder: Made if missing; what is there is kept if it was made with the same settings.
        concepts: Names of the classes.
        side: Pixels of the square images and labels.
        teacher: Digest by concept of what makes the pseudo-labels.
        corrections: Files of corrected masks.

    Raises:
        StorageError: The folder cannot be written.
        FormatError: What is there is damaged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        concepts: Sequence[str],
        side: int,
        teacher: Mapping[str, str],
        corrections: Sequence[CorrectedMasks] = (),
    ) -> None:
        self.folder, self.side, self.concepts = make_output_folder(folder), side, tuple(concepts)
        self._corrections = {file: one for one in corrections for file in one.files}
        self.settings: dict[str, Any] = {
            "concepts": list(concepts),
            "side": side,
            "teacher": dict(teacher),
            "corrections": [one.digest for one in corrections],
        }
        self.skipped: list[tuple[str, str]] = []
        self._log = JsonLog(self.folder / _LIST, json.dumps(self.settings, sort_keys=True).encode() + b"\n")
        self._items = {one.file_name: one for one in map(self._example, self._log.records())}

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._items.values())

    @property
    def digest(self) -> str:
        """Identity of what the examples teach."""
        told = [{key: value for key, value in asdict(one).items() if key != "stamp"} for one in self]
        facts = [self.settings, told]
        return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def add(self, teacher: Predictor, targets: Sequence[Target]) -> Iterator[int]:
        """Label what is not labelled yet or has changed; the teacher does not look at corrected images.

        Yields:
            How many targets were dealt with, after each batch that is on disk.

        Raises:
            InputError: Corrected images are not among the targets.
            StorageError: The folder cannot be written.
        """
        if lost := sorted(set(self._corrections) - {name_key(target.file_name) for target in targets}):
            raise InputError(
                f"{len(lost)} corrected images are not among the images, such as {lost[0]}: name the folder "
                "that the corrections' file names are relative to"
            )
        for start in range(0, len(targets), BATCH):
            batch = targets[start : start + BATCH]
            left = [target for target in batch if not self._knows(target)]
            corrected = [target for target in left if name_key(target.file_name) in self._corrections]
            self._label(corrected, None)
            self._label([target for target in left if target not in corrected], teacher)
            yield len(batch)

    def read(self, example: Example) -> tuple[NDArray[np.uint8], PseudoLabel]:
        """(S, S, 3) uint8 RGB and the label of an example.

        Raises:
            FormatError: Its files are damaged or gone.
        """
        try:
            pixels = np.array(load_image(self._path(example, "image"), "RGB"))
            label = np.array(load_image(self._path(example, "label"), "LA"))  # (S, S, 2)
        except ImageError as error:
            raise FormatError(
                f"{self.folder} has lost {example.file_name}: remove it and start again"
            ) from error
        return pixels, PseudoLabel(label[..., 0], label[..., 1])

    def split(self, validation: float) -> tuple[list[Example], list[Example]]:
        """Examples to train on, and examples to look at: near-duplicates are on one side.

        What humans have corrected is scarce, and is all trained on, with what looks like it.
        """
        items = sorted(self, key=lambda one: one.key)
        groups: dict[int, list[Example]] = {}
        for number, one in zip(near_duplicate_groups([i.fingerprint for i in items]), items, strict=True):
            groups.setdefault(number, []).append(one)
        free = [part for part in groups.values() if all(one.kind != "corrected" for one in part)]
        wanted, held = round(validation * len(items)), set[str]()
        for part in sorted(free, key=lambda part: sha256(part[0].key.encode()).digest()):
            if len(held) + len(part) <= wanted:
                held.update(one.key for one in part)
        return [one for one in items if one.key not in held], [one for one in items if one.key in held]

    def _knows(self, target: Target) -> bool:
        found = self._items.get(target.file_name)
        return found is not None and is_of(found.stamp, target.path)

    def _label(self, targets: Sequence[Target], teacher: Predictor | None) -> None:
        if not targets:
            return
        made: list[Example] = []
        stamps = [stamp(target.path) for target in targets]  # before the files are read
        seen = teacher.segment(targets) if teacher else [None] * len(targets)
        for loaded, said, stamped in zip(load(targets, self.side), seen, stamps, strict=True):
            if isinstance(loaded, Skipped) or isinstance(said, Skipped):
                reason = loaded.reason if isinstance(loaded, Skipped) else "it cannot be read"
                self._skip(loaded.target.file_name, reason)
                continue
            name, size = loaded.target.file_name, (loaded.reference.height, loaded.reference.width)
            if said is None:
                try:
                    masks = self._corrections[name_key(name)].masks(name, size)
                except ImageError as error:
                    self._skip(name, str(error))
                    continue
                label = corrected_label(dict(enumerate(masks.values(), 1)), self.side)
                kind: Kind = "corrected"
            else:
                label = pseudo_label(said.maps, said.verdicts, self.side)
                kind = "present" if label.classes.any() else "absent"
            made.append(self._keep(loaded, label, kind, stamped))
        self._log.append(*(json_line(asdict(one)) for one in made))
        self._items |= {one.file_name: one for one in made}

    def _skip(self, file_name: str, reason: str) -> None:
        self._items.pop(file_name, None)
        self.skipped.append((file_name, reason))

    def _keep(self, loaded: Loaded, label: PseudoLabel, kind: Kind, stamped: Stamp) -> Example:
        name, pixels = loaded.target.file_name, loaded.squares[0]
        example = Example(name, _key(name), kind, perceptual_hash(pixels), stamped)
        both = np.stack([label.classes, label.weights], -1)  # (S, S, 2)
        write_bytes(self._path(example, "image"), _png(pixels))
        write_bytes(self._path(example, "label"), _png(both))
        return example

    def _example(self, record: Any) -> Example:  # noqa: ANN401  (whatever the list holds)
        try:
            example = Example(**{**record, "stamp": read_stamp(record.get("stamp"))})
            if example.key != _key(example.file_name):
                raise ValueError(f"{example.key} is not the key of {example.file_name}")
        except (TypeError, ValueError, AttributeError) as error:
            said = reason(error)
            raise FormatError(f"{self._log.path} is damaged ({said}): remove it and start again") from error
        return example

    def _path(self, example: Example, what: str) -> Path:
        return self.folder / f"{example.key}-{what}.png"


def _key(file_name: str) -> str:
    return sha256(file_name.encode()).hexdigest()[:20]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
