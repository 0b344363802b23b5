"""Students: a tiny problem, a tiny encoder, and what a stopped run comes to."""

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from children import start
from fakes import write_student
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

from reco_assist import student
from reco_assist.annotations import Verdict
from reco_assist.cli.app import app
from reco_assist.errors import FormatError, StorageError
from reco_assist.locks import only_writer
from reco_assist.segmenter import ProbabilityMaps, Target, load, maps
from reco_assist.student import (
    Design,
    Examples,
    Recipe,
    Student,
    export_onnx,
    load_predictor,
    pseudo_label,
    train,
)
from reco_assist.student.network import build

pytestmark = pytest.mark.slow

SIDE = 64


class RedTeacher:
    """Finds what is red."""

    def __init__(self):
        self.digests = {"red": "digest"}

    def segment(self, targets):
        found = []
        for one in load(targets, SIDE):
            maps = (one.squares[0][None, ..., 0] > 128).astype(np.uint8) * 250
            present = bool(maps.any())
            found.append(
                ProbabilityMaps(one.reference, (Verdict("red", present, 0.05 + 0.9 * present),), maps)
            )
        return found


@pytest.fixture
def examples(tmp_path):
    random = np.random.default_rng(0)
    targets = []
    for number in range(12):
        pixels = random.integers(0, 90, (SIDE, SIDE, 3), np.uint8)
        if number % 4:
            y, x = random.integers(4, 40, 2)
            pixels[y : y + 20, x : x + 20] = (220, 40, 40)
        path = tmp_path / f"{number:02}.png"
        Image.fromarray(pixels).save(path)
        targets.append(Target(path, path.name))
    made = Examples(tmp_path / "examples", concepts=["red"], side=SIDE, teacher=RedTeacher().digests)
    assert sum(made.add(RedTeacher(), targets)) == len(made) == 12
    return made


def test_objects_refine_a_students_masks_unless_told_otherwise(tmp_path, monkeypatch):
    write_student(tmp_path / "one.student", "red")
    noise = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "one.png")
    seen = []

    def recorded(levels, square, picture, *, device):
        seen.append((levels.shape, square.shape, picture.shape, device))
        return np.ones_like(levels)

    monkeypatch.setattr(maps, "saliency_crf", recorded)

    def levels(**options):
        predictor = load_predictor([tmp_path / "one.student"], device="cpu", presence="off", **options)
        return predictor.segment([Target(tmp_path / "one.png", "one.png")])[0].maps

    assert (levels() == 255).all()
    assert seen == [((1, 224, 224), (224, 224, 3), (SIDE, SIDE, 3), torch.device("cpu"))]
    assert not (levels(refine="crf") == 255).all()
    assert len(seen) == 1


def test_a_list_of_the_first_release_goes_on_behind_a_torn_line(examples):
    """Its lines have spaces, and the first says what the examples are of; see commit 07aabad."""
    path = examples.folder / "examples.jsonl"
    settings = {"concepts": ["red"], "corrections": [], "side": SIDE, "teacher": {"red": "digest"}}

    def listed():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [{key: value for key, value in line.items() if key != "stamp"} for line in lines]

    older = [settings, *listed()[1:]]
    lines = [json.dumps(one).encode() + b"\n" for one in older]
    path.write_bytes(b"".join(lines[:8]) + lines[8][:30])
    again = Examples(examples.folder, concepts=["red"], side=SIDE, teacher={"red": "digest"})
    assert len(again) == 7
    targets = [Target(examples.folder.parent / one.file_name, one.file_name) for one in examples]
    assert sum(again.add(RedTeacher(), targets)) == 12
    assert path.read_bytes().startswith(b"".join(lines[:8]))
    assert listed() == older
    for bad in (b'{"key": "../x"}\n', b"[]\n", lines[1].replace(older[1]["key"].encode(), b"../../x")):
        path.write_bytes(lines[0] + bad)
        with pytest.raises(FormatError, match=r"is damaged .*: remove it and start again"):
            Examples(examples.folder, concepts=["red"], side=SIDE, teacher={"red": "digest"})


