"""The images that tasks name: below allowed folders, or on the connected server, and nothing else."""

import logging
import os
from hashlib import sha256
from pathlib import Path, PureWindowsPath
from tempfile import TemporaryDirectory
from threading import Lock
from urllib.parse import parse_qs, unquote, urlsplit

from reco_assist.errors import ImageError, InputError, RecoAssistError, short
from reco_assist.files import remove_file, write_bytes
from reco_assist.formats.label_studio import LOCAL_FILES
from reco_assist.label_studio import Server
from reco_assist.label_studio.config import Config
from reco_assist.label_studio.forms import PROJECT
from reco_assist.safe_paths import inside
from reco_assist.serving.events import Event, image_variable

_LOG = logging.getLogger(__name__)
_KEPT = 256  # fetched images that stay on disk


class ImageStore:
    """Finds the image of a task as a file.

    Args:
        roots: Folders whose files may be read; the server's document root, for its local files.
        server: The connected Label Studio server; without one, only files below the roots are read. It is
            asked for labelling configurations that nobody tells of, too.
    """

    def __init__(self, roots: tuple[Path, ...] = (), server: Server | None = None) -> None:
        self._roots = tuple(root.resolve() for root in roots)
        self._server = server
        self._folder = TemporaryDirectory(prefix="reco-assist-")
        self._lock = Lock()
        self._told: dict[str, str] = {}

    def close(self) -> None:
        """Remove what was fetched."""
        self._folder.cleanup()

    def tell(self, project: str, config: str) -> None:
        """Note a project's labelling configuration, XML, which says where in a task's data its image is."""
        self._told[project] = config

    def of(self, event: Event) -> Path:
        """The file of the image that an annotation was made in; errors as for `find`.

        Raises:
            InputError: The task has no image where the labelling configuration has it.
        """
        variable = event.variable or image_variable(self._config(event.project), event.regions or ())
        if variable is not None:
            address = event.data.get(variable)
            if not isinstance(address, str):
                raise InputError(
                    f"task {event.task} has no image under ${variable} in its data: add it there"
                )
            return self.find(address)
        found = [one for one in event.data.values() if isinstance(one, str) and one.startswith(("/", "http"))]
        if len(found) != 1:
            raise ImageError(
                f"which of {len(found)} addresses of task {event.task} is the image is not known: connect by "
                "--server, or let Label Studio ask for a prediction"
            )
        return self.find(found[0])

    def _config(self, project: str) -> Config | None:
        """The labelling configuration of a project; None where it is not to be had now."""
        xml = self._told.get(project)
        try:
            if xml is None and self._server is not None and project:
                found = self._server.once("GET", f"/api/projects/{project}/", PROJECT)
                self._told[project] = xml = found["label_config"] or "<View/>"
            return None if xml is None else Config.parse(xml)
        except RecoAssistError as error:
            _LOG.warning("the labelling configuration of project %s is not known: %s", project, error)
            return None

    def find(self, address: str) -> Path:
        """The file of an image; fetched if it has to be.

        Args:
            address: As in a task's data.

        Raises:
            ImageError: It is neither below an allowed folder nor on the connected server, or no address.
        """
        try:
            parts = urlsplit(address)
        except ValueError:
            raise ImageError(
                f"The image {short(address)!r} is no address that can be read; mend it in the task's data."
            ) from None
        own = not parts.scheme and not parts.netloc
        if own and parts.path == LOCAL_FILES:
            for name in parse_qs(parts.query).get("d", []):
                if (found := self._below(name)) is not None:
                    return found
        elif own and (found := self._below(unquote(parts.path))) is not None:
            return found
        if self._server is None:
            raise ImageError(
                f"The image {address!r} is not below an allowed folder; add --files FOLDER, or --server URL."
            )
        if not (own and address.startswith("/")) and not address.startswith(f"{self._server.url}/"):
            raise ImageError(f"The image {address!r} is not on {self._server.url}, and nothing else is read.")
        return self._fetch(self._server, address)

    def _below(self, name: str) -> Path | None:
        """A file below one of the roots, links followed; None if there is none."""
        name = name.lstrip("/")
        if PureWindowsPath(name).anchor:  # a drive or another machine, which Windows would ask already
            return None
        for root in self._roots:
            try:
                path = Path(os.path.realpath(inside(root, name, links=True)))
                if path.is_relative_to(root) and path.is_file():
                    return path
            except (OSError, ValueError):  # a name that no file can have, or that leads out of the folder
                continue
        return None

    def _fetch(self, server: Server, address: str) -> Path:
        path = Path(self._folder.name) / sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
        with self._lock:
            if path.is_file():
                os.utime(path)
                return path
            data = server.fetch(address)
            if data is None:
                raise ImageError(f"{server.url} does not give the image {address!r}; is it still there?")
            write_bytes(path, data)
            stale = sorted(Path(self._folder.name).iterdir(), key=lambda one: one.stat().st_mtime)[:-_KEPT]
            for one in stale:
                remove_file(one)
        return path
