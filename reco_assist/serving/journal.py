"""Corrections on disk before they are acknowledged: a killed backend learns them when it starts again."""

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from reco_assist.errors import FormatError
from reco_assist.files import make_folder
from reco_assist.json_files import JsonLog, json_line
from reco_assist.serving.events import Event, read_record

_LOG = logging.getLogger(__name__)
_NAME = "corrections.jsonl"


class CorrectionLog:
    """All events, one line each. For one process: hold `files.only_writer` of the folder.

    Args:
        folder: Where it lies; made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)
        self._log = JsonLog(folder / _NAME)
        self._lock = Lock()

    def append(self, event: Event) -> None:
        """Write an event; on disk when this returns.

        Raises:
            StorageError: It cannot be written.
        """
        with self._lock:
            self._log.append(json_line(event.record()))

    def events(self) -> Iterator[Event]:
        """All events, in their order; a line that cannot be read is told of and left out."""
        for record in self._log.records(damaged=_LOG.warning):
            try:
                yield read_record(record)
            except FormatError as error:
                _LOG.warning("%s: %s", self._log.path, error)
