"""A library of concepts: a folder of Concept files, with a thumbnail of what each has learnt."""

from base64 import b64encode
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.archive import Archive
from reco_assist.concepts import Concept, rename_concept
from reco_assist.errors import ArchiveError, ImageError, InputError, RecoAssistError
from reco_assist.files import link_or_copy, remove_file, rename, write_bytes
from reco_assist.folders import make_folder
from reco_assist.image_files import THUMBNAIL_PIXELS, shown_bytes
from reco_assist.images import decode
from reco_assist.masks import rle
from reco_assist.masks.colours import palette
from reco_assist.masks.sheet import overlay
from reco_assist.safe_paths import unlinked
from reco_assist.segmenter import Segmenter, Target

SUFFIX = ".concept"
_THUMBNAILS = ".thumbnails"  # hidden, so that no listing of images takes it for input
_SIDE = 128  # pixels of each of the four pictures of a thumbnail
_UNSAFE = '<>:"/\\|?*'


@dataclass(frozen=True, slots=True)
class Item:
    """A file of a library.

    Attributes:
        path: The file.
        concept: What is in it; None where it cannot be read.
        problem: Why not, in one sentence; empty where it can.
        thumbnail: A JPEG of four images of its set with its masks; None where none was drawn.
    """

    path: Path
    concept: Concept | None
    problem: str
    thumbnail: Path | None


