"""The output folder of a run as something to push: its predictions, and where the images are."""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from reco_assist.annotations import Prediction
from reco_assist.errors import FormatError, InputError, reason
from reco_assist.files import write_bytes
from reco_assist.formats import read_coco, to_predictions
from reco_assist.images import absolute, address, is_remote
from reco_assist.json_files import read_json

RUN = "run.json"
"""Where a run keeps what is of this machine only: the folder of its images."""

_LARGEST_NOTE = 1 << 16  # bytes of it


@dataclass(frozen=True, slots=True)
class Output:
    """What a run left.

    Attributes:
        predictions: One for each image.
        concepts: Names of the categories.
        model_version: What made the predictions: the concepts, and a digest of how they were applied.
        images: The folder that file names are relative to, as far as it is known.
    """

    predictions: tuple[Prediction, ...]
    concepts: tuple[str, ...]
    model_version: str
    images: Path | None


def note_images(folder: Path, images: Path) -> None:
    """Remember where the images of a run are.

    Raises:
        StorageError: It cannot be written.
    """
    write_bytes(folder / RUN, (json.dumps({"images": address(absolute(images))}) + "\n").encode())


def images_of(folder: Path) -> Path | None:
    """Where the images of a run are; None where nothing tells, or they are there no more."""
    try:
        images = Path(read_json(folder / RUN, _LARGEST_NOTE)["images"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return images if is_remote(images) or images.is_dir() else None


def read_output(folder: Path) -> Output:
    """Read the `coco.json` of a run.

    Raises:
        InputError: There is none.
        FormatError: It was not written by `write_coco`.
    """
    path = folder / "coco.json"
    if not path.is_file():
        raise InputError(f"{folder} holds no coco.json; make it by reco-assist segment with the format coco.")
    dataset = read_coco(path)
    try:
        version = _version(dataset.document["info"])
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{path} was not written by reco-assist ({reason(error)}); segment the images again."
        ) from error
    return Output(to_predictions(dataset), tuple(dataset.concepts), version, images_of(folder))


def _version(info: dict[str, Any]) -> str:
    """The same result has the same version: concepts by name and digest, options by their own."""
    about = info.get("concepts") or []
    names = " ".join(f"{one['name']}@{str(one['digest'])[:8]}" for one in about)
    how = sha256(json.dumps(info, sort_keys=True).encode()).hexdigest()[:6]
    return f"reco-assist {names} {how}" if names else f"{info.get('description') or 'reco-assist'} {how}"
