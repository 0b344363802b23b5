"""The header of an archive, `archive.json`: what it is, who encoded it, and its frozen mean."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reco_assist.archive.table import Shape
from reco_assist.errors import ArchiveError, FormatError, reason, unknown_format
from reco_assist.files import write_bytes
from reco_assist.json_files import read_json
from reco_assist.safe_paths import ARCHIVE_HEADER

FORMAT = 1
"""Number of the archive format that this code reads and writes."""

_LARGEST = 1 << 20  # of a vector; encoders make some thousand numbers
_LARGEST_FILE = 32 << 20  # bytes; hundreds of thousands of folders


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean embedding that centres the archive.

    Attributes:
        version: 0 for the encoder's mean of ordinary photographs, 1 once the archive has its own.
        images: How many images it is the mean of; 0 for the encoder's.
        values: (E,) float32.
    """

    version: int
    images: int
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Header:
    """What `archive.json` holds.

    Attributes:
        id: Random identity, for provenance.
        encoder: Name of the encoder.
        weights: SHA-256 of the encoder's weights.
        shape: Numbers the encoder makes of an image.
        root: Folder that file names are relative to where the user chose one, otherwise None.
        folders: Indexed folders, absolute.
        mean: The mean embedding.
    """

    id: str
    encoder: str
    weights: str
    shape: Shape
    root: str | None
    folders: tuple[str, ...]
    mean: Mean

    def save(self, folder: Path) -> None:
        """Replace the header in an archive's folder, whole or not at all.

        Raises:
            StorageError: The place cannot be written.
        """
        values = base64.b64encode(self.mean.values.astype("<f4").tobytes()).decode()
        content = {"format": FORMAT, **asdict(self)}
        content["mean"]["values"] = values
        write_bytes(folder / ARCHIVE_HEADER, json.dumps(content, indent=2).encode() + b"\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the header from an archive's folder.

        Raises:
            ArchiveError: The folder is not an archive, or one of another format, or damaged.
        """
        content = _read(folder)
        if content.get("format") != FORMAT:
            raise ArchiveError(unknown_format(f"The archive {folder}", content.get("format"), FORMAT))
        try:
            mean = content.pop("mean")
            values = np.frombuffer(base64.b64decode(mean["values"], validate=True), "<f4").astype(np.float32)
            del content["format"]
            folders = tuple(content.pop("folders"))
            shape = Shape(**content.pop("shape"))
            frozen = Mean(int(mean["version"]), int(mean["images"]), values)
            header = cls(**content, shape=shape, folders=folders, mean=frozen)
            header.check()
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _damaged(folder, ARCHIVE_HEADER) from error
        return header

    def check(self) -> None:
        """Refuse values that no release wrote; the header may come from anybody.

        Raises:
            ValueError: A value is of another kind, or out of range.
        """
        texts = (
            self.id,
            self.encoder,
            self.weights,
            *self.folders,
            *([] if self.root is None else [self.root]),
        )
        if not all(isinstance(one, str) for one in texts):
            raise ValueError("a text is none")
        shape = self.shape
        sizes = (shape.language, shape.language_cells, shape.dense, shape.dense_cells, shape.embedding)
        if not all(isinstance(size, int) and 0 < size <= _LARGEST for size in sizes):
            raise ValueError("a size cannot be")
        if self.mean.values.shape != (self.shape.embedding,) or not np.isfinite(self.mean.values).all():
            raise ValueError("the mean is none of these embeddings")


def common_parent(folders: Sequence[str]) -> Path | None:
    """The deepest folder that holds all of some absolute folders; None of none."""
    shared: list[str] = []
    for parts in zip(*(Path(folder).parts for folder in folders), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return Path(*shared) if shared else None


def _read(folder: Path) -> dict[str, Any]:
    path = folder / ARCHIVE_HEADER
    if not folder.exists():
        raise ArchiveError(f"There is no archive at {folder}; check the path, or index some images first.")
    if not path.is_file():
        raise ArchiveError(
            f"{folder} is no archive, having no {ARCHIVE_HEADER}; give the path of a .reco folder."
        )
    try:
        content = read_json(path, _LARGEST_FILE)
    except OSError as error:
        raise ArchiveError(f"The archive {folder} cannot be read: {reason(error)}.") from error
    except FormatError as error:
        raise _damaged(folder, ARCHIVE_HEADER) from error
    if not isinstance(content, dict):
        raise _damaged(folder, ARCHIVE_HEADER)
    return content


def _damaged(folder: Path, name: str) -> ArchiveError:
    return ArchiveError(
        f"The archive {folder} is damaged: its {name} cannot be used; restore it from a copy, or index the "
        "images anew."
    )
