"""The maps of a session on disk, and how the curator adjusted the masks that they give."""

import io
from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reco_assist.errors import InputError, StorageError
from reco_assist.files import write_bytes
from reco_assist.folders import make_folder
from reco_assist.image_files import load_map
from reco_assist.masks.edits import apply_edits, check_threshold, edits_of_text, edits_to_text
from reco_assist.session.records import Adjustment, Result
from reco_assist.session.store import LOG, Store


class Masks:
    """Maps by image and concept, with thresholds and strokes over them.

    Args:
        store: Of the session.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def path(self, content_hash: str, concept: str) -> Path:
        """Where the map of a concept in an image lies.

        Raises:
            StorageError: The session's folder is gone, or cannot be written.
        """
        folder = self._store.folder
        if not (folder / LOG).is_file():  # making it anew would part the maps from the log
            raise StorageError(
                f"Cannot write {folder}: it is not where it was; connect its drive, or move it back."
            )
        # Concept names are any text; file names are not.
        name = sha256(concept.encode()).hexdigest()[:16]
        return make_folder(folder / "maps" / content_hash[:2]) / f"{content_hash}-{name}.png"

    def keep(self, content_hash: str, concept: str, scores: NDArray[np.uint8]) -> None:
        """Write the map (H, W) uint8 of a concept in an image.

        Raises:
            StorageError: It cannot be written.
        """
        buffer = io.BytesIO()
        Image.fromarray(scores).save(buffer, "PNG", compress_level=1)
        write_bytes(self.path(content_hash, concept), buffer.getvalue())

    def scores(self, content_hash: str, concept: str) -> NDArray[np.uint8]:
        """(H, W) uint8 refined probability: the bytes that are shown and exported."""
        image = segmented(self._store, content_hash).image
        path = self.path(content_hash, concept)
        if not path.is_file():
            return np.zeros((image.height, image.width), np.uint8)
        return load_map(path, height=image.height, width=image.width)

    def adjustment(self, content_hash: str, concept: str) -> Adjustment:
        """How the mask of a concept in an image was adjusted so far."""
        data = self._store.get(f"mask/{content_hash}/{concept}")
        return Adjustment(**data) if data else Adjustment()

    def set_thresholds(self, content_hash: str, thresholds: Mapping[str, int]) -> None:
        """Move the thresholds, 1 to 255, of concepts in an image; the canvas keeps its own undo of this.

        Raises:
            InputError: A threshold is out of range.
        """
        values = {}
        with self._store.mutex:
            for name, threshold in thresholds.items():
                check_threshold(threshold)
                changed = replace(self.adjustment(content_hash, name), threshold=threshold)
                values[f"mask/{content_hash}/{name}"] = None if changed == Adjustment() else asdict(changed)
            self._store.put("threshold", values)

    def edit(self, content_hash: str, concept: str, x: int, y: int, cells: NDArray[np.uint8]) -> None:
        """Put brush corrections into a rectangle of an image; the canvas keeps its own undo of this.

        Args:
            content_hash: The image.
            concept: Whose mask is corrected.
            x: Column of the first cell.
            y: Row of the first cell.
            cells: (h, w) uint8 of 0 (none), 1 (forced in), 2 (forced out): the new content.

        Raises:
            InputError: The rectangle does not lie in the image.
        """
        with self._store.mutex:
            strokes = self.strokes(content_hash, concept)
            height, width = cells.shape
            if x < 0 or y < 0 or y + height > strokes.shape[0] or x + width > strokes.shape[1]:
                raise InputError(
                    f"A stroke at {x},{y} of {width} x {height} cells does not lie in the image."
                )
            strokes[y : y + height, x : x + width] = cells
            text = edits_to_text(strokes) if strokes.any() else ""
            changed = replace(self.adjustment(content_hash, concept), strokes=text)
            value = None if changed == Adjustment() else asdict(changed)
            self._store.put("stroke", {f"mask/{content_hash}/{concept}": value})

    def strokes(self, content_hash: str, concept: str) -> NDArray[np.uint8]:
        """(H, W) uint8 brush corrections of a concept in an image: 0 none, 1 forced in, 2 forced out."""
        image = segmented(self._store, content_hash).image
        shape = (image.height, image.width)
        packed = self.adjustment(content_hash, concept).strokes
        if not packed:
            return np.zeros(shape, np.uint8)
        return edits_of_text(packed, shape).copy()

    def drawn(self, content_hash: str, concept: str) -> NDArray[np.bool_]:
        """(H, W) bool: the map at its threshold under the strokes, as the canvas draws it."""
        threshold = self.adjustment(content_hash, concept).threshold
        scores = self.scores(content_hash, concept)
        return apply_edits(scores, threshold, self.strokes(content_hash, concept))


def segmented(store: Store, content_hash: str) -> Result:
    """What a session's store holds of a segmented target.

    Raises:
        InputError: It was not segmented.
    """
    data = store.get(f"result/{content_hash}")
    if data is None:
        raise InputError(f"The image {content_hash[:12]} is not among the segmented ones.")
    return Result.from_json(data)
