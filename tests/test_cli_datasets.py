"""The commands for data sets that exist already, as a user types them."""

import json
from pathlib import Path

import pytest
from PIL import Image
from predictions import CONCEPTS, predictions
from pycocotools.coco import COCO
from typer.testing import CliRunner

from reco_assist.cli.app import app
from reco_assist.errors import InputError
from reco_assist.formats import write_coco, write_label_map, write_legend
from reco_assist.session import ReviewQueue, Session


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with photographs, two versions of a data set and label maps."""
    made = predictions(8)
    for one in made:
        path = tmp_path / "photos" / one.image.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        number = int(path.stem.split()[1])
        Image.effect_noise((one.image.width, one.image.height), 20 + 9 * number).convert("RGB").save(path)
    write_coco(tmp_path / "old.json", lambda: made[:6], CONCEPTS)
    write_coco(tmp_path / "new.json", lambda: made[2:], CONCEPTS[::-1])
    write_legend(tmp_path / "maps", CONCEPTS)
    for one in made:
        path = (tmp_path / "maps" / one.image.file_name).with_suffix(".png")
        path.parent.mkdir(exist_ok=True)
        write_label_map(path, one, CONCEPTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    done = CliRunner().invoke(app, [*words, "--quiet"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_merge_and_diff(place):
    said = json.loads(run("merge", "old.json", "new.json", "--out", "old.json", "--json"))
    assert (said["images_added"], said["images_matched"]) == (2, 4)
    merged = COCO("old.json")
    assert len(merged.imgs) == 8
    assert [merged.cats[number]["name"] for number in (1, 2, 3)] == CONCEPTS
    found = json.loads(
        run("diff", "new.json", "old.json", "--images", "photos", "--picture", "d.png", "--json")
    )
    assert found["images"] == {"same": 6, "changed": 0, "added": 2, "removed": 0}
    assert Path("d.png").is_file()
    table = run("diff", "new.json", "old.json").splitlines()
    assert table[0].split() == ["same", "changed", "added", "removed"]
    assert table[1].split() == ["images", "6", "0", "2", "0"]


def test_convert_parts_a_folder_of_label_maps(place):
    words = ["convert", "maps", "--images", "photos", "--to", "coco,panoptic,yolo", "--val", "0.25"]
    counts = json.loads(run(*words, "--out", "out", "--json"))["images"]
    assert counts["train"] + counts["val"] == 8
    assert 1 <= counts["val"] <= 4
    for part in ("train", "val"):
        assert len(COCO(f"out/coco-{part}.json").imgs) == counts[part]
        assert len(list(Path(f"out/panoptic-{part}").rglob("*.png"))) == counts[part]
        assert len(list(Path(f"out/yolo/images/{part}").rglob("*.jpg"))) == counts[part]
    assert run(*words, "--out", "out", "--json")  # again, over what is there


def test_report_and_import(place):
    run("report", "old.json", "--images", "photos", "--out", "page.html")
    assert "<title>old</title>" in Path("page.html").read_text()
    said = json.loads(run("import", "maps", "--images", "photos", "--session", "x.session", "--json"))
    assert said["images"] == 8
    assert said["skipped"] == []
    session = Session.open("x.session")
    assert len(ReviewQueue(session).items) == 8
    session.close()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["merge", "gone.json", "new.json", "--out", "x.json"], "no data set"),
        (["diff", "old.json", "new.json", "--picture", "x.png"], "--images"),
        (["convert", "old.json", "--out", "x", "--to", "voc"], "choose one or more"),
        (["convert", "old.json", "--out", "x", "--val", "0.2"], "--images"),
        (["convert", "old.json", "--out", "x", "--val", "0.7", "--images", "photos"], "validation share"),
        (["report", "old.json", "--images", "nowhere"], "no folder"),
        (["import", "photos", "--images", "photos", "--session", "y.session"], "names the numbers"),
        (["serve", "--concept", "photos", "--files", "photos"], "no concept file"),
        (["serve", "--concept", "old.json", "--project", "mugs"], "--server"),
    ],
)
def test_what_cannot_be_done_is_said(place, words, reason, monkeypatch):
    monkeypatch.delenv("RECO_ASSIST_TOKEN", raising=False)
    with pytest.raises(InputError, match=reason):
        CliRunner().invoke(app, words, catch_exceptions=False)
