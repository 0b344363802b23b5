"""Data sets of other tools with one word of a file changed, through every command that reads data sets."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from pycocotools.coco import COCO
from test_formats_coco import COMMANDS as OF_COCO
from test_formats_coco import remove
from test_formats_darknet import darknet
from test_formats_voc import PALETTE, boxed, draw, folder, scene
from typer.testing import CliRunner

from reco_assist.cli.app import app
from reco_assist.errors import RecoAssistError

VALUES = ["", "x" * 999, "-1", "1.5", "nan", "../../x", "é\u2028 \u202e"]
"""What somebody's tool, or an editor, may have left in the place of a word."""
COMMANDS = {
    name: tuple("in" if word == "in.json" else word for word in words) for name, words in OF_COCO.items()
}


def voc(root):
    """An image with maps and one with a box; returns the files whose words are changed."""
    for name in ("one", "two"):
        folder(root, name=name)
    for kind, values in zip(("SegmentationClass", "SegmentationObject"), scene(), strict=True):
        draw(root, kind, values, palette=PALETTE)
    boxed(root, "two")
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("one\ntwo\n")
    return ["labelmap.txt", "Annotations/two.xml", "ImageSets/Main/train.txt"]


def yolo(root):
    darknet(root)
    return ["obj.data", "obj.names", "train.txt", "obj_train_data/a.txt"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mutations(files):
    """Each different word of each file in turn, replaced by each value where it stands first."""
    for file in files:
        text = Path("in", file).read_text()
        words = {word.group(): word for word in reversed(list(re.finditer(r"[^\s<>=:,/]+", text)))}
        for word in words.values():
            for value in VALUES:
                yield file, word.group(), value, text[: word.start()] + value + text[word.end() :]
        Path("in", file).write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [voc, yolo])
@pytest.mark.parametrize(
    "command",
    [one if one == "convert" else pytest.param(one, marks=pytest.mark.soak) for one in COMMANDS],
)
def test_any_word_changed_is_read_or_refused_in_one_sentence(place, command, kind, record_property):
    files = kind(place / "in")
    assert CliRunner().invoke(app, ["convert", "in", "--out", "first"]).exit_code == 0
    (place / "first" / "coco.json").rename("good.json")
    areas = Counter(one["area"] for one in json.loads(Path("good.json").read_text())["annotations"])
    counts = Counter()
    for file, word, value, text in mutations(files):
        Path("in", file).write_text(text)
        done = CliRunner().invoke(app, COMMANDS[command])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            said = str(done.exception)
            assert isinstance(done.exception, RecoAssistError), (file, word, value, repr(done.exception))
            assert len(said) < 300, (file, word, value, said)
            assert said.isprintable(), (file, word, value, said)
            assert not (place / "out").exists(), (file, word, value, said)
            counts["refused"] += 1
            continue
        counts["read"] += 1
        if command == "convert":
            found = COCO(str(place / "out" / "coco.json"))
            drawn = [one for one in found.anns.values() if one["segmentation"]]  # others are boxes
            assert all(found.annToMask(one).sum() == one["area"] > 0 for one in drawn), (file, word, value)
            if file != "Annotations/two.xml" and not file.endswith("a.txt"):  # which have numbers of places
                made = Counter(one["area"] for one in found.anns.values())
                assert made <= areas, (file, word, value, made)
            counts["compared"] += 1
        remove(place / "out")
    record_property("counts", dict(counts))
    assert counts["refused"] > 20
    assert counts["read"] > 20
