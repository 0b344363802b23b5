"""The paper's protocol: a reference for every word, argmax over all words, CRF, one confusion matrix.

Finished references and images are kept in the output folder, so that a stopped run goes on where it was.

K words, n classes, C dense and D language-image dimensions
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from reco_assist.archive import Archive
from reco_assist.concepts import PAPER_CONTEXTS, paper_reference
from reco_assist.encoders import Encoder
from reco_assist.evaluation import confusion
from reco_assist.files import write_bytes
from reco_assist.folders import make_output_folder
from reco_assist.images import squash
from reco_assist.json_files import JsonLog, json_line
from reco_assist.refine import PAPER_CRF, label_crf
from reco_assist.reproduction.datasets import Benchmark, Sample
from reco_assist.reproduction.labels import VOID
from reco_assist.tensor_files import pack_tensors, read_tensors

_KEY, _LARGEST = "settings", 64 << 20  # of the file of references, in bytes
_SHARPNESS = 10.0  # of the text saliency
_SAME = {"vegetation": "tree"}  # the released code gives the one the other's reference


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """What the words look like.

    Attributes:
        visual: (K, C) reference embeddings, unit length.
        text: (K, D) text vectors, unit length.
    """

    visual: Tensor
    text: Tensor

    def probabilities(self, encoder: Encoder, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(K, H, W) sigmoid(F r) sigmoid(10 D e) of an image (H, W, 3), both factors upsampled bilinearly.

        Encoders take squares: a longer side is covered by squares that overlap by half, and averaged.
        """
        height, width = image.shape[:2]
        side = min(height, width)
        total = np.zeros((len(self.visual), height, width), np.float32)
        seen = np.zeros((height, width), np.float32)
        for top in _starts(height, side):
            for left in _starts(width, side):
                here = np.s_[top : top + side, left : left + side]
                total[:, here[0], here[1]] += self._square(encoder, image[here])
                seen[here] += 1
        return total / seen

    def _square(self, encoder: Encoder, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = torch.from_numpy(squash(image, encoder.input_size)).permute(2, 0, 1)[None]
        features = encoder.encode(pixels)
        likeness = torch.einsum(
            "chw,kc->khw", normalize(features.dense[0], dim=0), self.visual.to(features.dense)
        )
        saliency = torch.einsum(
            "dhw,kd->khw", normalize(features.language[0], dim=0), self.text.to(features.language)
        )
        maps = [torch.sigmoid(likeness), torch.sigmoid(_SHARPNESS * saliency)]  # each (K, h, w)
        size = (image.shape[0], image.shape[1])
        large = [interpolate(one[None], size, mode="bilinear", align_corners=False)[0] for one in maps]
        product: NDArray[np.float32] = (large[0] * large[1]).cpu().numpy()
        return product


class ScoreLog:
    """Confusion matrices of finished images, one line each; a run with other settings begins a new one.

    Args:
        path: The file.
        settings: Everything that decides the results.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._log = JsonLog(path, json.dumps(settings, sort_keys=True).encode() + b"\n")
        self.done: dict[str, dict[str, list[list[int]]]] = {
            record["image"]: record["pairs"] for record in self._log.records()
        }

    def add(self, image: str, matrices: dict[str, NDArray[np.int64]]) -> None:
        """Keep the matrices of an image; they are on disk when this returns.

        Raises:
            StorageError: They cannot be written.
        """
        pairs = {
            key: [[int(row), int(column), int(matrix[row, column])] for row, column in np.argwhere(matrix)]
            for key, matrix in matrices.items()
        }
        self._log.append(json_line({"image": image, "pairs": pairs}))
        self.done[image] = pairs

    def total(self, key: str, classes: int) -> NDArray[np.int64]:
        """(n, n) sum of the matrices of all images, rows are the truth."""
        matrix = np.zeros((classes, classes), np.int64)
        for pairs in self.done.values():
            for row, column, count in pairs[key]:
                matrix[row, column] += count
        return matrix


@dataclass(frozen=True, slots=True)
class Reproduction:
    """One reproduction in an output folder.

    Attributes:
        benchmark: The data set.
        archive: Where images of the words are looked for.
        out: The output folder.
        k: Images to retrieve for a word.
    """

    benchmark: Benchmark
    archive: Archive
    out: Path
    k: int

    @classmethod
    def open(cls, benchmark: Benchmark, archive: Archive, out: Path, *, k: int) -> Self:
        """Begin or go on.

        Raises:
            StorageError: The folder cannot be written.
        """
        make_output_folder(out)
        return cls(benchmark, archive, out, k)

    def references(self, on_word: Callable[[str], None] = lambda _: None) -> References:
        """References of all words; what an earlier run has learnt is read.

        Args:
            on_word: Called with each word that is done.
        """
        path = self.out / "references.safetensors"
        known = _read(path, self._settings())
        contexts: dict[str, Tensor] = {}
        found: dict[str, tuple[Tensor, Tensor]] = {}
        for name in (*PAPER_CONTEXTS, *self.benchmark.words):
            if name not in found:
                if f"visual {name}" in known:
                    found[name] = known[f"visual {name}"], known[f"text {name}"]
                elif name in _SAME:
                    word = self.archive.encoder.encode_text(name).vector
                    found[name] = contexts[_SAME[name]], word
                else:
                    found[name] = paper_reference(self.archive, name, k=self.k, contexts=contexts)
                known |= {f"visual {name}": found[name][0], f"text {name}": found[name][1]}
                _write(path, self._settings(), known)
                if name in PAPER_CONTEXTS:
                    contexts[name] = found[name][0]
            on_word(name)
        visual, text = zip(*(found[name] for name in self.benchmark.words), strict=True)
        return References(torch.stack(visual), torch.stack(text))

    def log(self) -> ScoreLog:
        """What this run has scored already.

        Raises:
            StorageError: The folder cannot be written.
        """
        return ScoreLog(self.out / "images.jsonl", self._settings())

    def score(self, sample: Sample, references: References, log: ScoreLog) -> None:
        """Segment a sample, without and with CRF, and enter its confusion matrices if they are not there.

        Raises:
            ImageError: The sample cannot be read.
            StorageError: The log cannot be written.
        """
        if sample.name in log.done:
            return
        image, truth = self.benchmark.read(sample)
        maps = references.probabilities(self.archive.encoder, image)  # (K, H, W)
        shares = np.exp(maps - maps.max(0))  # the released code's softmax over the products
        refined = label_crf(shares / shares.sum(0), image, params=PAPER_CRF)
        classes, class_of = len(self.benchmark.classes), np.array(self.benchmark.class_of)
        matrices = {
            key: confusion(truth, class_of[one.argmax(0)], classes, ignore=(VOID,))
            for key, one in (("plain", maps), ("crf", refined))
        }
        log.add(sample.name, matrices)

    def _settings(self) -> dict[str, Any]:
        encoder = self.archive.encoder
        return {
            "benchmark": self.benchmark.name,
            "archive": self.archive.id,
            "images": len(self.archive),
            "weights": encoder.weights,
            "k": self.k,
        }


def _starts(length: int, side: int) -> list[int]:
    """Where squares of that side begin on an axis: half a side apart, the last one flush with the end."""
    return [*range(0, length - side, max(1, side // 2)), length - side]


def _read(path: Path, settings: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of an earlier run with the same settings, or none."""
    if not path.is_file():
        return {}
    remedy = "remove it to learn the references again"
    read = read_tensors(
        path, "a file of references", remedy, largest=_LARGEST, kinds=(torch.float32,), key=_KEY
    )
    return dict(read.tensors) if read.data == settings else {}


def _write(path: Path, settings: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    plain = {key: tensor.float().clone() for key, tensor in tensors.items()}  # shared ones are refused
    text = json.dumps(settings, sort_keys=True)
    write_bytes(path, pack_tensors(plain, text, what="the references", largest=_LARGEST, key=_KEY))
