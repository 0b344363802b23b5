"""What the tiles of a huge image show, on disk until its masks are: a killed run does not begin it again."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from reco_assist.annotations import ImageRef
from reco_assist.errors import FormatError
from reco_assist.folders import make_folder, remove_folder
from reco_assist.json_files import JsonLog, json_line
from reco_assist.segmenter import Look

FOLDER = ".tiles"
"""In the folder of results: a log for each image that is not finished yet."""

_ENDING = ".jsonl"
_FORMAT = 1


class KeptTiles:
    """Logs of looks at tiles, one for each image: a line of JSON for each batch of tiles, synced.

    A log is of an image's bytes and of a run's settings; another one begins anew. A line that is none, and
    what follows it, is made again.

    Args:
        folder: Of the logs; made when there is something to keep.
        settings: Everything that decides the masks, as JSON values.
        progress: Show a bar for the tiles of each image.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, progress: bool = True) -> None:
        self._folder, self._settings = folder, sha256(json_line(dict(settings))).hexdigest()
        self._off = None if progress else True
        self._open: tuple[JsonLog, tqdm] | None = None

    def kept(self, image: ImageRef, tiles: int, concepts: int, side: int) -> list[Look]:
        """The first of its tiles' looks, as far as they were made; see `segmenter.Keeper`.

        Raises:
            StorageError: The folder cannot be made.
        """
        self.close()
        head = json_line({"format": _FORMAT, "image": image.content_hash, "settings": self._settings})
        log = JsonLog(make_folder(self._folder) / f"{image.content_hash}{_ENDING}", head)
        looks: list[Look] = []
        lines = 0
        try:
            for record in log.records():
                new = [Look.from_record(one, concepts, side) for one in record]
                if not new or len(looks) + len(new) > tiles:
                    break
                looks += new
                lines += 1
        except (FormatError, TypeError, ValueError):
            pass  # said in the docstring
        log.cut(lines)
        bar = tqdm(
            total=tiles, initial=len(looks), unit="tile", desc=image.file_name, disable=self._off, leave=False
        )
        self._open = log, bar
        return looks

    def keep(self, image: ImageRef, looks: Sequence[Look]) -> None:
        """The next ones of the image that was asked for last; they are on disk when this returns.

        Raises:
            StorageError: They cannot be written.
        """
        assert self._open is not None, f"nobody asked what is kept of {image.file_name}"
        log, bar = self._open
        log.append(json_line([look.record() for look in looks]))
        bar.update(len(looks))

    def close(self) -> None:
        """End the bar of the last image."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def forget(self) -> None:
        """Remove the logs: the masks of all images that were looked at are in the journal.

        Raises:
            StorageError: They cannot be removed.
        """
        self.close()
        if self._folder.is_dir():
            remove_folder(self._folder, [f"*{_ENDING}"])