def test_a_photograph_that_changed_is_labelled_again(examples):
    targets = [Target(examples.folder.parent / one.file_name, one.file_name) for one in examples]
    assert next(iter(examples)).kind == "absent"
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[8:40, 8:40, 0] = 220
    Image.fromarray(pixels).save(targets[0].path)
    again = Examples(examples.folder, concepts=["red"], side=SIDE, teacher={"red": "digest"})
    list(again.add(RedTeacher(), targets))
    (changed,) = (one for one in again if one.file_name == targets[0].file_name)
    assert (len(again), changed.kind) == (12, "present")
    assert again.read(changed)[0].max() == 220
    fresh = Examples(examples.folder, concepts=["red"], side=SIDE, teacher={"red": "digest"})
    assert sorted(fresh, key=lambda one: one.key) == sorted(again, key=lambda one: one.key)


def test_two_trainings_into_one_folder_are_refused(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "photos" / "a.png")
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(student, "load_predictor", lambda *a, **o: RedTeacher())
    options = ["--images", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    with only_writer(tmp_path / "out"):
        told = CliRunner().invoke(app, ["train", "red.concept", *options])
    assert told.exit_code == 1 or isinstance(told.exception, StorageError)
    assert "Another process is writing to" in str(told.exception)
    assert not (tmp_path / "out" / "examples").exists()


def test_the_rate_is_torchs_polynomial():
    recipe = Recipe(iterations=30)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=30, power=0.9)
    for step in range(30):
        assert recipe.rate_at(step) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("backbone", [0.1, 0])  # trained slowly, and frozen
