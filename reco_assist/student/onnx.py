"""Students outside of Python's world of training: one ONNX file, from uint8 pixels to probabilities.

Running it needs no code of ours:

    import numpy as np, onnxruntime
    from PIL import Image

    network = onnxruntime.InferenceSession("model.onnx")
    side = network.get_inputs()[0].shape[1]
    pixels = np.asarray(Image.open("photo.jpg").convert("RGB").resize((side, side), Image.BICUBIC))
    background, *concepts = network.run(None, {"pixels": pixels[None]})[0][0]
"""

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from reco_assist.errors import EncoderError
from reco_assist.files import write_bytes
from reco_assist.student.network import Network
from reco_assist.student.predictor import probabilities
from reco_assist.student.student import Student

TOLERANCE = 1e-3
"""Largest difference of a probability between torch and the exported network."""


class _Exported(nn.Module):
    """Probabilities (1, 1 + K, S, S) of pixels (1, S, S, 3) uint8 RGB."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return probabilities(self.network(pixels.permute(0, 3, 1, 2)))


def export_onnx(student: Student, path: Path) -> float:
    """Write a student as ONNX, after onnxruntime has shown that it says the same as torch.

    Input `pixels` (1, S, S, 3) uint8 RGB; output `probability` (1, 1 + K, S, S) float32, background first.
    The classes' names are in the file's metadata, `names`, as JSON.

    Returns:
        The largest difference of a probability, on noise.

    Raises:
        EncoderError: The two differ by more than `TOLERANCE`; nothing is written.
        StorageError: The file cannot be written.
    """
    import onnx  # noqa: PLC0415  (an extra)
    import onnxruntime  # noqa: PLC0415

    side = student.design.side
    network = _Exported(student.network().to(memory_format=torch.contiguous_format)).eval()
    noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    pixels = torch.from_numpy(noise)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        file = Path(folder) / "model.onnx"
        torch.onnx.export(
            network,
            (pixels,),
            file,
            input_names=["pixels"],
            output_names=["probability"],
            external_data=False,
            dynamo=True,
        )
        model = onnx.load(file)
    names = ["background", *student.design.concepts]
    onnx.helper.set_model_props(model, {"names": json.dumps(names, ensure_ascii=False)})
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found = session.run(None, {"pixels": noise})[0]
    with torch.inference_mode():
        difference = float(np.abs(found - network(pixels).numpy()).max())
    if not difference <= TOLERANCE:
        raise EncoderError(
            f"the exported network differs from the student by {difference:.4f}, more than {TOLERANCE}: "
            "choose another encoder, or another version of torch or onnxruntime"
        )
    write_bytes(path, data)
    return difference


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's chatter, which is for its developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
