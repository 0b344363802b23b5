"""What is stored outlives releases: older files are read, and newer ones are refused in a sentence."""

import base64
import json
import shutil

import lance
import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch
from fakes import FakeEncoder, write_photos
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_hostile_input import BOUNDED, damaged, infinite, survives
from typer.testing import CliRunner

from reco_assist.archive import Archive
from reco_assist.cli.app import app
from reco_assist.concepts import Concept, learn_concept
from reco_assist.errors import ArchiveError
from reco_assist.images import content_hash
from reco_assist.segmenter import Segmenter, Target
from reco_assist.session import ConceptSpec, Session


@pytest.fixture
def archive(tmp_path):
    made = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    made.add(write_photos(tmp_path / "photos", 12), progress=False)
    return made


def first_concept(concept):
    """A Concept as format 1 had it at first: no banks, nothing about quality or a swap."""
    tensors = {"foreground": concept.foreground, "background": concept.background}
    tensors |= {"contexts": concept.contexts, "text": concept.text}
    raw = concept.to_bytes()
    head = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    data = json.loads(head["__metadata__"]["reco_assist"])
    data["format"] = 1
    del data["quality"], data["provenance"]["swapped"]
    return safetensors.torch.save(tensors, metadata={"reco_assist": json.dumps(data)})


def test_a_concept_of_format_1_is_read_and_segments(archive, tmp_path):
    new = learn_concept(archive, "mug", k=6)
    path = tmp_path / "mug.concept"
    path.write_bytes(first_concept(new))
    old = Concept.load(path)
    assert (old.name, old.provenance, old.banks, old.quality) == ("mug", new.provenance, (), None)
    assert torch.equal(old.foreground, new.foreground)
    targets = [Target(one, one.name) for one in sorted((tmp_path / "photos" / "a").iterdir())[:2]]
    segmented = Segmenter([old], encoder=FakeEncoder(), presence="off").segment(targets)
    assert [one.maps.shape for one in segmented] == [(1, 30, 40)] * 2
    assert CliRunner().invoke(app, ["doctor", str(path)]).exit_code == 0
    old.save(path)  # as format 2 from here on
    assert Concept.load(path).to_bytes() == path.read_bytes() == old.to_bytes()


def test_an_archive_of_format_1_is_read(archive):
    """The header as the first release wrote it, byte for byte but for its values."""
    path = archive.path / "archive.json"
    now = json.loads(path.read_bytes())
    values = base64.b64encode(np.asarray(archive.mean, "<f4").tobytes()).decode()
    header = f"""{{
      "format": 1, "id": "{now["id"]}", "encoder": "fake", "weights": "{FakeEncoder().weights}",
      "shape": {json.dumps(now["shape"])}, "root": null, "folders": {json.dumps(now["folders"])},
      "mean": {{"version": 0, "images": 0, "values": "{values}"}}
    }}"""
    path.write_text(header)
    opened = Archive.open(archive.path, encoder=FakeEncoder())
    assert len(list(opened.images())) == 12
    assert len(opened.search(language=torch.ones(32), k=3)) == 3
    assert CliRunner().invoke(app, ["doctor", str(archive.path)]).exit_code == 0


def test_a_session_of_the_first_release_is_read_and_goes_on(tmp_path):
    """It knew boxes alone, no negative examples and no swap; its log is written by hand here."""
    photo = tmp_path / "a.png"
    Image.new("RGB", (40, 30), (9, 99, 200)).save(photo)
    digest = content_hash(photo.read_bytes())
    example = {"path": str(photo), "content_hash": digest, "box": [1, 2, 3, 4]}
    plan = {
        "name": "mug",
        "k": 7,
        "examples": [example],
        "contexts": ["table"],
        "added": [],
        "dropped": ["n"],
    }
    plan |= {"marks": [["c", 1]], "begun": True}
    result = {
        "image": {"file_name": "a.png", "content_hash": digest, "width": 40, "height": 30},
        "path": str(photo),
        "fingerprint": 5,
        "findings": {"mug": {"digest": "d", "present": True, "probability": 0.9, "doubt": 0.1}},
    }
    values = {"concepts": ["mug"], "plan/mug": plan, f"result/{digest}": result}
    values |= {
        "file/a.png": {"hash": digest, "stamp": [1, 2]},
        f"mask/{digest}/mug": {"threshold": 60, "strokes": ""},
    }
    values |= {f"review/{digest}/mug": {"state": "accepted", "when": 1}}
    event = {
        "n": 1,
        "at": "2025-01-01T00:00:00.000+00:00",
        "who": "anna",
        "what": "add concept",
        "scope": None,
    }
    event |= {"forget": None, "changes": {key: [None, value] for key, value in values.items()}}
    folder = tmp_path / "old.session"
    (folder / "maps" / digest[:2]).mkdir(parents=True)
    (folder / "audit.jsonl").write_text('{"format":1}\n' + json.dumps(event) + "\n")
    session = Session.open(folder)
    Image.fromarray(np.full((30, 40), 70, np.uint8)).save(session.masks.path(digest, "mug"))
    assert session.plan("mug").exemplars[0].box == (1, 2, 3, 4)
    assert not session.plan("mug").swapped
    assert session.review(digest, "mug").state == "accepted"
    assert session.mask(digest, "mug").all()
    session.set_plan(ConceptSpec("spoon"))
    session.close()
    assert Session.open(folder).concepts == ("mug", "spoon")
    Session.open(folder).close()
    assert CliRunner().invoke(app, ["doctor", str(folder)]).exit_code == 0


