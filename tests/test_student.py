"""Students: a tiny problem, a tiny encoder, and what a stopped run comes to."""

import numpy as np
import pytest
import torch
from PIL import Image

from reco_assist.annotations import Verdict
from reco_assist.segmenter import Segmented, Target, load
from reco_assist.student import Design, Examples, Recipe, Student, pseudo_label, train

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


def test_the_rate_is_torchs_polynomial():
    recipe = Recipe(iterations=30)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=30, power=0.9)
    for step in range(30):
        assert recipe.rate_at(step) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_a_stopped_run_ends_with_the_same_weights(examples, tmp_path):
    torch.set_num_threads(1)
    design, recipe = Design(("red",), side=SIDE), Recipe(iterations=4, check_every=2, batch=2)
    for _ in train(examples, design, recipe, tmp_path / "whole", device="cpu"):
        pass
    run = train(examples, design, recipe, tmp_path / "stopped", device="cpu")
    assert [next(run).step for _ in range(3)] == [1, 2, 3]
    run.close()
    resumed = [one.step for one in train(examples, design, recipe, tmp_path / "stopped", device="cpu")]
    assert resumed == [3, 4]
    files = [tmp_path / name / "checkpoint.safetensors" for name in ("whole", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert Student.load(tmp_path / "whole" / "model.student").design == design


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
