"""COCO as people's tools write it: commands read what is plainly meant, or refuse it in one sentence."""

import copy
import gzip
import io
import json
import math
import re
import shutil
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from typer.testing import CliRunner

from reco_assist.cli.app import app
from reco_assist.cli.options import read_drawn
from reco_assist.errors import FormatError, RecoAssistError
from reco_assist.formats.regions import region
from reco_assist.masks import rle

SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]  # 400 pixels, by pycocotools too
TALL = [40, 5, 60, 5, 60, 40, 40, 40]  # 700 pixels


def document(**annotation):
    """A data set of one image and one square, with something changed in its annotation."""
    one = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [SQUARE], "area": 400}
    one |= {"bbox": [10, 10, 20, 20], "iscrowd": 0, **annotation}
    return {
        "images": [{"id": 1, "file_name": "sub/a.jpg", "width": 64, "height": 48}],
        "annotations": [{key: value for key, value in one.items() if value is not ...}],
        "categories": [{"id": 1, "name": "mug"}],
    }


def tall(**fields):
    return {
        "id": 2,
        "image_id": 1,
        "category_id": 1,
        "segmentation": [TALL],
        "area": 700,
        "iscrowd": 0,
        **fields,
    }


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a photograph and a data set of it."""
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    Image.effect_noise((64, 48), 40).convert("RGB").save(tmp_path / "photos" / "sub" / "a.jpg")
    monkeypatch.chdir(tmp_path)
    written("good.json", document())
    return tmp_path


def written(name, data):
    Path(name).write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return name


def reco(*words):
    """What a command prints as JSON, where it does; what is wrong is raised."""
    done = CliRunner().invoke(app, [*words, "--quiet"])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout) if done.stdout else None


def iou(predictions, truth, *words):
    (row,) = reco("evaluate", predictions, "--truth", truth, "--json", *words)["concepts"].values()
    assert row["positives"] == 1
    assert not row["false"]
    return row["iou"]


def areas(path):
    """Pixels of each mask of a written file, by pycocotools; the file is JSON to the letter.

    What has no mask is left out: pycocotools does not draw boxes.
    """
    json.loads(Path(path).read_text(encoding="ascii"), parse_constant=pytest.fail)
    loaded = COCO(path)
    return {number: int(loaded.annToMask(one).sum()) for number, one in loaded.anns.items() if _drawn(one)}


def _drawn(one):
    code = one.get("segmentation")
    return any(code) if code else False


@pytest.mark.parametrize(
    "spelling",
    [
        lambda name, _: name.replace("/", "\\"),  # Windows
        lambda name, _: "./" + name,
        lambda name, _: name.replace(".jpg", ".JPG"),  # renamed on a disk that ignores case
        lambda name, _: unicodedata.normalize("NFD", name),  # macOS
        lambda name, folder: str(folder / "photos" / name),
        lambda name, folder: str(folder / "photos").replace("/", "\\") + "\\" + name,
    ],
)
def test_a_name_is_the_same_file_in_every_command_however_it_is_written(place, spelling):
    (place / "photos" / "sub" / "a.jpg").rename(place / "photos" / "sub" / "é.jpg")
    data = document()
    data["images"][0]["file_name"] = "sub/é.jpg"
    written("good.json", data)
    data["images"][0]["file_name"] = spelling("sub/é.jpg", place)
    written("in.json", data)
    reco("convert", "in.json", "--to", "yolo", "--val", "0.5", "--out", "o", "--images", "photos")
    (label,) = (place / "o" / "yolo" / "labels").rglob("*.txt")
    assert len(label.read_text().splitlines()) == 1
    assert reco("report", "in.json", "--images", "photos", "--out", "r.html", "--json")["not_shown"] == []
    taken = reco("import", "in.json", "--images", "photos", "--session", "s.session", "--json")
    assert (taken["images"], taken["masks"]) == (1, 1)
    assert iou("in.json", "good.json", "--images", "photos") == 1
    assert iou("good.json", "in.json", "--images", "photos") == 1
    changes = reco("diff", "good.json", "in.json", "--images", "photos", "--picture", "d.png", "--json")
    assert changes["images"] == {"same": 1, "changed": 0, "added": 0, "removed": 0}
    merged = reco("merge", "good.json", "in.json", "--images", "photos", "--out", "m.json", "--json")
    assert (merged["images_added"], merged["known"]) == (0, {"mug": 1})


def test_a_name_that_two_categories_have_is_one_concept(place):
    """A placeholder without masks (id 0) beside the category, as one tool exports them."""
    data = document()
    data["categories"].insert(0, {"id": 0, "name": "mug", "supercategory": "none"})
    written("in.json", data)
    fresh = document(id=5, category_id=4, segmentation=[TALL], area=700, bbox=[40, 5, 20, 35])
    fresh["categories"][0]["id"] = 4
    written("new.json", fresh)
    taken = reco("import", "in.json", "--images", "photos", "--session", "s.session", "--json")
    assert (taken["images"], taken["masks"]) == (1, 1)
    reco("merge", "in.json", "new.json", "--out", "m.json")
    merged = COCO("m.json")
    assert [one["category_id"] for one in merged.anns.values()] == [1, 1]
    assert merged.dataset["categories"] == data["categories"]
    assert iou("new.json", "in.json") == 0
    reco("convert", "in.json", "--to", "yolo", "--images", "photos", "--out", "o")
    assert "names:\n  0: mug\n" in (place / "o" / "yolo" / "data.yaml").read_text()
    reco("report", "in.json", "--out", "r.html")
    assert (place / "r.html").read_text().count("<h2") == 1 + _sections_besides_concepts(place)


def _sections_besides_concepts(place):
    reco("report", "good.json", "--out", "good.html")
    return (place / "good.html").read_text().count("<h2") - 1


@pytest.mark.parametrize("nothing", [[], ..., None, [[]], [[], []], {}])
def test_a_box_without_a_mask_is_its_box_everywhere(place, nothing):
    written("boxes.json", document(segmentation=nothing))
    assert iou("good.json", "boxes.json") == 1
    assert iou("boxes.json", "good.json") == 1
    assert reco("diff", "boxes.json", "good.json", "--json")["concepts"]["mug"]["same"] == 1
    reco("convert", "boxes.json", "--to", "panoptic", "--out", "o")
    (entry,) = json.loads((place / "o" / "panoptic.json").read_text())["annotations"]
    assert [one["area"] for one in entry["segments_info"]] == [400]
    assert (
        reco("import", "boxes.json", "--images", "photos", "--session", "s.session", "--json")["masks"] == 1
    )
    assert reco("merge", "good.json", "boxes.json", "--out", "m.json", "--json")["known"] == {"mug": 1}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "second",
    [
        lambda name, _: name,
        lambda name, _: name.replace("/", "\\"),
        lambda name, _: "./" + name,
        lambda name, folder: str(folder / "photos" / name),
        lambda name, folder: str(folder / "link" / name),
        lambda name, _: name.replace(".jpg", ".JPG"),
        lambda name, _: unicodedata.normalize("NFD", name),
    ],
)
def test_the_records_of_one_file_are_one_image_with_all_its_masks(place, second, turned):
    (place / "photos" / "sub" / "a.jpg").rename(place / "photos" / "sub" / "é.jpg")
    (place / "photos").rename(place / "link")
    (place / "photos").symlink_to(place / "link")
    data = document()
    data["images"][0]["file_name"] = "sub/é.jpg"
    written("good.json", data)
    data["images"].append({**data["images"][0], "id": 2, "file_name": second("sub/é.jpg", place)})
    if turned:
        first, other = data["images"]
        first["file_name"], other["file_name"] = other["file_name"], first["file_name"]
    data["annotations"].append(tall(image_id=2))
    written("in.json", data)
    reco("convert", "in.json", "--to", "yolo,panoptic", "--images", "photos", "--out", "o")
    assert len([one for one in (place / "o" / "yolo" / "images").rglob("*.*") if one.is_file()]) == 1
    (label,) = (place / "o" / "yolo" / "labels").rglob("*.txt")
    drawn = []
    for line in label.read_text().splitlines():
        ring = (np.array(line.split()[1:], float).reshape(-1, 2) * [64, 48]).ravel().tolist()
        drawn.append(int(coco_mask.area(coco_mask.frPyObjects([ring], 48, 64))[0]))
    assert drawn == [400, 700]
    (entry,) = json.loads((place / "o" / "panoptic.json").read_text())["annotations"]
    assert [one["area"] for one in entry["segments_info"]] == [400, 700]
    reco("merge", "good.json", "in.json", "--images", "photos", "--out", "m.json")
    assert len(COCO("m.json").imgs) == 1
    assert sorted(areas("m.json").values()) == [400, 700]
    assert reco("diff", "good.json", "in.json", "--images", "photos", "--json")["images"]["added"] == 0
    assert reco("import", "in.json", "--images", "photos", "--session", "s.session", "--json")["masks"] == 2
    written("tall.json", {**data, "images": data["images"][:1], "annotations": [tall()]})
    assert iou("tall.json", "in.json", "--images", "photos") == pytest.approx(700 / 1100)
    reco(
        "merge", "in.json", "tall.json", "--images", "photos", "--out", "base.json"
    )  # records of others stay as they are
    assert COCO("base.json").dataset == data


def test_records_of_one_file_that_differ_in_size_are_refused_by_name(place):
    data = document()
    data["images"].append({**data["images"][0], "id": 2, "width": 65})
    written("in.json", data)
    with pytest.raises(RecoAssistError, match=r"in\.json has 'sub/a\.jpg' twice"):
        reco("convert", "in.json", "--to", "yolo", "--images", "photos", "--out", "o")
    assert not (place / "o").exists()


def test_numbers_that_json_does_not_have_are_written_as_what_they_mean(place):
    data = document(area=math.nan, note={"mean": [1.5, math.inf]})
    data["images"][0]["date_captured"] = math.nan
    data["annotations"].append(tall(bbox=[40, math.inf, 20, 35], score=math.nan))
    data["info"] = {"version": -math.inf}
    written("in.json", data)
    for command in (
        ("convert", "in.json", "--out", "o"),
        ("merge", "in.json", "good.json", "--out", "o/coco.json"),
        ("merge", "good.json", "in.json", "--out", "o/coco.json"),
    ):
        reco(*command)
        assert areas("o/coco.json") == {1: 400, 2: 700}
        found = COCO("o/coco.json").anns
        assert (found[1]["area"], found[2]["bbox"], found[2].get("score")) == (400, [40, 5, 20, 35], None)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: (d["images"][0].update(id=1.0), d["annotations"][0].update(image_id=1.0)),
        lambda d: d["images"][0].update(id=1.0),
        lambda d: d["images"][0].update(width=64.0, height=48.0),
        lambda d: d["images"][0].update(width="64", height="48"),
        lambda d: d["annotations"][0].update(image_id="1", category_id="1"),
        lambda d: (d["images"][0].update(id="1"), d["categories"][0].update(id="1")),
        lambda d: d["annotations"][0].update(id=None),
        lambda d: d["annotations"][0].update(iscrowd="0", ignore=0.0),
        lambda d: d["annotations"][0].update(iscrowd=None),
        lambda d: d["annotations"][0].update(
            segmentation={"size": [48.0, 64.0], "counts": [float(n) for n in _counts()]}
        ),
        lambda d: d["annotations"][0].update(segmentation=SQUARE),
        lambda d: d["annotations"][0].update(score="0.5", bbox=["10", "10", "20", "20"]),
    ],
)  # fmt: skip
def test_numbers_as_floats_and_as_text_are_what_they_plainly_are(place, change):
    data = document()
    change(data)
    written("in.json", data)
    reco("convert", "in.json", "--out", "o")
    assert reco("diff", "good.json", "o/coco.json", "--json")["images"]["same"] == 1
    assert iou("good.json", "in.json") == iou("in.json", "good.json") == 1
    reco("convert", "in.json", "--to", "yolo", "--images", "photos", "--out", "y")
    (label,) = (place / "y" / "yolo" / "labels").rglob("*.txt")
    assert len(label.read_text().splitlines()) == 1


def _counts():
    mask = np.zeros((48, 64), bool)
    mask[10:30, 10:30] = True
    flat = mask.T.ravel()
    turns = np.flatnonzero(np.diff(np.concatenate([[False], flat, [not flat[-1]]]))).tolist()
    return np.diff([0, *turns]).tolist()


def test_a_category_named_by_a_number_has_its_text(place):
    data = document()
    data["categories"][0]["name"] = 5
    written("in.json", data)
    assert list(reco("evaluate", "in.json", "--truth", "in.json", "--json")["concepts"]) == ["5"]


def test_null_is_no_score(place):
    written(
        "in.json",
        {**document(score=None), "annotations": [*document(score=None)["annotations"], tall(score=0.4)]},
    )
    reco("convert", "in.json", "--to", "panoptic", "--out", "o")
    (entry,) = json.loads((place / "o" / "panoptic.json").read_text())["annotations"]
    assert [one["area"] for one in entry["segments_info"]] == [400, 700]
    assert iou("in.json", "good.json") == pytest.approx(400 / 1100)
    reco("report", "in.json", "--images", "photos", "--out", "r.html")


@pytest.mark.parametrize(
    "command", [("report",), ("convert",), ("merge", "good.json"), ("evaluate", "--truth", "good.json")]
)
def test_a_score_that_is_no_number_is_refused_by_name(place, command):
    written("text.json", document(score="high"))
    out = [] if command[0] == "evaluate" else ["--out", "out"]
    with pytest.raises(RecoAssistError, match=r"annotation 1 of text\.json has the score 'high'"):
        reco(command[0], "text.json", *command[1:], *out)
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    "more",
    [
        [[40, 40, 41, 41]],  # two points: pycocotools would take four numbers for a box
        [[]],
        [[40, 40]],
        [[40, 40, 41, 41, 42, 42]],  # no area
        [[-90, -90, -80, -90, -80, -80]],  # outside
        [[1e9, 1e9, 1e9 + 9, 1e9, 1e9, 1e9 + 9]],
    ],
)
def test_a_part_without_area_adds_no_pixel(place, more):
    written("in.json", document(segmentation=[SQUARE, *more]))
    assert iou("good.json", "in.json") == 1
    reco("report", "in.json", "--images", "photos", "--out", "r.html")
    assert reco("diff", "good.json", "in.json", "--json")["images"]["same"] == 1


def test_a_mask_without_any_pixel_is_left_out_and_counted(place):
    data = document()
    data["annotations"] += [tall(segmentation=[[40, 40, 41, 41]]), tall(id=3, segmentation=[], bbox=None)]
    written("in.json", data)
    done = CliRunner().invoke(app, ["convert", "in.json", "--out", "o"])
    assert "2 masks without a pixel were left out" in done.output
    assert areas("o/coco.json") == {1: 400}
    assert reco("merge", "good.json", "in.json", "--out", "m.json", "--json")["added"] == {}
    assert iou("in.json", "good.json") == iou("good.json", "in.json") == 1


@pytest.mark.parametrize("quiet", [False, True])
def test_reading_masks_shows_its_progress_in_a_terminal(place, monkeypatch, quiet):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    data = document()
    data["annotations"] += [tall(id=number) for number in range(2, 2500)]
    read_drawn(Path(written("in.json", data)), images=None, quiet=quiet)
    assert ("2499/2499" in terminal.getvalue()) is not quiet


def test_a_damaged_mask_is_named_among_many(place):
    data = document()
    data["annotations"] += [tall(id=number) for number in range(2, 3000)]
    data["annotations"][2100] |= {"segmentation": {"size": [48, 64], "counts": "0"}}
    written("in.json", data)
    with pytest.raises(FormatError, match=r"annotation 2101 of in\.json has no usable mask") as refused:
        reco("convert", "in.json", "--out", "o")
    assert len(str(refused.value)) < 300
    assert not Path("o").exists()


@settings(deadline=None)
@given(st.tuples(*[st.floats(-20, 80)] * 4))
def test_a_box_is_the_pixels_between_its_rounded_edges(box):
    x, y, width, height = box
    rows, columns = np.arange(48)[:, None], np.arange(64)
    expected = (rows >= round(y)) & (rows < round(y + height))
    expected = expected & (columns >= round(x)) & (columns < round(x + width))
    np.testing.assert_array_equal(rle.decode(region({"bbox": list(box)}, 48, 64)), expected)


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.replace("{", "{\r\n").encode(),
        lambda text: gzip.compress(text.encode()),
    ],
)
def test_encodings(place, encode):
    data = document()
    data["categories"][0]["name"] = data["images"][0]["file_name"] = "bögle"
    (place / "in.json").write_bytes(encode(json.dumps(data, ensure_ascii=False)))
    assert list(reco("evaluate", "in.json", "--truth", "in.json", "--json")["concepts"]) == ["bögle"]


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00", b"\x1f\x8b\x08junk", gzip.compress(b"{}" * 99, mtime=0)[:20], b"\xe9\xe8", b""]
)
def test_what_is_neither_is_one_sentence(place, data):
    (place / "in.json").write_bytes(data)
    with pytest.raises(RecoAssistError, match=r"in\.json") as caught:
        reco("convert", "in.json", "--out", "o")
    assert len(str(caught.value)) < 300


VALUES = [
    None,
    True,
    -1,
    0,
    2,
    1.0,
    1.5,
    "1",
    "",
    "x" * 999,
    math.nan,
    -math.inf,
    10**30,
    [],
    {},
    [[]],
    [None],
    ["x"],
]
"""What somebody's tool may have put into any field."""
COMMANDS = {
    "convert": ("convert", "in.json", "--to", "coco,panoptic", "--out", "out"),
    "merge": ("merge", "good.json", "in.json", "--out", "out"),
    "onto": ("merge", "in.json", "good.json", "--out", "out"),
    "diff": ("diff", "good.json", "in.json", "--json"),
    "evaluate": ("evaluate", "in.json", "--truth", "good.json", "--json"),
    "truth": ("evaluate", "good.json", "--truth", "in.json", "--json"),
    "report": ("report", "in.json", "--out", "out"),
}  # fmt: skip