def test_a_stopped_run_ends_with_the_same_weights(examples, tmp_path, backbone):
    torch.set_num_threads(1)
    design = Design(("red",), side=SIDE)
    recipe = Recipe(iterations=4, check_every=2, batch=2, backbone=backbone)
    for _ in train(examples, design, recipe, tmp_path / "whole", device="cpu"):
        pass
    run = train(examples, design, recipe, tmp_path / "stopped", device="cpu")
    assert [next(run).step for _ in range(3)] == [1, 2, 3]
    run.close()
    resumed = [one.step for one in train(examples, design, recipe, tmp_path / "stopped", device="cpu")]
    assert resumed == [3, 4]
    files = [tmp_path / name / "checkpoint.safetensors" for name in ("whole", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()
    student = Student.load(tmp_path / "whole" / "model.student")
    assert student.design == design
    fresh, trained = build(design, seed=recipe.seed).state_dict(), student.state
    same = {key for key, value in fresh.items() if torch.equal(trained[key], value)}
    encoder = {key for key in fresh if key.startswith("body.encoder.")}
    assert same >= encoder if backbone == 0 else not same >= encoder  # its batch statistics too
    assert any(key not in same for key in fresh.keys() - encoder)


def test_where_nothing_is_held_out_the_last_student_counts(examples, tmp_path):
    recipe = Recipe(iterations=3, check_every=1, batch=2, backbone=0, validation=0)
    *_, last = train(examples, Design(("red",), side=SIDE), recipe, tmp_path / "out", device="cpu")
    assert (last.score, last.best) == (None, None)
    assert Student.load(tmp_path / "out" / "model.student").provenance["step"] == 3


def test_weights_are_the_margin_times_the_trust():
    maps = np.full((2, 8, 8), 0, np.uint8)
    maps[0], maps[1] = 204, 51  # .8 and .2
    label = pseudo_label(maps, (Verdict("a", True, 0.4), Verdict("b", True, 0.9)), 8)
    assert (label.classes == 1).all()
    assert (label.weights == round(255 * (0.8 - 0.2) * 0.4)).all()


def test_a_student_is_refused_when_damaged(tmp_path):
    (tmp_path / "x.student").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a student"):
        Student.load(tmp_path / "x.student")


def test_onnx_says_what_torch_says_by_the_lines_of_the_readme(tmp_path, monkeypatch):
    student = write_student(tmp_path / "x.student", "mug", "cup")
    (tmp_path / "mugs").mkdir()
    assert export_onnx(student, tmp_path / "mugs" / "model.onnx") <= 1e-3
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), np.uint8))
    coarse.resize((210, 150), Image.Resampling.BICUBIC).save(tmp_path / "desk.jpg", quality=95)
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (lines,) = [block for block in re.findall(r"```python\n(.*?)```", readme, re.S) if "onnxruntime" in block]
    monkeypatch.chdir(tmp_path)
    known = {}
    exec(compile(lines, "README.md", "exec"), known)
    found = np.stack([known["background"], *known["concepts"]])  # (3, S, S)
    square = Image.open("desk.jpg").resize((64, 64), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = student.network()(pixels).softmax(1)[0].numpy()
    assert found.shape == expected.shape == (3, 64, 64)
    assert np.abs(found - expected).max() <= 1e-3
    assert expected.std() > 1e-3  # it is not all the same
    onnx.checker.check_model(onnx.load("mugs/model.onnx"))


KILLED = """
import sys
import torch
import reco_assist.student as student
from reco_assist.cli import app
from test_student import SIDE, RedTeacher

torch.set_num_threads(1)
student.examples.BATCH = 1
student.load_predictor = lambda *a, **o: RedTeacher()
student.export_onnx = lambda *a: 0.0

def told(function):
    def wrapped(*arguments, **options):
        for one in function(*arguments, **options):
            print(getattr(one, "step", "label"), flush=True)  # what this stands for is on disk
            yield one
    return wrapped

student.Examples.add, student.train = told(student.Examples.add), told(student.train)
_, photos, out = sys.argv
options = ["--size", str(SIDE), "--iterations", "10", "--batch", "2", "--freeze", "--device", "cpu", "-q"]
sys.argv = ["reco-assist", "train", "red.concept", "--images", photos, "--out", out, *options]
app.main()
"""


def on_disk(out):
    """What a killed `train` left: labels that are listed and whole, and the steps of the checkpoint."""
    listed = out / "examples" / "examples.jsonl"
    lines = listed.read_bytes().split(b"\n")[1:-1] if listed.is_file() else []
    for line in lines:
        for what in ("image", "label"):
            with Image.open(out / "examples" / f"{json.loads(line)['key']}-{what}.png") as image:
                image.load()
    if not (out / "checkpoint.safetensors").is_file():
        return len(lines), 0
    with safe_open(out / "checkpoint.safetensors", "pt") as file:
        (about,) = file.metadata().values()
    return len(lines), json.loads(about)["step"]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.slow
@pytest.mark.parametrize(("kills", "most"), [(5, 5), pytest.param(50, 1, marks=pytest.mark.soak)])
def test_a_killed_train_keeps_what_it_told_and_ends_with_the_same_weights(examples, tmp_path, kills, most):
    """While it labels and while it trains, after up to `most` more images or steps than the last time."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in tmp_path.glob("*.png"):
        path.rename(photos / path.name)
    running = start(KILLED, photos, tmp_path / "whole")
    assert running.communicate()[0].split() == ["label"] * 12 + [str(step) for step in range(1, 11)]
    random = np.random.default_rng(kills)
    out, told, killed, turn = tmp_path / "killed", 0, 0, 0
    while killed < kills or told < 22:
        if told == 22:
            turn += 1
            out, told = tmp_path / f"killed {turn}", 0
        running = start(KILLED, photos, out)
        wanted = told + int(random.integers(0, most + 1))
        labels = step = 0
        for line in running.stdout:  # what it said before it died is read after it
            labels, step = (labels + 1, 0) if line == "label\n" else (labels, int(line))
            if killed < kills and labels + step >= wanted:
                time.sleep(float(random.uniform(0, 0.1)))
                running.send_signal(signal.SIGKILL)
                killed, wanted = killed + 1, 99
        running.wait()
        found = on_disk(out)
        assert found[0] >= labels
        assert found[1] >= step
        told = sum(found)
    for name in ("examples/examples.jsonl", "checkpoint.safetensors", "model.student"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
