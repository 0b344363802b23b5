"""What a thousand corrections cost the machine-learning backend, with the real encoder.

    python benchmarks/corrections.py [NUMBER...]

For each number of corrections that a project has: size of its Concept, seconds to load it and to learn one
more, and how long /health and /setup wait meanwhile. Corrections are the masks of the sample images, over and
over. Loopback only; asking and answering share one process, and so its interpreter.
"""

import json
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import httpx
import numpy as np
import uvicorn
from PIL import Image

from reco_assist.archive import Archive
from reco_assist.concepts import Concept, learn_concept
from reco_assist.concepts.corrections import Correction, read_correction
from reco_assist.encoders import Encoder, load_encoder
from reco_assist.formats import label_config
from reco_assist.masks import brush
from reco_assist.serving import ImageStore, ProjectModels, create_app
from reco_assist.serving.pending import CorrectionLog

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples"
NUMBERS = (1, 100, 1000)
TOKEN = "benchmark"
NAME = "mug"
LONGEST = 600  # seconds until one more is learnt


def shown(encoder: Encoder) -> list[Correction]:
    """What every sample image with a mug teaches."""
    described = json.loads((SAMPLES / "samples.json").read_text())
    label = next(int(number) for number, name in described["classes"].items() if name == NAME)
    return [
        read_correction(
            encoder,
            SAMPLES / image["file"],
            np.asarray(Image.open(SAMPLES / image["mask"])) == label,
            source=image["file"],
        )
        for image in described["images"]
        if NAME in image["concepts"]
    ]


@contextmanager
def served(models: ProjectModels) -> Iterator[str]:
    """The backend on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(create_app(models, token=TOKEN), port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def stroke(file: str, number: int) -> dict[str, object]:
    """A webhook about the annotation of a sample image."""
    width, height = Image.open(SAMPLES / file).size
    mask = np.zeros((height, width), np.bool_)
    mask[height // 3 : height // 2, width // 3 : width // 2] = True
    value = {"format": "rle", "rle": list(brush.encode(mask))}
    region = {"type": "brushlabels", "value": {**value, "brushlabels": [NAME]}, "to_name": "image"}
    return {
        "action": "ANNOTATION_CREATED",
        "project": {"id": 1, "label_config": label_config([NAME])},
        "task": {"id": 1, "data": {"image": f"/data/local-files/?d={file}"}},
        "annotation": {"id": number, "result": [region]},
    }


def measure(concept: Concept, encoder: Encoder, corrections: list[Correction], number: int) -> str:
    """A line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        return _measure(concept, encoder, corrections, number, Path(folder))


def _measure(
    concept: Concept, encoder: Encoder, corrections: list[Correction], number: int, folder: Path
) -> str:
    images = ImageStore((SAMPLES,))
    models = ProjectModels([concept], images, encoder=encoder, log=CorrectionLog(folder))
    models.load()
    model = models._model("1")  # noqa: SLF001  (a thousand webhooks would take minutes to encode)
    for annotation, correction in zip(range(number), cycle(corrections), strict=False):
        model.replace(annotation, {NAME: correction})
    model.publish()
    file = folder / "project-1" / f"{NAME}.concept"
    begun = time.perf_counter()
    Concept.load(file)
    loaded = time.perf_counter() - begun
    waits: dict[str, list[float]] = {"/health": [], "/setup": []}
    with served(models) as url, httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        before = models.version("1")
        client.post(f"{url}/webhook", json=stroke("targets/scene_000.jpg", number)).raise_for_status()
        begun = time.perf_counter()
        while models.version("1") == before:
            if time.perf_counter() - begun > LONGEST:
                raise SystemExit(f"one more correction was not learnt in {LONGEST} s; the log says why")
            for path, seconds in waits.items():
                asked = time.perf_counter()
                if path == "/health":
                    client.get(f"{url}{path}").raise_for_status()
                else:
                    client.post(f"{url}{path}", json={"project": "1"}).raise_for_status()
                seconds.append(time.perf_counter() - asked)
            time.sleep(0.01)
        learnt = time.perf_counter() - begun
    images.close()
    health, setup = (f"{statistics.median(one):.3f}, {max(one):.3f}" for one in waits.values())
    size = file.stat().st_size / (1 << 20)
    return f"| {number} | {size:.1f} | {loaded:.2f} | {learnt:.2f} | {health} | {setup} |"


def main() -> None:
    """Learn, correct, print."""
    encoder = load_encoder("offline", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.create(Path(folder) / "samples.reco", encoder=encoder)
        archive.add(SAMPLES / "archive", progress=False)
        concept = learn_concept(archive, NAME, k=12)
    corrections = shown(encoder)
    print("| corrections | MiB | load s | learn one more s | /health s: median, longest | /setup s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for number in map(int, sys.argv[1:] or NUMBERS):
        print(measure(concept, encoder, corrections, number), flush=True)


if __name__ == "__main__":
    main()
