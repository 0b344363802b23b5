"""What the benchmarks are fed with: photographs and archives that nobody took, and how a run is measured."""

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from reco_assist.archive import Archive
from reco_assist.archive.header import Header
from reco_assist.archive.table import ImageRow, Row, Table, Vectors
from reco_assist.encoders.compact import DENSE_CELLS, LANGUAGE_CELLS, Codes, CompactCells, rotate

LANGUAGE, DENSE = 512, 384
_SUBJECTS = 1000  # what the images of a synthetic archive show
_ROWS = 16384


def write_photographs(folder: Path, count: int, *, width: int = 1024, height: int = 768) -> list[Path]:
    """JPEG files with the spectrum of photographs: smooth shapes, and detail that falls off."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    paths = []
    for number in range(count):
        layers = [
            np.asarray(
                Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).resize(
                    (width, height), Image.Resampling.BICUBIC
                ),
                np.float32,
            )
            * share
            for side, share in ((5, 0.6), (40, 0.3), (250, 0.1))
        ]
        path = folder / f"{number:06}.jpg"
        Image.fromarray(sum(layers).clip(0, 255).astype(np.uint8)).save(path, quality=88)
        paths.append(path)
    return paths


def stand_in(side: int) -> SimpleNamespace:
    """What an archive wants to know of an encoder; the archive's vectors come from elsewhere."""
    return SimpleNamespace(
        name="offline",
        weights="0" * 64,
        input_size=64,
        mean_embedding=torch.zeros(LANGUAGE),
        encode=lambda pixels: SimpleNamespace(
            embedding=torch.zeros(len(pixels), LANGUAGE),
            language=torch.randn(len(pixels), LANGUAGE, side, side),
            dense=torch.randn(len(pixels), DENSE, side, side),
        ),
        mean_language=torch.zeros(LANGUAGE),
        vocabulary=None,
        reference_cells=None,
    )


def subjects(dimensions: int) -> torch.Tensor:
    """(subjects, dimensions) unit vectors."""
    centres = torch.randn(_SUBJECTS, dimensions, generator=torch.Generator().manual_seed(dimensions))
    return torch.nn.functional.normalize(centres, dim=1)


def write_archive(path: Path, images: int, *, single: bool = False) -> Path:
    """An archive of images that are noisy views of some subjects, each cell of another one.

    With `single` an image has one cell of each kind only.
    """
    Archive.create(path, encoder=stand_in(1 if single else 4))
    counts = (1, 1) if single else (LANGUAGE_CELLS, DENSE_CELLS)
    table = Table(path / "images.lance", Header.load(path).shape)
    random = np.random.default_rng(1)
    centres = subjects(LANGUAGE).numpy()
    for start in range(0, images, _ROWS):
        count = min(_ROWS, images - start)
        noise = random.standard_normal((count, LANGUAGE), np.float32) / np.float32(LANGUAGE**0.5)
        embedding = centres[random.integers(0, _SUBJECTS, count)] + 1.5 * noise  # (n, E)
        cells = CompactCells(
            _cells(random, LANGUAGE, count, counts[0]), _cells(random, DENSE, count, counts[1])
        )
        rows = [
            ImageRow(Row(sha256(str(i).encode()).hexdigest(), f"/photos/{i}.jpg", 1, 1), 640, 480, b"")
            for i in range(start, start + count)
        ]
        table.append(rows, Vectors(embedding.astype(np.float16), cells))
    table.tidy()
    return path


def _cells(random: np.random.Generator, dimensions: int, images: int, count: int) -> Codes:
    """Codes of subjects, of which a quarter of the bits are noise's: a cosine of about one half."""
    signs = np.stack([rotate(centre) > 0 for centre in subjects(dimensions)])
    own = np.packbits(signs, axis=1)[random.integers(0, _SUBJECTS, (images, count))]  # (n, cells, bytes)
    noise = np.frombuffer(random.bytes(2 * own.size), np.uint8).reshape(2, *own.shape)
    factors = np.full((images, count), 1.25 / dimensions**0.5, np.float16)
    return Codes(own ^ (noise[0] & noise[1]), factors)


def queries(count: int) -> torch.Tensor:
    """(count, LANGUAGE) words, each near a subject."""
    generator = torch.Generator().manual_seed(7)
    near = subjects(LANGUAGE)[torch.randperm(_SUBJECTS, generator=generator)[:count]]
    noise = torch.randn(count, LANGUAGE, generator=generator) / LANGUAGE**0.5
    return torch.nn.functional.normalize(near + 0.7 * noise, dim=1)


def resident() -> int:
    """Bytes of this process in memory, with the pages of mapped files that it has touched."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


def peak() -> int:
    """Most bytes of this process in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_own_process(script: str, *arguments: str) -> dict[str, Any]:
    """What a script prints as JSON, run on its own so that its memory is its own."""
    child = subprocess.run(
        [sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(child.stdout)
    return result


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
