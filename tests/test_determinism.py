"""The same inputs give the same bytes, in whatever order Python's sets and the system's folders come."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import FakeEncoder, write_photos

from reco_assist.archive import Archive

RUN = """
import sys
from pathlib import Path

from fakes import FakeEncoder

from reco_assist.archive import Archive
from reco_assist.concepts import learn_concept
from reco_assist.retrieval import box_exemplar
from reco_assist.runs import Run, list_targets
from reco_assist.segmenter import Segmenter

home, out = map(Path, sys.argv[1:])
encoder = FakeEncoder()
archive = Archive.open(home / "x.reco", encoder=encoder)
shown = [box_exemplar(home / "photos" / "a" / "001.png", 5, 4, 20, 15)]
concepts = [
    learn_concept(archive, "mug", k=8),
    learn_concept(archive, "cup", k=8, contexts=["saucer", "table", "hand"]),
    learn_concept(archive, "jug", k=8, exemplars=shown),
]
for concept in concepts:
    concept.save(out / f"{concept.name}.concept")
segmenter = Segmenter(concepts, encoder=encoder, presence="off")
with Run.open(out, segmenter, list_targets(home / "targets", out=out)) as run:
    run.segment(progress=False)
    run.export(["coco", "label-studio"])
"""


def run(home, seed):
    out = home / seed
    out.mkdir()
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent)])
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN, str(home), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = ("mug.concept", "cup.concept", "jug.concept", "coco.json", "label-studio.json")
    return {name: (out / name).read_bytes() for name in names}


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path):
    """From one archive: its random id is in the Concepts' provenance."""
    write_photos(tmp_path / "photos", 30)
    write_photos(tmp_path / "targets", 6, seed=9)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    archive.add(tmp_path / "photos", progress=False, workers=1)
    first, second = run(tmp_path, "1"), run(tmp_path, "3")  # they order sets of names differently
    assert first["coco.json"].count(b'"segmentation"') > 6
    assert [name for name in first if first[name] != second[name]] == []
