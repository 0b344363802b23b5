"""Language-image encoders of open_clip: global vectors, words, and dense maps of what a word is about."""

import logging
import pickle
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
from huggingface_hub import constants
from open_clip.tokenizer import HFTokenizer
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import normalize

from reco_assist.encoders.names import ModelName
from reco_assist.encoders.pixels import Precision, Preparation, autocast, check_sizes, slide
from reco_assist.encoders.protocols import TextEmbedding
from reco_assist.encoders.towers import Dense, tower_of
from reco_assist.encoders.weights import canonical, check_hub, source_of, weight_file
from reco_assist.errors import EncoderError, InputError, reason
from reco_assist.files import file_hash

log = logging.getLogger("reco_assist")

_UNFIT = (
    RuntimeError,
    KeyError,
    ValueError,
    OSError,
    AssertionError,
    SafetensorError,
    pickle.UnpicklingError,
)
_TOGETHER = 4  # images a processor encodes at once; larger batches leave its cache


class ClipEncoder:
    """Any open_clip model as `LanguageImageEncoder`.

    The global vector is open_clip's own `encode_image`, of an input resized to a square. Words go through its
    80 prompt templates for zero-shot classification.

    Args:
        name: `clip:MODEL/TAG` or `clip:MODEL@PATH`; options dense (self, maskclip), size, window and
            precision.
        device: Torch device.

    Raises:
        EncoderError: No such model, weights that are missing or do not fit, or a tower without dense maps.
    """

    def __init__(self, name: ModelName, *, device: str | torch.device = "cpu") -> None:
        name = canonical(name)
        self.name = str(name)
        self.device = torch.device(device)
        self._precision = cast("Precision", name.options.get("precision", "auto"))
        self._model_name = name
        self._model, self.weights, config = _load(name)
        self._tower = tower_of(self._model, f"{name.kind}:{name.model}")
        self._how = cast("Dense", name.options.get("dense", self._tower.modes[0]))
        if self._how not in self._tower.modes:
            raise EncoderError(
                f"{name.model} has no transformer block that could run as self-self attention: "
                "choose dense=maskclip"
            )
        self._window = name.number("window")
        self.input_size = name.number("size") or max(self._tower.native, self._window or 0)
        check_sizes(name.model, size=self.input_size, window=self._window, patch=self._tower.patch)
        self._side = self._window or self.input_size
        if self._side != self._tower.native:
            self._tower.resize(self._side)
        self._model.to(self.device)
        self._prepare = Preparation(config["mean"], config["std"], self.device)
        self._words: dict[str, Tensor] = {}

    @torch.inference_mode()
    def encode_image(self, pixels: Tensor) -> Tensor:
        """Global (B, D) vectors, not normalised, of pixels (B, 3, S, S) uint8 RGB."""
        parts = (self._global(self._prepare(part, self._side)) for part in self._parts(pixels))
        return torch.cat(list(parts))

    @torch.inference_mode()
    def encode_language(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Global (B, D) and dense (B, D, h, w) language-image features of pixels (B, 3, S, S) uint8 RGB."""
        embeddings, maps = zip(*(self._encode(part) for part in self._parts(pixels)), strict=True)
        return torch.cat(embeddings), torch.cat(maps)

    @torch.inference_mode()
    def encode_text(self, text: str) -> TextEmbedding:
        """Vector (D,) of a concept's name, the normalised mean over open_clip's zero-shot templates.

        Raises:
            InputError: The text is empty.
            EncoderError: The model's tokenizer is not on this machine.
        """
        text = text.strip()
        if not text:
            raise InputError(
                "the concept is empty: type a word or a short phrase, such as 'fire extinguisher'"
            )
        if text not in self._words:
            with autocast(self.device, self._precision):
                column = open_clip.build_zero_shot_classifier(
                    self._model,
                    self._tokenizer,
                    [text],
                    open_clip.OPENAI_IMAGENET_TEMPLATES,
                    device=self.device,
                )  # (D, 1)
            self._words[text] = normalize(column[:, 0].float().cpu(), dim=0)
        return TextEmbedding(vector=self._words[text])

    def load_tokenizer(self) -> None:
        """Have the tokenizer at hand, downloaded if it is of the hub.

        Raises:
            EncoderError: It is not on this machine and cannot be downloaded.
        """
        _ = self._tokenizer

    def _encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        if self._window is None or self._window == self.input_size:
            return self._dense_of(self._prepare(pixels, self._side))
        x = self._prepare(pixels, self.input_size)
        windows = slide(lambda part: self._dense_of(part)[1], x, window=self._side, patch=self._tower.patch)
        return self._global(self._prepare(pixels, self._side)), windows

    def _global(self, x: Tensor) -> Tensor:
        with autocast(self.device, self._precision):
            embedding: Tensor = cast("Any", self._model).encode_image(x)  # (B, D)
        return embedding.float()

    def _dense_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(), autocast(self.device, self._precision):
            encode = cast("Any", self._model).encode_image
            embedding, dense = self._tower.dense(lambda: encode(x), self._how)  # (B, D), (B, D, h, w)
        return embedding.float(), dense.float()

    def _parts(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return torch.split(pixels, _TOGETHER) if self.device.type == "cpu" else (pixels,)

    @cached_property
    def _tokenizer(self) -> Any:  # noqa: ANN401  (tokenizers of several libraries)
        return _load_tokenizer(self._model_name)


def _load(name: ModelName) -> tuple[nn.Module, str, Mapping[str, Any]]:
    """The model with its weights, frozen, on the CPU; their hash; and how its pixels are normalised.

    Raises:
        EncoderError: The weights are missing or of another model.
    """
    known = open_clip.list_pretrained_tags_by_model(name.model)
    if name.path is None or name.model not in open_clip.list_models():
        source_of(name)  # says what is wrong with the name before anything is downloaded
    config = open_clip.get_pretrained_cfg(name.model, name.tag or next(iter(known), ""))
    file = weight_file(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = open_clip.create_model(name.model, pretrained=str(file))
    except _UNFIT as error:
        raise EncoderError(
            f"{file} does not hold weights of the open_clip model {name.model}: give its checkpoint as "
            f"safetensors or as a plain state dict ({reason(error)})"
        ) from error
    frozen: nn.Module = model.eval().requires_grad_(requires_grad=False)
    defaults = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    return frozen, file_hash(file), {**defaults, **config}


def _load_tokenizer(name: ModelName) -> Any:  # noqa: ANN401  (tokenizers of several libraries)
    text: dict[str, Any] = open_clip.get_model_config(name.model)["text_cfg"]
    repository = text.get("hf_tokenizer_name")
    if repository is None:
        return open_clip.get_tokenizer(name.model)
    folder = Path(name.path or "").expanduser()
    if name.path and (folder / "tokenizer.json").is_file():
        return HFTokenizer(
            str(folder),
            context_length=text.get("context_length", 77),
            tokenizer_mode=text.get("tokenizer_mode"),
            local_files_only=True,
            **text.get("tokenizer_kwargs", {}),
        )
    try:
        return open_clip.get_tokenizer(name.model, local_files_only=True)
    except Exception:  # noqa: BLE001  (a miss of the cache; which error it is depends on the tokenizer)
        log.debug("The tokenizer %s is not on this machine.", repository)
    try:
        check_hub()
        return open_clip.get_tokenizer(name.model)
    except Exception as error:
        raise EncoderError(
            f"the tokenizer of {name.model} ({repository}) is not in {constants.HF_HUB_CACHE} and cannot be "
            f"downloaded: name a folder that holds the weights and tokenizer.json by "
            f"clip:{name.model}@FOLDER, or use the encoder 'offline'"
        ) from error
