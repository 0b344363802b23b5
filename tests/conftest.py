"""What many tests share: the embedded encoder and the sample archive, indexed once a session."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reco_assist.archive import Archive
from reco_assist.encoders import load_encoder
from reco_assist.retrieval import box_exemplar, mask_exemplar

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples"


@pytest.fixture(scope="session")
def truth():
    """What samples.json says, and the label map of any sample."""

    class Truth:
        data = json.loads((SAMPLES / "samples.json").read_text())
        concepts = {image["file"]: image["concepts"] for image in data["images"]}
        masks = {image["file"]: image["mask"] for image in data["images"]}

        def labels(self, file):
            return np.asarray(Image.open(SAMPLES / self.masks[file]))

        def exemplars(self, *, masks=False):
            found = []
            for name in self.data["exemplars"]["fire extinguisher"]:
                mask = self.labels(name) == 2
                rows, columns = np.nonzero(mask)
                x, y = int(columns.min()), int(rows.min())
                box = (x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1)
                path = SAMPLES / name
                found.append(mask_exemplar(path, mask, source="mask") if masks else box_exemplar(path, *box))
            return found

    return Truth()


@pytest.fixture(scope="session")
def encoder():
    """The offline encoder, which really sees."""
    return load_encoder("offline", device="cpu")


@pytest.fixture(scope="session")
def samples(encoder, tmp_path_factory):
    """An archive of the sample images."""
    archive = Archive.create(tmp_path_factory.mktemp("archive") / "samples.reco", encoder=encoder)
    archive.add(SAMPLES / "archive", progress=False)
    return archive
