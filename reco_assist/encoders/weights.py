"""Weight files: where published ones come from, whether they are on this machine, and what their hash is.

Files lie in the caches that open_clip and timm themselves use: the Hugging Face hub's, and torch's for plain
addresses. Nothing is unpickled: safetensors, or torch.load with weights_only.
"""

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlparse

import open_clip
import timm
import torch
from huggingface_hub import constants, get_session, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from open_clip.pretrained import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

from reco_assist.encoders.names import ModelName
from reco_assist.errors import EncoderError, reason
from reco_assist.folders import make_folder

_PATIENCE = 5.0  # seconds to wait for the hub's first answer; its own client would retry for half a minute
_TIMM_FILES = ("model.safetensors", "pytorch_model.bin")

# Checkpoints that only their authors publish: Naseer et al. (NeurIPS 2021), the dense encoder of ReCo.
_ELSEWHERE = {
    "deit_small_distilled_patch16_224.sin": "https://github.com/Muzammal-Naseer/"
    "Intriguing-Properties-of-Vision-Transformers/releases/download/v0/deit_s_sin_dist.pth"
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where published weights come from: a repository of the hub, or an address.

    Attributes:
        repository: Of the Hugging Face hub; empty if an address is given.
        files: Names that the file may have there, the preferred one first.
        address: A plain address; empty if a repository is given.
    """

    repository: str = ""
    files: tuple[str, ...] = ()
    address: str = ""

    @property
    def cache(self) -> Path:
        """The folder that the file is kept in."""
        if self.repository:
            return Path(constants.HF_HUB_CACHE)
        return _torch_cache()

    def find(self) -> Path | None:
        """The file, if it is on this machine."""
        if not self.repository:
            path = self.cache / Path(urlparse(self.address).path).name
            return path if path.is_file() else None
        for file in self.files:
            try:
                return Path(hf_hub_download(self.repository, file, local_files_only=True))
            except LocalEntryNotFoundError:
                continue
        return None

    def fetch(self, *, progress: bool = True) -> Path:
        """The file, downloaded with a progress bar if it is not on this machine.

        Raises:
            OSError: It cannot be downloaded.
        """
        if found := self.find():
            return found
        if not self.repository:
            path = make_folder(self.cache) / Path(urlparse(self.address).path).name
            stated = _stated(path)
            torch.hub.download_url_to_file(self.address, str(path), stated or None, progress=progress)
            return path
        check_hub()
        for file in self.files[:-1]:
            try:
                return Path(hf_hub_download(self.repository, file))
            except EntryNotFoundError:
                continue
        return Path(hf_hub_download(self.repository, self.files[-1]))


def canonical(name: ModelName) -> ModelName:
    """The name under which open_clip has the activation that the weights were trained with.

    OpenAI's and some others want QuickGELU, which open_clip's plain names do not have; a file of one's own
    says nothing about it and follows the name.
    """
    quick = f"{name.model}-quickgelu"
    if name.kind != "clip" or name.tag is None or not open_clip.is_pretrained_cfg(quick, name.tag):
        return name
    return replace(name, model=quick)


def source_of(name: ModelName) -> Source:
    """Where the published weights of a model come from.

    Raises:
        EncoderError: There is no such model or tag, or nobody publishes weights for it.
    """
    return _clip_source(name) if name.kind == "clip" else _timm_source(name)


def weight_file(name: ModelName) -> Path:
    """The weight file of a model: the given one, or the published one, downloaded if need be.

    Raises:
        EncoderError: It is not there and cannot be downloaded.
    """
    if name.path is not None:
        return _local(name)
    source = source_of(name)
    try:
        return source.fetch()
    except Exception as error:  # the hub's client raises errors of several libraries
        raise EncoderError(
            f"the weights of {name} are not in {source.cache} and cannot be downloaded "
            f"({reason(error, 100)}): copy them into that cache, name a file by "
            f"{name.kind}:{name.model}@FILE, or use the encoder 'offline'"
        ) from error


def check_hub() -> None:
    """Ask the hub for an answer, once and shortly.

    Raises:
        OSError: There is none, or downloads are switched off.
    """
    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except Exception as error:  # the client's own errors are of no standard kind
        raise OSError(f"{constants.ENDPOINT} does not answer") from error


def verify(path: Path, digest: str) -> None:
    """Compare a downloaded file with the hash that its publisher states, where one is stated.

    The hub's cache names a large file by its SHA-256. Names of files in torch's own cache may end in the
    hash's first digits, as in `deit-a1b2c3d4.pth`.

    Args:
        path: The file.
        digest: Its `file_hash`.

    Raises:
        EncoderError: It is another file.
    """
    stated = _stated(path)
    if not digest.startswith(stated):
        raise EncoderError(
            f"{path} is damaged (SHA-256 {digest[:12]}, expected {stated[:12]}): delete it and fetch it again"
        )


def _stated(path: Path) -> str:
    """The first digits of the SHA-256 that a downloaded file should have, or all; empty where nothing tells.

    A file of one's own may end in a date.
    """
    blob = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", blob):
        return blob
    found = re.search(r"-([0-9a-f]{8,64})\.\w+$", path.name) if path.parent == _torch_cache() else None
    return found[1] if found else ""


def _torch_cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _local(name: ModelName) -> Path:
    path = Path(str(name.path)).expanduser()
    if path.is_dir():
        found = [one for pattern in ("*.safetensors", "*.bin", "*.pt", "*.pth") for one in path.glob(pattern)]
        if len(found) != 1:
            raise EncoderError(
                f"the folder {path} holds {len(found)} weight files: name the one of {name.model}"
            )
        return found[0]
    if not path.is_file():
        raise EncoderError(f"there is no weight file {path} for {name.model}: check the path after '@'")
    return path


def _clip_source(name: ModelName) -> Source:
    if name.model not in open_clip.list_models():
        raise EncoderError(_unknown("open_clip", name.model, open_clip.list_models()))
    tags = open_clip.list_pretrained_tags_by_model(name.model)
    if name.tag is None or not open_clip.is_pretrained_cfg(name.model, name.tag):
        known = ", ".join(tags) or "none"
        raise EncoderError(
            f"{name} names no published weights (those of {name.model}: {known}): "
            f"give clip:{name.model}/TAG or clip:{name.model}@FILE"
        )
    config = open_clip.get_pretrained_cfg(name.model, name.tag)
    if not config.get("hf_hub"):
        return Source(address=config["url"])
    repository, _, file = config["hf_hub"].rpartition("/")
    if file:
        return Source(repository, (file,))
    return Source(repository, (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME))


def _timm_source(name: ModelName) -> Source:
    if name.model in _ELSEWHERE:
        return Source(address=_ELSEWHERE[name.model])
    check_timm(name.model)
    config = timm.get_pretrained_cfg(name.model)
    if config is not None and config.hf_hub_id:
        return Source(config.hf_hub_id, _TIMM_FILES)
    if config is not None and config.url:
        return Source(address=config.url)
    raise EncoderError(f"timm publishes no weights for {name.model}: give vit:{name.model}@FILE")


def check_timm(model: str) -> None:
    """Refuse a model that timm does not know.

    Raises:
        EncoderError: There is none of that name.
    """
    if not timm.is_model(model.partition(".")[0]):
        raise EncoderError(_unknown("timm", model, timm.list_models()))


def _unknown(library: str, model: str, models: list[str]) -> str:
    near = difflib.get_close_matches(model.partition(".")[0], models, n=3)
    hint = f": did you mean {', '.join(near)}?" if near else ""
    return f"{library} has no model {model!r}{hint}"
