"""From a name on the command line to an encoder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from reco_assist.encoders.names import JOINER, ModelName, join, parse
from reco_assist.encoders.presets import PRESETS, SHORT
from reco_assist.encoders.protocols import DenseEncoder, Encoder, LanguageImageEncoder
from reco_assist.errors import EncoderError

if TYPE_CHECKING:
    from reco_assist.encoders.offline import OfflineEncoder


def load_encoder(
    name: str = "offline",
    *,
    dense: str | None = None,
    device: str = "auto",
) -> Encoder:
    """The encoder of that name, on a device.

    Args:
        name: A preset (offline, clip, paper), a clip model, or several joined by ' + '; see `names`.
        dense: Another dense encoder: a vit model, offline, or dinov2.
        device: auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps.

    Raises:
        EncoderError: No such encoder or device, or its weights are missing.
    """
    return _Loader(device).encoder(_checked(models_of(name, dense=dense)))


def models_of(name: str, *, dense: str | None = None) -> tuple[ModelName, ...]:
    """The one to three models that a name stands for, presets and short names spelt out.

    Raises:
        EncoderError: It is not of the grammar.
    """
    name = name.strip()
    models = parse(PRESETS[name].spelt_out if name in PRESETS else SHORT.get(name, name))
    if dense is None:
        return models
    other = parse(SHORT.get(dense.strip(), dense))[-1]
    return (*(models[:-1] or models), other)


def pick_device(device: str = "auto") -> torch.device:
    """The torch device of a name; auto takes CUDA, then MPS, then the CPU.

    Raises:
        EncoderError: The device does not exist here.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EncoderError(f"device {device!r} cannot be used here: choose auto, cpu, cuda or mps") from error
    return torch.device(device)


def _checked(models: tuple[ModelName, ...]) -> tuple[ModelName, ...]:
    """The models, if they make an encoder: those that know words first, a dense one last."""
    if all(model.kind == "offline" for model in models):
        return models[:1]
    if len(models) == 1 and models[0].kind == "clip":
        raise EncoderError(
            f"{models[0]} finds and marks images by words, but matching them takes a dense encoder too: "
            "give one by --dense, such as dinov2, offline or vit:MODEL"
        )
    if models[-1].kind == "clip" or any(model.kind == "vit" for model in (models[:-1] or models)):
        raise EncoderError(
            f"{join(models)!r} has its models in the wrong places: first clip models or offline, which know "
            "words, and last a vit model or offline, for dense features"
        )
    return models


class _Loader:
    """Builds encoders on one device; a model that has two parts in one encoder is loaded once."""

    def __init__(self, device: str) -> None:
        self._device = pick_device(device)
        self._offline: OfflineEncoder | None = None

    def encoder(self, models: tuple[ModelName, ...]) -> Encoder:
        if len(models) == 1:
            return self._embedded()
        from reco_assist.encoders.joined import JoinedEncoder  # noqa: PLC0415

        *words, dense = (_absolute(model) for model in models)
        # The dense encoder first: it is the small one, and what is wrong with a name should be said soon.
        matched = self._dense(dense)
        readers = [self._language(model) for model in words]
        retrieval = readers[0] if len(readers) == 2 else None
        name = JOINER.join([*(reader.name for reader in readers), matched.name])
        return JoinedEncoder(name, readers[-1], matched, retrieval=retrieval)

    def _language(self, model: ModelName) -> LanguageImageEncoder:
        if model.kind == "offline":
            return self._embedded()
        from reco_assist.encoders.clip import ClipEncoder  # noqa: PLC0415  (open_clip takes seconds to import)

        return ClipEncoder(model, device=self._device)

    def _dense(self, model: ModelName) -> DenseEncoder:
        if model.kind == "offline":
            return self._embedded()
        from reco_assist.encoders.vit import VitEncoder  # noqa: PLC0415

        return VitEncoder(model, device=self._device)

    def _embedded(self) -> "OfflineEncoder":
        from reco_assist.encoders.offline import OfflineEncoder  # noqa: PLC0415  (timm takes a second to import)

        if self._offline is None:
            self._offline = OfflineEncoder(device=self._device)
        return self._offline


def _absolute(model: ModelName) -> ModelName:
    """The model with an absolute path, since archives and Concepts are opened from other folders."""
    if model.path is None:
        return model
    return replace(model, path=str(Path(model.path).expanduser().absolute()))


def is_here(name: str) -> bool:
    """Whether all weights of an encoder are on this machine; nothing is downloaded."""
    models = [model for model in models_of(name) if model.kind != "offline"]
    if not models:
        return True
    from reco_assist.encoders.weights import source_of  # noqa: PLC0415

    return all(
        Path(model.path).expanduser().exists() if model.path else source_of(model).find() is not None
        for model in models
    )


def found(name: str) -> Path | None:
    """The published weight file of a single model, if it is on this machine."""
    (model,) = models_of(name)
    if model.kind == "offline" or model.path:
        return None
    from reco_assist.encoders.weights import source_of  # noqa: PLC0415

    return source_of(model).find()


def default_encoder() -> str:
    """`clip` where its weights are on this machine, or else `offline`."""
    return "clip" if is_here("clip") else "offline"


def fetch_encoder(name: str) -> Iterator[tuple[str, Path, str]]:
    """Download the weights of an encoder, one model after the other, and make sure of them.

    Yields:
        Name, file and SHA-256 of each model, once it has loaded; none for the embedded encoder.

    Raises:
        EncoderError: A file cannot be downloaded, is damaged, or does not fit.
    """
    for model in models_of(name):
        if model.kind == "offline":
            continue
        from reco_assist.encoders.clip import ClipEncoder  # noqa: PLC0415
        from reco_assist.encoders.vit import VitEncoder  # noqa: PLC0415
        from reco_assist.encoders.weights import verify, weight_file  # noqa: PLC0415

        file = weight_file(model)
        if model.kind == "clip":
            loaded = ClipEncoder(model)
            loaded.load_tokenizer()
            digest = loaded.weights
        else:
            digest = VitEncoder(model).weights
        verify(file, digest)
        yield str(model), file, digest
