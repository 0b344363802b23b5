"""Corrections on disk before they are acknowledged: a killed backend learns them when it starts again."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from reco_assist.files import make_folder, storage_error

_NAME = "corrections.jsonl"


class CorrectionLog:
    """A file of one line for each event; the last of an annotation is what counts.

    Args:
        folder: Where it lies; made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)
        self._path = folder / _NAME
        self._lock = Lock()

    def append(self, event: Mapping[str, Any]) -> None:
        """Write an event; on disk when this returns.

        Raises:
            StorageError: It cannot be written.
        """
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                with self._path.open("ab") as file:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise storage_error(self._path, error) from error

    def events(self) -> Iterator[dict[str, Any]]:
        """All whole lines, in their order; a line that was cut short by a kill is left out."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    yield event
