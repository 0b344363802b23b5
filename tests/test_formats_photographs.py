"""Photographs that are not what their records say: left out, named and counted, in the same words."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from reco_assist.cli.app import app
from reco_assist.errors import ImageError, InputError
from reco_assist.formats import read_dataset
from reco_assist.formats.photographs import open_photograph, photographed
from reco_assist.segmenter import Target
from reco_assist.student import Examples, read_corrected_masks

SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]


def turn(path):
    """Mark a photograph as lying on its side, as phones do."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif)


FAULTS = {
    "missing": (lambda path: path.unlink(), "bad.jpg is missing: add it"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-900]), "bad.jpg is damaged or cut short"),
    "no image": (lambda path: path.write_text("hello"), "bad.jpg is not a JPEG"),
    "turned": (turn, "bad.jpg has 48 x 64 pixels upright, and coco.json says 64 x 48: it was turned"),
    "another": (
        lambda path: Image.new("RGB", (50, 40)).save(path),
        "bad.jpg has 50 x 40 pixels upright, and coco.json says 64 x 48: it is another picture",
    ),
}


@pytest.fixture(params=FAULTS)
def place(request, tmp_path, monkeypatch):
    """A data set of a good and a bad photograph, and the beginning of the sentence about the bad one."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    images, annotations = [], []
    for number, name in enumerate(("bad.jpg", "good.jpg"), start=1):
        Image.effect_noise((64, 48), 90).convert("RGB").save(f"photos/{name}")
        images.append({"id": number, "file_name": name, "width": 64, "height": 48})
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "segmentation": [SQUARE], "iscrowd": 0}
        )
    change, words = FAULTS[request.param]
    change(Path("photos/bad.jpg"))
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "mug"}]}
    Path("coco.json").write_text(json.dumps(document))
    return words


def run(*words):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    "words",
    [
        ("convert", "coco.json", "--images", "photos", "--to", "yolo", "--out", "out"),
        ("convert", "coco.json", "--images", "photos", "--to", "coco", "--val", "0.4", "--out", "out"),
        ("import", "coco.json", "--images", "photos", "--session", "x.session"),
    ],
)
def test_commands_leave_it_out_and_name_it(place, words):
    said = run(*words)
    assert f"skipped bad.jpg: {place}" in said.replace("\n", "")
    assert "1 image was left out" in said
    if "yolo" in words:
        assert [path.stem for path in Path("out/yolo/labels").rglob("*.txt")] == ["good"]
        assert [path.stem for path in Path("out/yolo/images").rglob("*.jpg")] == ["good"]
    if "--val" in words:
        parts = [json.loads(Path(f"out/coco-{part}.json").read_text()) for part in ("train", "val")]
        assert [one["file_name"] for part in parts for one in part["images"]] == ["good.jpg"]


@pytest.mark.parametrize(
    "words",
    [
        ("report", "coco.json", "--images", "photos", "--out", "page.html"),
        ("evaluate", "coco.json", "--truth", "coco.json", "--images", "photos", "--sheet", "sheet.png"),
        ("diff", "coco.json", "moved.json", "--images", "photos", "--picture", "changes.png"),
    ],
)
def test_pictures_are_drawn_without_it(place, words):
    moved = json.loads(Path("coco.json").read_text())
    for one in moved["annotations"]:
        one["segmentation"] = [[x + 5 for x in SQUARE]]
    Path("moved.json").write_text(json.dumps(moved))
    said = run(*words).replace("\n", "")
    assert place.replace("coco.json", "moved.json" if "diff" in words else "coco.json") in said
    assert "good.jpg" not in said


class Nobody:
    """A teacher that is not asked."""

    def segment(self, targets):
        return []


def test_corrections_of_it_teach_nothing(place):
    read = read_corrected_masks(Path("coco.json"), ["mug"])
    examples = Examples(Path("out"), concepts=["mug"], side=64, teacher={"mug": "none"}, corrections=[read])
    targets = [Target(Path("photos") / name, name) for name in ("bad.jpg", "good.jpg")]
    for _ in examples.add(Nobody(), targets):
        pass
    assert [one.file_name for one in examples] == ["good.jpg"]
    assert [name for name, _ in examples.skipped] == ["bad.jpg"]


def test_what_a_correction_taught_goes_with_its_photograph(place):
    """An example of a photograph that is another one now, which its correction says nothing about."""
    data = json.loads(Path("coco.json").read_text())
    Path("good.json").write_text(json.dumps({**data, "images": data["images"][-1:], "annotations": []}))
    read = read_corrected_masks(Path("good.json"), ["mug"])
    examples = Examples(Path("out"), concepts=["mug"], side=64, teacher={"mug": "none"}, corrections=[read])
    targets = [Target(Path("photos") / "good.jpg", "good.jpg")]
    assert sum(examples.add(Nobody(), targets)) == len(examples) == 1
    Image.new("RGB", (30, 30)).save("photos/good.jpg")
    assert sum(examples.add(Nobody(), targets)) == 1
    assert list(examples) == []
    ((name, reason),) = examples.skipped
    assert name == "good.jpg"
    assert "30 x 30 pixels upright" in reason


def test_exemplars_are_taken_of_others(place):
    from reco_assist.cli.learn import _examples

    (found,) = _examples(Path("coco.json"), "mug", Path("photos"), quiet=True)
    assert found.path.name == "good.jpg"
    assert found.mask.sum() == 400


def test_label_maps_of_it_are_left_out(place):
    Path("maps").mkdir()
    Path("maps/legend.json").write_text('[{"id": 1, "name": "mug"}]')
    for name in ("bad", "good"):
        Image.fromarray(np.ones((48, 64), np.uint8)).save(f"maps/{name}.png")
    read = read_dataset("maps", images="photos")
    assert [one["file_name"] for one in read.images.values()] == ["good.jpg"]
    ((name, reason),) = read.skipped
    assert name in ("bad.jpg", "bad.png")
    assert "no image" in reason or reason.startswith(place.replace("coco.json", "maps"))


def test_a_data_set_none_of_whose_photographs_can_be_used_is_refused(place):
    Path("photos/good.jpg").unlink()
    with pytest.raises(InputError, match="none of 2 photographs can be used") as caught:
        photographed(read_dataset("coco.json"), Path("photos"))
    assert len(str(caught.value)) < 300
    dataset = read_dataset("coco.json", images="photos")
    with pytest.raises(ImageError, match=r"good\.jpg is missing"):
        open_photograph(dataset, dataset.images[2])
