"""How images get to the annotators: uploaded, read by the server from its own disk, or from an address."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from PIL import Image

from reco_assist.annotations import ImageRef
from reco_assist.errors import InputError, ServerError
from reco_assist.formats import local_files_url
from reco_assist.images import content_hash, decode, is_there, read_bytes
from reco_assist.label_studio.forms import STORAGES, UPLOADS
from reco_assist.label_studio.server import Server
from reco_assist.safe_paths import inside

_UPLOAD_LIMIT = 20_000_000  # bytes of images in one request
_SHOWN = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}  # by browsers, and taken by the server
_UPLOADED = re.compile(r"/[0-9a-f]{8}-([0-9a-f]{16})-")
_CLOUDS = ("s3://", "gs://", "azure-blob://")


class Source(Protocol):
    """Where annotators' browsers find images."""

    def prepare(self, server: Server, project: int, images: Sequence[ImageRef]) -> None:
        """Make sure that the images will be found, before any task is made.

        Raises:
            InputError: They will not.
            ServerError: The server says so.
        """

    def addresses(self, server: Server, project: int, images: Iterable[ImageRef]) -> Mapping[str, str]:
        """The address of each image by its content hash; uploads what has to be.

        Raises:
            InputError: An image is missing or has changed.
            ServerError: The server refuses it.
        """


@dataclass(frozen=True, slots=True)
class Upload:
    """Images are uploaded. What browsers do not show (TIFF) is uploaded as PNG.

    Attributes:
        root: The folder that the images' names are relative to.
        known: Addresses of uploads by the first 16 letters of the content hash.
    """

    root: Path
    known: dict[str, str] = field(default_factory=dict)

    def prepare(self, server: Server, project: int, images: Sequence[ImageRef]) -> None:
        """See `Source`."""
        for image in images:
            if not is_there(inside(self.root, image.file_name, links=True)):
                raise InputError(f"{self.root / image.file_name} is missing; name the images' folder.")
        self._look(server, project)

    def addresses(self, server: Server, project: int, images: Iterable[ImageRef]) -> Mapping[str, str]:
        """See `Source`."""
        wanted = list(images)
        if fresh := [image for image in wanted if image.content_hash[:16] not in self.known]:
            self._look(server, project)  # an attempt that seemed to fail may have come through
            fresh = [image for image in fresh if image.content_hash[:16] not in self.known]
        batch: dict[str, tuple[str, tuple[str, bytes]]] = {}
        size = 0
        for image in fresh:
            name, data = self._file(image)
            if batch and size + len(data) > _UPLOAD_LIMIT:
                self._send(server, project, batch)
                batch, size = {}, 0
            batch[image.content_hash] = (name, (name, data))
            size += len(data)
        if batch:
            self._send(server, project, batch)
        return {image.content_hash: self.known[image.content_hash[:16]] for image in wanted}

    def _look(self, server: Server, project: int) -> None:
        for one in server.get(f"/api/projects/{project}/file-uploads", UPLOADS, all="true"):
            if found := _UPLOADED.search(one["file"]):
                self.known[found[1]] = "/data/" + quote(one["file"])

    def _send(self, server: Server, project: int, batch: Mapping[str, tuple[str, tuple[str, bytes]]]) -> None:
        path = f"/api/projects/{project}/import?commit_to_project=false"
        server.once("POST", path, files=dict(batch.values()))
        self._look(server, project)
        for digest, (name, _) in batch.items():
            if digest[:16] not in self.known:
                raise ServerError(f"{server.url} took {name} but does not list it; look at its log.")

    def _file(self, image: ImageRef) -> tuple[str, bytes]:
        path = inside(self.root, image.file_name, links=True)
        data = read_bytes(path)
        if content_hash(data) != image.content_hash:
            raise InputError(f"{path} has changed since it was segmented; segment it again.")
        suffix = path.suffix.lower()
        if suffix not in _SHOWN:
            buffer = io.BytesIO()
            Image.fromarray(decode(data).pixels).save(buffer, "PNG")
            suffix, data = ".png", buffer.getvalue()
        stem = re.sub(r"[^\w-]+", "_", path.stem, flags=re.ASCII)[:60]
        return f"{image.content_hash[:16]}-{stem}{suffix}", data


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """The server reads images from its own disk (LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED).

    Attributes:
        root: The folder that the images' names are relative to, as the server sees it.
        document_root: The server's LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT.
    """

    root: Path
    document_root: Path

    def prepare(self, server: Server, project: int, images: Sequence[ImageRef]) -> None:
        """See `Source`. The server only shows what a storage of the project covers."""
        root = self.root.absolute()
        if not root.is_relative_to(self.document_root.absolute()) or root == self.document_root.absolute():
            raise InputError(
                f"The images' folder {root} must lie below the server's document root {self.document_root}, "
                "and not be it; move it, or upload the images."
            )
        storages = server.get("/api/storages/localfiles", STORAGES, project=project)
        if not any(root.is_relative_to(one["path"]) for one in storages if one["path"]):
            content = {
                "project": project,
                "title": f"reco-assist: {root.name}",
                "path": str(root),
                "use_blob_urls": True,
            }
            server.patiently("POST", "/api/storages/localfiles", json=content)
        for image in images[:1]:
            if server.fetch(self._address(image)) is None:
                raise ServerError(
                    f"{server.url} does not show {image.file_name} from {root}; start it with local file "
                    f"serving and the document root {self.document_root}, or upload the images."
                )

    def addresses(self, server: Server, project: int, images: Iterable[ImageRef]) -> Mapping[str, str]:  # noqa: ARG002
        """See `Source`."""
        return {image.content_hash: self._address(image) for image in images}

    def _address(self, image: ImageRef) -> str:
        inside = self.root.absolute().relative_to(self.document_root.absolute()) / image.file_name
        return local_files_url(ImageRef(inside.as_posix(), image.content_hash, image.width, image.height))


@dataclass(frozen=True, slots=True)
class Prefix:
    """Images are at an address or in a cloud storage that the project knows.

    Attributes:
        prefix: What comes before the images' names: https://..., s3://..., gs://... or azure-blob://...
    """

    prefix: str

    def prepare(self, server: Server, project: int, images: Sequence[ImageRef]) -> None:  # noqa: ARG002
        """See `Source`. What is elsewhere is the user's business."""
        if not self.prefix.startswith(("http://", "https://", *_CLOUDS)):
            raise InputError(
                f"The images' address is {self.prefix!r}; give http(s)://, s3://, gs:// or azure-blob://."
            )

    def addresses(self, server: Server, project: int, images: Iterable[ImageRef]) -> Mapping[str, str]:  # noqa: ARG002
        """See `Source`."""
        base = self.prefix.rstrip("/") + "/"
        web = not base.startswith(_CLOUDS)  # what is in a bucket is named as it is
        return {
            image.content_hash: base + (quote(image.file_name) if web else image.file_name)
            for image in images
        }
