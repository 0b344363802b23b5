"""Concepts, students, checkpoints and references of others: read whole, or refused in a sentence at once."""

import json
import struct
from contextlib import suppress

import numpy as np
import pytest
import safetensors.torch
import torch
from fakes import FakeEncoder, write_photos, write_student

from reco_assist.archive import Archive
from reco_assist.concepts import Concept, learn_concept
from reco_assist.errors import FormatError, RecoAssistError, StorageError
from reco_assist.reproduction import protocol
from reco_assist.student import Student
from reco_assist.student.checkpoint import load_checkpoint
from reco_assist.student.student import is_student
from reco_assist.tensor_files import pack_tensors, peek, read_tensors


@pytest.fixture(scope="module")
def concept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensors")
    archive = Archive.create(folder / "x.reco", encoder=FakeEncoder())
    archive.add(write_photos(folder / "photos", 12), progress=False)
    made = learn_concept(archive, "mug", k=6)
    raw = made.to_bytes()
    head = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return made, safetensors.torch.load(raw), json.loads(head["__metadata__"]["reco_assist"])


def refused(load, path):
    with pytest.raises(FormatError) as caught:
        load(path)
    said = str(caught.value)
    assert len(said) < 300 + len(str(path))
    assert "\n" not in said


def write(path, tensors, data):
    text = data if isinstance(data, str) else json.dumps(data)
    path.write_bytes(safetensors.torch.save(tensors, metadata={"reco_assist": text}))
    return path


def other_kinds(tensor):
    return [tensor.to(kind) for kind in (torch.int32, torch.float64, torch.bool, torch.bfloat16)]


def not_finite(tensor):
    broken = tensor.clone()
    broken.view(-1)[-1] = float("nan")
    return broken


def test_a_concepts_tensors_are_of_their_kinds_and_shapes_and_finite(concept, tmp_path):
    made, tensors, data = concept
    path = write(tmp_path / "x.concept", tensors, data)
    assert Concept.load(path).digest == made.digest
    assert {"foreground", "background", "contexts", "text", "bank0_cells", "bank0_labels"} <= set(tensors)
    for name in ("foreground", "background", "text", "bank0_cells", "bank0_labels"):
        tensor = tensors[name]
        shapes = [tensor[None], tensor[:0], tensor[..., :-1].contiguous() if name != "text" else tensor[None]]
        halves = [tensor.float() if tensor.dtype == torch.float16 else tensor.half()]
        for wrong in [*other_kinds(tensor), *halves, not_finite(tensor), *shapes]:
            refused(Concept.load, write(path, {**tensors, name: wrong}, data))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "true", '"7"', "[]", "1" * 400])
@pytest.mark.parametrize("field", ["threshold", "saliency", "presence", "familiarity"])
def test_a_concepts_numbers_are_finite_numbers(concept, tmp_path, field, value):
    _, tensors, data = concept
    changed = json.loads(json.dumps(data))
    if field == "familiarity":
        changed["provenance"][field] = "HERE"
    elif field == "presence":
        changed[field]["total"]["median"] = "HERE"
    else:
        changed[field] = "HERE" if field == "threshold" else ["HERE", 1.0]
    text = json.dumps(changed).replace('"HERE"', value)
    refused(Concept.load, write(tmp_path / "x.concept", tensors, text))


@pytest.mark.parametrize("depth", [2_000, 500_000])
def test_deep_descriptions_are_refused(concept, tmp_path, depth):
    _, tensors, _ = concept
    path = write(tmp_path / "x.concept", tensors, '{"a":' + "[" * depth + "]" * depth + "}")
    refused(Concept.load, path)
    refused(Student.load, path)
    refused(lambda place: load_checkpoint(place, "x"), path)
    assert not is_student(path)


def test_a_header_that_lies_about_its_length_is_refused(concept, tmp_path):
    raw = concept[0].to_bytes()
    path = tmp_path / "x.concept"
    for length in (0, 1, len(raw), 1 << 40, (1 << 64) - 1):
        path.write_bytes(struct.pack("<Q", length) + raw[8:])
        refused(Concept.load, path)
        assert peek(path) is None
    for cut in (0, 7, 8, 200, len(raw) - 1):
        path.write_bytes(raw[:cut])
        refused(Concept.load, path)


def test_what_would_be_too_large_to_read_is_not_written(concept, tmp_path, monkeypatch):
    made = concept[0]
    path = tmp_path / "x.concept"
    made.save(path)
    before = path.read_bytes()
    monkeypatch.setattr("reco_assist.concepts.concept._LARGEST", len(before) - 1)
    with pytest.raises(StorageError, match="'mug'"):
        made.save(path)
    assert path.read_bytes() == before
    refused(Concept.load, path)


@pytest.mark.slow
def test_a_students_tensors_are_those_of_its_network(tmp_path):
    path = tmp_path / "x.student"
    student = write_student(path, "mug")
    assert Student.load(path).digest == student.digest
    raw = path.read_bytes()
    head = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    data, tensors = json.loads(head["__metadata__"]["reco_assist"]), safetensors.torch.load(raw)
    name = next(key for key, one in tensors.items() if one.dtype == torch.float32)
    for wrong in [*other_kinds(tensors[name]), not_finite(tensors[name]), tensors[name][None]]:
        refused(Student.load, write(path, {**tensors, name: wrong}, data))
    fewer = {key: one for key, one in tensors.items() if key != name}
    refused(Student.load, write(path, fewer, data))
    refused(Student.load, write(path, {**tensors, "more": tensors[name].clone()}, data))
    # A network with a million classes would take gigabytes before its tensors are found not to fit.
    many = {**data, "design": {**data["design"], "concepts": [f"c{n}" for n in range(1_000_000)]}}
    refused(Student.load, write(path, tensors, many))
    for concepts in ("mug", [1], None):
        refused(
            Student.load, write(path, tensors, {**data, "design": {**data["design"], "concepts": concepts}})
        )


def test_references_are_read_again_or_refused(tmp_path):
    path = tmp_path / "references.safetensors"
    settings = {"k": 20}
    vector = torch.ones(3)
    protocol._write(path, settings, {"visual mug": vector, "text mug": vector})
    assert torch.equal(protocol._read(path, settings)["visual mug"], vector)
    assert protocol._read(path, {"k": 7}) == {}
    assert protocol._read(tmp_path / "none", settings) == {}
    path.write_bytes(b"x")
    refused(lambda place: protocol._read(place, settings), path)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_are_refused_or_read_as_numbers(concept, tmp_path, seed):
    random = np.random.default_rng(seed)
    raw = bytearray(concept[0].to_bytes())
    for _ in range(random.integers(1, 30)):
        raw[random.integers(len(raw))] = random.integers(256)
    path = tmp_path / "x.concept"
    path.write_bytes(raw)
    with suppress(RecoAssistError):
        Concept.load(path).to_bytes()


def test_equal_contents_are_equal_bytes(tmp_path):
    tensors = {"b": torch.arange(4), "a": torch.ones(2, 2).T}
    raw = pack_tensors(tensors, "[1]", what="x", largest=1000)
    assert raw == pack_tensors(dict(reversed(tensors.items())), "[1]", what="x", largest=1000)
    (tmp_path / "x").write_bytes(raw)
    read = read_tensors(tmp_path / "x", "an x", "write it", largest=1000, kinds=(torch.int64, torch.float32))
    assert read.data == [1]
    assert torch.equal(read.tensors["b"], tensors["b"])