def newer(path, kind, archive):
    """A file or folder of the given kind that claims format 9."""
    if kind == "archive":
        header = json.loads((archive.path / "archive.json").read_bytes())
        (archive.path / "archive.json").write_text(json.dumps({**header, "format": 9, "unheard": 1}))
        return archive.path
    if kind == "session":
        path.mkdir()
        (path / "audit.jsonl").write_bytes(b'{"format":9,"packed":true}\n\x00\x01\x02\n')
        return path
    metadata = {"reco_assist": json.dumps({"format": 9, "name": "mug", "other": []})}
    path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}, metadata=metadata))
    return path


@pytest.mark.parametrize("kind", ["archive", "session", "concept"])
@pytest.mark.parametrize("repair", [[], ["--repair"]])
def test_what_a_newer_release_wrote_is_refused_in_a_sentence_and_left_alone(tmp_path, archive, kind, repair):
    path = newer(tmp_path / f"new.{kind}", kind, archive)
    before = contents(path)
    done = CliRunner().invoke(app, ["doctor", str(path), *repair])
    said = str(done.exception)
    assert "format 9, which is newer than format" in said
    assert said.endswith("update reco-assist.")
    assert contents(path) == before


def contents(path):
    """Bytes of a file, or of all files of a folder but locks."""
    if path.is_file():
        return path.read_bytes()
    return {one: one.read_bytes() for one in path.rglob("*") if one.is_file() and one.suffix != ".lock"}


def read_header(archive, header):
    copy = archive.path.with_name("copy.reco")
    copy.mkdir(exist_ok=True)
    if not (copy / "images.lance").exists():
        (copy / "images.lance").symlink_to(archive.path / "images.lance")
    (copy / "archive.json").write_text(json.dumps(header))

    def use():
        opened = Archive.open(copy)
        assert opened.root is None or opened.root
        list(opened.images())

    survives(use)


def header_of(archive):
    return json.loads((archive.path / "archive.json").read_bytes())


@BOUNDED
@given(data=st.data())
def test_headers_of_others_open_or_are_refused(archive, data):
    read_header(archive, data.draw(damaged(header_of(archive))))


def test_infinity_anywhere_in_a_header(archive):
    for header in infinite(header_of(archive)):
        read_header(archive, header)


def read_concept(path, tensors, metadata):
    text = json.dumps(metadata)
    path.write_bytes(safetensors.torch.save(tensors, metadata={"reco_assist": text}))

    def use():
        Concept.load(path).to_bytes()

    survives(use)


@BOUNDED
@given(data=st.data())
def test_concepts_of_others_load_or_are_refused(concept_parts, tmp_path, data):
    tensors, metadata = concept_parts
    read_concept(tmp_path / "x.concept", tensors, data.draw(damaged(metadata)))


def test_infinity_anywhere_in_a_concept(concept_parts, tmp_path):
    tensors, metadata = concept_parts
    for changed in infinite(metadata):
        read_concept(tmp_path / "x.concept", tensors, changed)


@pytest.fixture
def concept_parts(archive):
    raw = learn_concept(archive, "mug", k=6).to_bytes()
    head = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return safetensors.torch.load(raw), json.loads(head["__metadata__"]["reco_assist"])


@pytest.mark.parametrize("way", ["deep", "no text", "other columns", "no columns of ours"])
def test_an_archive_of_lies_is_refused_when_it_is_opened(archive, tmp_path, way):
    copy = tmp_path / "copy.reco"
    shutil.copytree(archive.path, copy)
    if way == "deep":
        (copy / "archive.json").write_bytes(b"[" * 99_999)
    elif way == "no text":
        (copy / "archive.json").write_bytes(b"\xff\xfe\xfa")
    else:
        data = lance.dataset(copy / "images.lance")
        table = data.to_table()
        if way == "other columns":
            table = table.set_column(0, "content_hash", pa.array(range(len(table))))
        else:
            table = pa.table({"x": [1]})
        lance.write_dataset(table, copy / "images.lance", mode="overwrite")
    with pytest.raises(ArchiveError) as refused:
        Archive.open(copy)
    assert len(str(refused.value).replace(str(tmp_path), "")) < 300
