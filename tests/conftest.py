"""What many tests share: the embedded encoder and the sample archive, indexed once a session."""

import json
import logging
import re
import shutil
import signal
from pathlib import Path

import label_studio_server
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from site_of_harm import Site

from reco_assist import segmenter
from reco_assist.archive import Archive
from reco_assist.concepts import cell_votes
from reco_assist.encoders import load_encoder
from reco_assist.refine import saliency
from reco_assist.retrieval import box_exemplar

# What a shell starts in the background is deaf to Ctrl-C, and so would be the processes of our tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples"


_SLOW = re.compile(r"^pytestmark = (\[\s*)?pytest\.mark\.slow", re.MULTILINE)


def pytest_ignore_collect(collection_path, config):
    """A file that is slow as a whole is not imported where such tests are left out: that takes seconds."""
    left_out = "not slow" in config.option.markexpr and collection_path.suffix == ".py"
    return True if left_out and _SLOW.search(collection_path.read_text(encoding="utf-8")) else None


class Truth:
    """What samples.json says about the sample images, and their exact masks."""

    def __init__(self):
        self.data = json.loads((SAMPLES / "samples.json").read_text())
        self.concepts = {image["file"]: image["concepts"] for image in self.data["images"]}
        self._masks = {image["file"]: image["mask"] for image in self.data["images"]}

    def labels(self, file):
        return np.asarray(Image.open(SAMPLES / self._masks[file]))

    def exemplars(self):
        """The three exemplar extinguishers, each in the box a curator would draw."""
        boxes = []
        for name in self.data["exemplars"]["fire extinguisher"]:
            rows, columns = np.nonzero(self.labels(name) == 2)
            x, y = int(columns.min()), int(rows.min())
            size = int(columns.max()) - x + 1, int(rows.max()) - y + 1
            boxes.append(box_exemplar(SAMPLES / name, x, y, *size))
        return boxes


@pytest.fixture(autouse=True)
def the_log_is_as_loud_as_before():
    """The command line sets it for its process, which is ours where a test runs a command in it."""
    log = logging.getLogger("reco_assist")
    level = log.level
    yield
    log.setLevel(level)


@pytest.fixture(scope="session")
def truth():
    return Truth()


@pytest.fixture(scope="session")
def encoder():
    """The offline encoder, which really sees."""
    return load_encoder("offline", device="cpu")


@pytest.fixture(scope="session")
def samples(encoder, tmp_path_factory, worker_id):
    """An archive of the sample images: made once, and copied for each worker, so that each may write."""
    own = tmp_path_factory.mktemp("archive") / "samples.reco"
    base = tmp_path_factory.getbasetemp()
    made = (base if worker_id == "master" else base.parent) / "samples.reco"
    with FileLock(made.with_suffix(".lock")):
        if not made.exists():
            Archive.create(own, encoder=encoder).add(SAMPLES / "archive", progress=False)
            shutil.copytree(own, made)
        elif not own.exists():
            shutil.copytree(made, own)
    return Archive.open(own, encoder=encoder)


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory):
    """A real Label Studio server, started once a session."""
    if reason := label_studio_server.missing():
        pytest.skip(reason)
    with label_studio_server.Server(tmp_path_factory.mktemp("label-studio") / "server") as server:
        yield server


@pytest.fixture
def coarse(monkeypatch):
    """Refinement of 32 x 32 pixels without outlines: for tests of what is done with masks, not of edges."""
    for module in (cell_votes, segmenter.maps, segmenter.scorer):
        monkeypatch.setattr(module, "REFINE_SIDE", 32)
    monkeypatch.setattr(saliency, "salient_odds", lambda image, **_: np.zeros(image.shape[:2], np.float32))


@pytest.fixture
def sites():
    made = Site(), Site()
    yield made
    for one in made:
        one.close()