def mutations():
    base = document(score=0.5, ignore=0)
    base["annotations"].append(tall(bbox=[40, 5, 20, 35]))
    base["images"].append({"id": 2, "file_name": "b.jpg", "width": 64, "height": 48})
    for part in ("images", "annotations", "categories"):
        for field in base[part][0]:
            for value in [*VALUES, ...]:
                changed = copy.deepcopy(base)
                changed[part][0][field] = value
                if value is ...:
                    del changed[part][0][field]
                yield part, field, changed


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_any_field_mutated_is_read_right_or_refused_in_one_sentence(place, command):
    refused = right = 0
    for part, field, data in mutations():
        written("in.json", data)
        try:
            reco(*COMMANDS[command])
        except RecoAssistError as error:
            said = str(error)
            assert len(said) < 300, (part, field, said)
            assert "\n" not in said, (part, field)
            assert not (place / "out").exists(), (part, field, said)
            refused += 1
            continue
        if command in ("convert", "merge", "onto"):
            path = place / ("out/coco.json" if command == "convert" else "out")
            _as_pycocotools(path, data, part, field)
            right += 1
        remove(place / "out")
    assert refused > 30
    if command in ("convert", "merge", "onto"):
        assert right > 60


def _as_pycocotools(path, data, part, field):
    """By pycocotools no mask was made up, and none was lost by a field that says nothing of it."""
    found = sorted(areas(str(path)).values())
    assert set(found) <= {400, 700}, (part, field, found)
    if field not in ("segmentation", "width", "height"):  # in an image of one pixel there is no mask
        assert {400, 700} <= set(found), (part, field, found)


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def test_the_page_of_fields_is_the_table(request):
    from reco_assist.formats.fields import FIELDS

    page = (request.config.rootpath / "docs" / "reference" / "coco.md").read_text(encoding="utf-8")
    for part, fields in FIELDS.items():
        for one in fields:
            wanted = "yes" if one.needed else ""
            row = f"| `{part}` | `{one.name}` | {one.accepted} | {one.becomes} | {wanted} |"
            assert re.sub(r"\s+", " ", row) in re.sub(r"[ \t]+", " ", page)