class Library:
    """The Concept files of a folder. It holds no state but the folder: files may be copied in and out.

    Args:
        folder: Made when the first concept is added.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def items(self) -> list[Item]:
        """The files in the order of their names; damaged ones are listed with their problem.

        Raises:
            InputError: There is no such folder.
        """
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is no folder: name the one that holds the concept files")
        return [self._item(path) for path in sorted(self.folder.glob(f"*{SUFFIX}"))]

    def add(self, concept: Concept, *, archive: Archive | None = None) -> Path:
        """Save a concept under its name; one that has the name already is not overwritten.

        Args:
            concept: What to save.
            archive: Where its images are, to draw its thumbnail from.

        Returns:
            The file.

        Raises:
            InputError: The library has another concept in the file of this name.
            StorageError: It cannot be written.
        """
        path = make_folder(self.folder) / file_name(concept.name)
        if path.exists() and Concept.load(path).digest != concept.digest:
            raise InputError(f"{path} is another concept: rename one of the two, or remove it")
        concept.save(path)
        if archive is not None:
            self.draw(concept, archive)
        return path

    def rename(self, path: Path, name: str) -> Path:
        """Give a concept of the library another name, and its file too.

        Returns:
            The new file.

        Raises:
            InputError: The name is none, or another file has it.
            FormatError: The file is damaged.
            StorageError: It cannot be written.
        """
        old = Concept.load(path)
        renamed = rename_concept(old, name)
        target = path.with_name(file_name(renamed.name))
        if target.exists() and not target.samefile(path):
            raise InputError(f"{target} exists already: choose another name, or remove it")
        pictures = self._thumbnails()
        before, after = pictures / _picture(old), pictures / _picture(renamed)
        # A kill between two of these steps loses nothing, and the same again completes them, but for the
        # last: an old picture may stay, which nobody shows.
        if before != after and _shown(before):
            link_or_copy(before, after)
        renamed.save(path)  # not to the new file: what is private stays private
        target = rename(path, target)
        if before != after:
            remove_file(before)
        return target

    def draw(self, concept: Concept, archive: Archive) -> Path | None:
        """Draw a concept's thumbnail: the best four images of its set that the archive still finds.

        Returns:
            The picture; None where the archive has none of its images.

        Raises:
            EncoderError: The archive's encoder is not the concept's.
            StorageError: It cannot be written.
        """
        pictures: list[Image.Image] = []
        segmenter = Segmenter([concept], encoder=archive.encoder, presence="off", instances="none")
        for digest in concept.provenance.kept:
            if len(pictures) == 4:
                break
            try:
                path = archive.entry(digest).path
                pixels = decode(path).pixels
                prediction = next(segmenter.predict([Target(path, path.name)]))
            except (ArchiveError, ImageError):
                continue
            labels = np.zeros(pixels.shape[:2], np.uint8)  # (H, W)
            for region in prediction.regions:
                labels[rle.decode(region.mask)] = 1
            pictures.append(_square(pixels, labels))
        if not pictures:
            return None
        mosaic = Image.new("RGB", (2 * _SIDE, 2 * _SIDE), (238, 238, 236))
        for index, picture in enumerate(pictures):
            mosaic.paste(picture, (index % 2 * _SIDE, index // 2 * _SIDE))
        buffer = BytesIO()
        mosaic.save(buffer, "JPEG", quality=85)
        target = make_folder(self._thumbnails()) / _picture(concept)
        write_bytes(target, buffer.getvalue())
        return target

    def _repr_html_(self) -> str:
        """Cards with thumbnails, for notebooks."""
        return f'<div style="display:flex;flex-wrap:wrap;gap:16px">{"".join(map(_card, self.items()))}</div>'

    def _item(self, path: Path) -> Item:
        try:
            concept = Concept.load(path)
        except RecoAssistError as error:
            return Item(path, None, str(error), None)
        thumbnail = self.folder / _THUMBNAILS / _picture(concept)
        return Item(
            path,
            concept,
            "",
            thumbnail if _shown(thumbnail) else None,
        )

    def _thumbnails(self) -> Path:
        """Where to write thumbnails. The library may come from a stranger, and this be a link."""
        return unlinked(self.folder / _THUMBNAILS)


def _shown(thumbnail: Path) -> bytes | None:
    return shown_bytes(thumbnail, "JPEG", max_pixels=THUMBNAIL_PIXELS)


def file_name(name: str) -> str:
    """The file of a concept in a library: its name, without what file systems refuse."""
    safe = "".join("-" if letter in _UNSAFE else letter for letter in name.strip()).replace(" ", "-")
    return (safe.strip(".").encode()[:120].decode(errors="ignore") or "concept") + SUFFIX


def _picture(concept: Concept) -> str:
    return f"{concept.digest[:32]}.jpg"


def summary(concept: Concept) -> str:
    """How a concept was learnt, in a few words."""
    origin = concept.provenance
    how = f"{len(origin.exemplars)} exemplars" if origin.exemplars else "its word"
    pruned = f", {len(origin.dropped)} pruned" if origin.dropped else ""
    return f"{how}, {len(origin.kept)} images{pruned}, {concept.method}, {origin.encoder}"


def _square(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Image.Image:
    """The middle square of an image with its mask, or the square around the mask where that is small."""
    height, width = labels.shape
    rows, columns = np.nonzero(labels)
    side = min(height, width)
    y, x = height / 2, width / 2
    if rows.size:
        y, x = (int(rows.min()) + int(rows.max())) / 2, (int(columns.min()) + int(columns.max())) / 2
        side = min(side, max(32, round(1.4 * max(np.ptp(rows), np.ptp(columns)))))
    top = round(min(max(0, y - side / 2), height - side))
    left = round(min(max(0, x - side / 2), width - side))
    window = np.s_[top : top + side, left : left + side]
    return overlay(pixels[window], labels[window], palette(1), (_SIDE, _SIDE))


def _card(item: Item) -> str:
    name = item.path.name if item.concept is None else item.concept.name
    said = item.problem if item.concept is None else summary(item.concept)
    picture = (
        '<div style="width:160px;height:160px;background:rgba(128,128,128,.15);border-radius:4px"></div>'
    )
    shown = None if item.thumbnail is None else _shown(item.thumbnail)
    if shown is not None:
        data = b64encode(shown).decode()
        picture = f'<img alt="" width="160" style="border-radius:4px" src="data:image/jpeg;base64,{data}">'
    return (
        f'<div style="width:160px;overflow-wrap:anywhere">{picture}<div><b>{escape(name)}</b></div>'
        f'<div style="font-size:85%;opacity:.75">{escape(said)}</div></div>'
    )
