"""Students: a tiny problem, a tiny encoder, and what a stopped run comes to."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from fakes import write_student
from PIL import Image

from reco_assist.annotations import Verdict
from reco_assist.segmenter import Segmented, Target, load, maps
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
            found.append(Segmented(one.reference, (Verdict("red", present, 0.05 + 0.9 * present),), maps))
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

    monkeypatch.setattr(maps, "object_crf", recorded)

    def levels(**options):
        predictor = load_predictor([tmp_path / "one.student"], device="cpu", presence="off", **options)
        return predictor.segment([Target(tmp_path / "one.png", "one.png")])[0].maps

    assert (levels() == 255).all()
    assert seen == [((1, 224, 224), (224, 224, 3), (SIDE, SIDE, 3), torch.device("cpu"))]
    assert not (levels(refine="crf") == 255).all()
    assert len(seen) == 1


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
from pathlib import Path
import torch
from test_student import SIDE, RedTeacher
from reco_assist.student import Design, Examples, Recipe, train
torch.set_num_threads(1)
examples = Examples(Path(sys.argv[1]), concepts=["red"], side=SIDE, teacher=RedTeacher().digests)
recipe = Recipe(iterations=12, check_every=2, batch=2, patience=0)
for moment in train(examples, Design(("red",), side=SIDE), recipe, Path(sys.argv[2]), device="cpu"):
    print(moment.step, flush=True)
"""


@pytest.mark.soak
def test_training_that_is_killed_again_and_again_ends_with_the_same_weights(examples, tmp_path):
    def start(out):
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, str(examples.folder), str(out)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    whole = start(tmp_path / "whole")
    assert whole.communicate()[0].split()[-1] == "12"
    random = np.random.default_rng(0)
    kills, last = 0, 0
    while last < 12:
        running = start(tmp_path / "killed")
        wanted = last + 3
        for line in running.stdout:
            last = int(line)
            if last == wanted:
                time.sleep(float(random.uniform(0, 0.2)))
                running.send_signal(signal.SIGKILL)
                kills += 1
                break
        running.wait()
    assert kills >= 3
    for name in ("checkpoint.safetensors", "model.student"):
        files = [tmp_path / place / name for place in ("whole", "killed")]
        assert files[0].read_bytes() == files[1].read_bytes()
