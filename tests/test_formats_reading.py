"""People's files: encodings, odd fields, names; each read for what it is, or refused in a sentence."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from reco_assist.cli.app import app
from reco_assist.datasets import merge
from reco_assist.errors import InputError, RecoAssistError
from reco_assist.formats import Dataset, read_dataset
from reco_assist.text_files import read_text

SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]
ENCODINGS = {
    "plain": lambda text: text.encode(),
    "mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "packed": lambda text: gzip.compress(text.encode("utf-8-sig")),
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def document(*names, **annotation):
    images = [{"id": n, "file_name": name, "width": 64, "height": 48} for n, name in enumerate(names, 1)]
    annotations = [
        {"id": one["id"], "image_id": one["id"], "category_id": 1, "segmentation": [SQUARE], **annotation}
        for one in images
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "mug"}]}


def written(name, data):
    Path(name).write_text(json.dumps(data))
    return name


def run(*words):
    done = CliRunner().invoke(app, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("class_names.txt", "__ignore__\n_background_\ntässe\ncat\n"),
        ("labelmap.txt", "_background_:0,0,0::\ntässe:128,0,0::\ncat:0,128,0::\n"),
        ("legend.json", '[{"id": 0, "name": "x"},\n{"id": 1, "name": "tässe"},\n{"id": 2, "name": "cat"}]'),
    ],
)
def test_names_of_labels_are_the_same_in_every_encoding(name, text, encode):
    Path("maps").mkdir()
    (Path("maps") / name).write_bytes(encode(text))
    Image.fromarray(np.full((4, 4), 2, np.uint8)).save("maps/a.png")
    Image.new("RGB", (4, 4)).save("a.jpg")
    read = read_dataset("maps", images=".")
    assert list(read.categories.values()) == ["tässe", "cat"]
    assert [read.concept(one) for one in read.document["annotations"]] == ["cat"]


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00", b"\xe9\xe8", b"\x1f\x8bjunk", gzip.compress(b"x" * 99, mtime=0)[:20]]
)
def test_text_in_no_such_form_is_one_sentence(data):
    Path("names.txt").write_bytes(data)
    with pytest.raises(InputError, match=r"names\.txt") as caught:
        read_text(Path("names.txt"))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("prefix", ["val/", "./val/", "val\\", "", "val//"])
@pytest.mark.parametrize("name", ["a.jpg", "sub\\a.jpg", "./a.jpg", "{here}/a.jpg", "/elsewhere/a.jpg"])
def test_merging_again_changes_nothing_whatever_the_prefix_and_the_names(prefix, name, tmp_path):
    base = Dataset(document("other.jpg"), "base")
    data = document(name.format(here=tmp_path))
    once = merge(base, Dataset(data, str(tmp_path / "new.json")), prefix=prefix).dataset
    again = merge(once, Dataset(data, str(tmp_path / "new.json")), prefix=prefix)
    assert again.images == 0
    assert not +again.added
    assert again.dataset.document == once.document
    added = once.document["images"][-1]["file_name"]
    assert "\\" not in added
    assert "./" not in added
    assert str(tmp_path) not in added


def test_a_session_has_names_relative_to_the_folder(tmp_path):
    from reco_assist.session import Session

    Path("photos").mkdir()
    Image.new("RGB", (64, 48)).save("photos/a.jpg")
    Image.new("RGB", (64, 48), "red").save("photos/b.jpg")
    written("in.json", document(str(tmp_path / "photos" / "a.jpg"), ".\\b.jpg"))
    run("import", "in.json", "--images", "photos", "--session", "x.session")
    session = Session.open("x.session")
    assert set(session.files()) == {"a.jpg", "b.jpg"}
    session.close()


@pytest.mark.parametrize(
    "change",
    [
        {"licenses": ["MIT"]},
        {"licenses": "MIT"},
        {"licenses": [{"name": "MIT"}, {"name": ["odd"], "url": {}}]},
        {"licenses": {}},
        {"licenses": [{"id": [1]}]},
        {"licenses": None},
        {"categories": [{"id": 1, "name": "mug", "reco_query": 5}]},
        {"categories": [{"id": 1, "name": "mug", "reco_query": ["cup"]}]},
        {"categories": [{"id": 1, "name": "mug", "reco_query": None}]},
        {"images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48, "license": [1]}]},
        {"images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48, "license": None}]},
    ],
)
@pytest.mark.parametrize(
    "words",
    [("merge", "good.json", "in.json", "--out", "m.json"), ("evaluate", "in.json", "--truth", "in.json")],
)
def test_odd_kinds_of_values_are_read_or_refused_in_a_sentence(change, words):
    written("good.json", {**document("b.jpg"), "licenses": [{"id": 1, "name": "MIT"}]})
    written("in.json", {**document("a.jpg"), **change})
    done = CliRunner().invoke(app, words)
    if done.exit_code == 0:
        assert words[0] == "evaluate" or json.loads(Path("m.json").read_text())
        return
    assert isinstance(done.exception, RecoAssistError)
    assert len(str(done.exception)) < 300
    assert not Path("m.json").exists()


def test_plain_records_are_not_copied():
    data = document("a.jpg", "b.jpg")
    for one in (*data["images"], *data["annotations"]):
        one["id"] += 100_000  # beyond the numbers that Python keeps one of
    for one in data["annotations"]:
        one["image_id"] = int(str(one["id"]))
    read = Dataset(data, "x")
    assert all(new is old for new, old in zip(read.document["annotations"], data["annotations"], strict=True))
    for derived in (read.only([100_001]), read.at(Path()), read.drawn):
        assert derived.document["annotations"][0] is data["annotations"][0]


def test_masks_are_decoded_once_for_a_data_set_and_those_made_of_it(monkeypatch):
    from reco_assist.formats import dataset

    seen = []
    real = dataset.masked
    monkeypatch.setattr(
        dataset, "masked", lambda some, *more: seen.extend(one["id"] for one in some) or real(some, *more)
    )
    read = Dataset(document("a.jpg", "b.jpg"), "x")
    for one in (read.drawn, read.only([1]), read.drawn.at(Path())):
        for record in one.document["annotations"]:
            one.mask(record)
    assert sorted(seen) == [1, 2]


def test_the_sheet_shows_what_was_scored(monkeypatch):
    """Images are paired by content where they have other names: the sheet as the figures."""
    from reco_assist.masks import sheet

    Path("photos").mkdir()
    Image.new("RGB", (64, 48)).save("photos/a.jpg")
    truth, found = document("a.jpg"), document("elsewhere/0001.jpg")
    truth["images"][0]["reco_hash"] = found["images"][0]["reco_hash"] = "0" * 64
    written("truth.json", truth)
    written("found.json", found)
    drawn = []
    monkeypatch.setattr(sheet, "write_sheet", lambda path, tiles, *more, **named: drawn.extend(tiles))
    words = ("evaluate", "found.json", "--truth", "truth.json", "--images", "photos", "--sheet", "s.png")
    assert "1.000" in run(*words)
    assert np.unique(drawn[0].labels).tolist() == [0, 1]  # found; 3 would be missed


@pytest.mark.parametrize(
    "words",
    [
        ("diff", "in.json", "good.json"),
        ("diff", "good.json", "in.json"),
        ("evaluate", "good.json", "--truth", "in.json"),
        ("evaluate", "in.json", "--truth", "good.json"),
    ],
)
def test_masks_without_a_pixel_are_counted_in_every_command(words):
    data = document("a.jpg", "b.jpg")
    written("good.json", data)
    data["annotations"][1]["segmentation"] = [[40, 40, 41, 41]]
    written("in.json", data)
    assert "in.json: 1 mask without a pixel was left out" in run(*words)


def test_what_was_masked_can_be_left_out_of_a_search_whatever_the_masks_are_of():
    from reco_assist.cli.search import _labelled

    data = document("a.jpg", "b.jpg")
    for one in data["images"]:
        one["reco_hash"] = str(one["id"]) * 64
    del data["categories"], data["annotations"][1], data["annotations"][0]["category_id"]
    assert _labelled(Path(written("in.json", data))) == {"1" * 64}


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(info=[]),
        lambda d: d["info"].update(concepts=[{"name": 5, "digest": "x"}]),
        lambda d: d["info"].update(concepts=[{"name": "mug", "digest": ["x"]}]),
        lambda d: d["info"].update(concepts=[{"name": "mug", "digest": "../../x"}]),
        lambda d: d["info"].update(concepts={"name": "mug"}),
        lambda d: d["info"].update(options="none"),
        lambda d: d["info"].update(options=[1, 2]),
        lambda d: d["images"][0].update(reco_hash=None),
        lambda d: d["images"][0].pop("reco_hash"),
        lambda d: d["annotations"][0].pop("score"),
    ],
)
def test_explain_of_odd_kinds_of_values_is_one_sentence(change):
    data = document("a.jpg", score=0.5, area=400, bbox=[10, 10, 20, 20])
    data["images"][0] |= {
        "reco_hash": "0" * 64,
        "reco_verdicts": {"mug": {"present": True, "probability": 0.9}},
    }
    data["info"] = {"concepts": [{"name": "mug", "digest": "0" * 64}], "options": {}}
    change(data)
    Path("out").mkdir()
    written("out/coco.json", data)
    with pytest.raises(RecoAssistError) as caught:
        run("explain", "out", "a.jpg")
    assert len(str(caught.value)) < 300


LABEL_ME = """<annotation><filename>a.jpg</filename><imagesize><nrows>48</nrows><ncols>64</ncols></imagesize>
<object><name>mug</name><polygon><pt><x>1</x><y>2</y></pt></polygon></object></annotation>"""


@pytest.mark.parametrize("kind", ["LabelMe's XML", "COCO's in a folder", "pictures", "nothing"])
def test_a_folder_of_no_known_kind_is_told_what_was_looked_for(kind):
    folder = Path("in" * 60)
    (folder / "Annotations" / "train").mkdir(parents=True)
    if kind == "LabelMe's XML":
        (folder / "Annotations" / "train" / "a.xml").write_text(LABEL_ME)
    elif kind == "COCO's in a folder":
        (folder / "annotations.json").write_text(json.dumps(document("a.jpg")))
    elif kind == "pictures":
        Image.new("RGB", (64, 48)).save(folder / "a.png")
    with pytest.raises(InputError) as caught:
        read_dataset(folder, images=".")
    said = str(caught.value)
    for one in ("legend.json", "labelmap.txt", "class_names.txt", "coco.json", "data.yaml", "obj.data"):
        assert one in said
    for one in ("labelme", "Pascal VOC", "CVAT", "Label Studio"):
        assert one in said
    assert len(said) < 300
