"""Truth of every kind, and the report: figures that a plain loop over the pixels gives too."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from typer.testing import CliRunner

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.cli.app import app
from reco_assist.errors import FormatError, InputError
from reco_assist.evaluation import Truth, evaluate, truth_of
from reco_assist.formats import Dataset, read_dataset, write_coco
from reco_assist.masks import rle

SHAPE = (30, 40)
NAMES = ["Mug", "cow"]
PREDICTED = {  # file: {concept: (x, y, side)}
    "a/images/1.jpg": {"Mug": (5, 5, 10)},
    "a/images/2.jpg": {"Mug": (0, 0, 20), "cow": (10, 0, 12)},
    "a/images/3.jpg": {},
    "b/images/4.jpg": {"Mug": (1, 1, 2), "cow": (20, 10, 15)},
    "b/images/5.jpg": {"Mug": (1, 1, 9)},
    "b/images/6.jpg": {"Mug": (1, 1, 9)},
}
TRUE = {  # file: {id: (x, y, side)}; id 7 and 8 are mugs, 3 a cow, 255 void
    "a/images/1.jpg": {7: (6, 5, 10)},
    "a/images/2.jpg": {7: (0, 0, 10), 8: (20, 15, 10), 255: (10, 0, 10)},
    "a/images/3.jpg": {8: (0, 0, 6)},
    "b/images/4.jpg": {3: (18, 10, 15), 255: (15, 20, 5)},
}
IGNORED = "b/images/6.jpg"


def read_truth(path) -> Truth:
    return truth_of(read_dataset(path))


def maps_of(folder, predictions: Dataset) -> Truth:
    files = [one["file_name"] for one in predictions.images.values()]
    return truth_of(read_dataset(folder, files=files, names=predictions.categories))


def square(x: int, y: int, side: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def label_map(file: str) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for number, place in TRUE.get(file, {}).items():
        labels[square(*place)] = number
    return labels


@pytest.fixture
def group(tmp_path):
    """A group of two data sets, three mugs and a cow, an image without either and one to ignore."""
    folder = tmp_path / "group"
    entries = {"white mug": ("mug", [7, 8]), "cow": ("Cow", [3])}
    table = {
        name: {"query": query, "positives": [], "ignore": [IGNORED]} for name, (query, _) in entries.items()
    }
    for file in PREDICTED:
        image, mask = folder / file, file.replace("images", "masks").replace("jpg", "png")
        for path in (image, folder / mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SHAPE[::-1], (90, 120, 30)).save(image)
        Image.fromarray(label_map(file)).save(folder / mask)
        for name, (_, ids) in entries.items():
            if set(ids) & set(TRUE.get(file, {})):
                table[name]["positives"].append({"image": file, "mask": mask, "ids": ids})
    (folder / "concepts.json").write_text(json.dumps({"concepts": table}))
    return folder


def predict(path, *, scale: int = 1, without: tuple[str, ...] = ()):
    """The predictions as a file, at another size than the images if need be."""

    def prediction(file, found):
        regions = tuple(
            Region(name, rle.encode(np.kron(square(*place), np.ones((scale, scale), bool))), 0.75)
            for name, place in found.items()
        )
        verdicts = tuple(Verdict(name, name in found, 0.9 if name in found else 0.2) for name in NAMES)
        image = ImageRef(file, file, SHAPE[1] * scale, SHAPE[0] * scale)
        return Prediction(image, regions, verdicts)

    listed = [prediction(file, found) for file, found in PREDICTED.items() if file not in without]
    write_coco(path, lambda: listed, NAMES)
    return path


def by_hand(name: str, ids: list[int]) -> tuple[list[float], float, float]:
    """IoU of each positive, IoU of their pixels together and the rate of false masks, by plain loops."""
    ious, inter, union, false, negatives = [], 0, 0, 0, 0
    for file, found in PREDICTED.items():
        predicted = square(*found[name]) if name in found else np.zeros(SHAPE, bool)
        labels = label_map(file)
        if set(ids) & set(TRUE.get(file, {})):
            i = u = 0
            for label, marked in zip(labels.ravel().tolist(), predicted.ravel().tolist(), strict=True):
                if label != 255:
                    i += (label in ids) and marked
                    u += (label in ids) or marked
            ious.append(i / u)
            inter, union = inter + i, union + u
        elif file != IGNORED:
            negatives += 1
            false += predicted.mean() > 0.005
    return ious, inter / union, false / negatives


@pytest.mark.parametrize("scale", [1, 3])
def test_a_report_on_a_group_equals_a_plain_loop(group, tmp_path, scale):
    report = evaluate(read_dataset(predict(tmp_path / "p.json", scale=scale)), read_truth(group))
    for score, (name, ids) in zip(report.concepts, [("Mug", [7, 8]), ("cow", [3])], strict=True):
        ious, pooled, false = by_hand(name, ids)
        assert score.ious == pytest.approx(ious)
        assert score.figures()["iou"] == pytest.approx(np.mean(ious))
        assert score.figures()["pixel_iou"] == pytest.approx(pooled)
        assert score.false_rate == pytest.approx(false)
    mug, cow = report.concepts
    assert (mug.name, mug.category, mug.negatives, cow.negatives) == ("white mug", "mug", 2, 4)
    assert [(one.file_name, one.share) for one in mug.false] == [
        ("b/images/5.jpg", 81 / 1200)
    ]  # 4 px in image 4 are a speck; 6 is ignored
    assert report.figures()["iou"] == pytest.approx((np.mean(mug.ious) + np.mean(cow.ious)) / 2)


def test_false_masks_are_listed_largest_first(group, tmp_path, monkeypatch):
    monkeypatch.setitem(PREDICTED, "b/images/5.jpg", {"cow": (0, 0, 20)})
    monkeypatch.setitem(PREDICTED, "a/images/3.jpg", {"cow": (0, 0, 15)})
    report = evaluate(read_dataset(predict(tmp_path / "p.json")), read_truth(group))
    files = [one.file_name for one in report.concepts[1].false]
    assert files == ["b/images/5.jpg", "a/images/3.jpg", "a/images/2.jpg"]


def test_scores_of_masks_and_verdicts_are_held_against_the_truth(group, tmp_path):
    report = evaluate(read_dataset(predict(tmp_path / "p.json")), read_truth(group))
    mug, cow = report.concepts
    # Right: image 1. Wrong: 2 (twice too large), 4 and 5 (no mug there).
    assert sorted(mug.masks) == [(0.75, False)] * 3 + [(0.75, True)]
    assert sorted(cow.masks) == [(0.75, False), (0.75, True)]
    assert mug.figures()["mask_ece"] == pytest.approx(0.5)
    assert sorted(mug.verdicts) == [(0.2, True), (0.9, False), (0.9, False), (0.9, True), (0.9, True)]
    assert report.presence.counts.sum() == 10


def test_a_report_is_ready_for_json(group, tmp_path):
    report = evaluate(read_dataset(predict(tmp_path / "p.json")), read_truth(group))
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    low, high = data["concepts"]["white mug"]["interval"]
    assert 0 == low <= data["concepts"]["white mug"]["iou"] <= high
    assert [one["file_name"] for one in data["concepts"]["cow"]["false"]] == ["a/images/2.jpg"]
    assert data["reliability"]["masks"]["counts"][7] == 6


def test_missing_images_are_an_error_unless_only_a_sample_was_run(group, tmp_path):
    predictions = read_dataset(predict(tmp_path / "p.json", without=("a/images/1.jpg", "b/images/5.jpg")))
    with pytest.raises(InputError, match="2 of 6 images"):
        evaluate(predictions, read_truth(group))
    mug = evaluate(predictions, read_truth(group), partial=True).concepts[0]
    assert (mug.ious[0], mug.negatives, mug.false) == (
        0,
        1,
        (),
    )  # a positive that is missing counts as missed


def test_predictions_of_other_concepts_or_images_cannot_be_compared(group, tmp_path):
    predictions = read_dataset(predict(tmp_path / "p.json"))
    truth = read_truth(group)
    with pytest.raises(InputError, match="no concept 'dog'"):
        truth.only(["dog"])
    assert [one.name for one in truth.only(["MUG"]).concepts] == ["white mug"]
    write_coco(tmp_path / "other.json", list, ["dog"])
    with pytest.raises(InputError, match="nothing can be compared"):
        evaluate(read_dataset(tmp_path / "other.json"), truth)
    write_coco(tmp_path / "none.json", list, NAMES)
    with pytest.raises(InputError, match="6 of 6"):
        evaluate(read_dataset(tmp_path / "none.json"), truth, partial=True)
    assert predictions.categories == {1: "Mug", 2: "cow"}


def coco_truth() -> dict:
    """The same truth as COCO: RLE, a polygon, and void as a crowd."""
    files = sorted(PREDICTED)
    images = [{"id": n, "file_name": f, "height": 30, "width": 40} for n, f in enumerate(files, start=10)]
    annotations = []
    for number, file in enumerate(files, start=10):
        for label in TRUE.get(file, {}):
            code = coco_mask.encode(np.asfortranarray(label_map(file) == label))
            code["counts"] = code["counts"].decode()
            category = {7: 1, 8: 1, 3: 2}.get(label, 1 if number == 11 else 2)
            annotations.append(
                {
                    "image_id": number,
                    "category_id": category,
                    "segmentation": code,
                    "iscrowd": int(label == 255),
                }
            )
    annotations[0]["segmentation"] = [[6, 5, 16, 5, 16, 15, 6, 15]]
    annotations.append({"image_id": 12, "category_id": 2, "segmentation": [], "iscrowd": 0})
    names = [{"id": 1, "name": "mug"}, {"id": 2, "name": "cow"}]
    return {"images": images, "annotations": annotations, "categories": names}


def test_coco_truth_gives_the_same_ious_as_label_maps(group, tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(coco_truth()))
    predictions = read_dataset(predict(tmp_path / "p.json"))
    by_coco = evaluate(predictions, read_truth(tmp_path / "truth.json"))
    by_group = evaluate(predictions, read_truth(group))
    assert [one.ious for one in by_coco.concepts] == [one.ious for one in by_group.concepts]
    assert by_coco.concepts[0].negatives == 3  # COCO labels every image: 6 is no exception
    assert not any(one.ignored for one in read_truth(tmp_path / "truth.json").concepts)


def test_a_crowd_does_not_hide_an_object_within_it(tmp_path):
    data = coco_truth()
    boxes = {0: [[5, 5, 15, 5, 15, 15, 5, 15]], 1: [[0, 0, 20, 0, 20, 30, 0, 30]]}
    data["annotations"] = [
        {"image_id": 10, "category_id": 1, "segmentation": box, "iscrowd": crowd}
        for crowd, box in boxes.items()
    ]
    (tmp_path / "truth.json").write_text(json.dumps(data))
    shown = read_truth(tmp_path / "truth.json").concepts[0].positives["a/images/1.jpg"]()
    assert shown.mask.sum() == 100
    assert shown.valid[shown.mask].all()
    assert (~shown.valid).sum() == 20 * 30 - 100


@pytest.mark.parametrize("flag", ["iscrowd", "ignore"])
def test_what_is_predicted_counts_as_found_whatever_its_flags(tmp_path, flag):
    """By pycocotools: a region to ignore is the truth's to say."""
    truth = coco_truth()
    truth["annotations"].pop()  # which has no pixel, and pycocotools no reading of that
    for number, one in enumerate(truth["annotations"], start=1):
        one |= {"id": number, "area": 100.0, "bbox": [0, 0, 1, 1]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    plain = json.loads(predict(tmp_path / "p.json").read_text())
    ids = {one["file_name"]: one["id"] for one in truth["images"]}
    moved = {one["id"]: ids[one["file_name"]] for one in plain["images"]}
    for one in (*plain["images"], *plain["annotations"]):
        key = "image_id" if "image_id" in one else "id"
        one[key] = moved[one[key]]
    (tmp_path / "p.json").write_text(json.dumps(plain))
    flagged = {**plain, "annotations": [{**one, flag: 1} for one in plain["annotations"]]}
    (tmp_path / "flagged.json").write_text(json.dumps(flagged))
    theirs, ours = [], []
    for name in ("p.json", "flagged.json"):
        results = COCOeval(COCO(str(tmp_path / "truth.json")), COCO(str(tmp_path / name)), "segm")
        results.params.maxDets = [100, 100, 100]
        results.evaluate()
        results.accumulate()
        theirs.append(results.eval["precision"])
        report = evaluate(read_dataset(tmp_path / name), read_truth(tmp_path / "truth.json"))
        ours.append([(one.ious, one.false_rate) for one in report.concepts])
    np.testing.assert_array_equal(*theirs)
    assert theirs[0].max() > 0
    assert repr(ours[0]) == repr(ours[1])
    assert sum(sum(ious) for ious, _ in ours[0]) > 0


def test_a_prediction_without_a_polygon_and_a_box_has_no_pixel(tmp_path):
    data = json.loads(predict(tmp_path / "p.json").read_text())
    data["annotations"][0] |= {"segmentation": [], "bbox": None}
    (tmp_path / "p.json").write_text(json.dumps(data))
    predictions = read_dataset(tmp_path / "p.json")
    assert not predictions.union(predictions.find("a/images/1.jpg"), "mug").any()
    assert predictions.union(predictions.find("a/images/2.jpg"), "MUG").any()


def test_an_image_with_nothing_but_a_crowd_is_ignored(tmp_path):
    data = coco_truth()
    data["annotations"] = [{**one, "iscrowd": 1} for one in data["annotations"] if one["image_id"] == 11]
    (tmp_path / "truth.json").write_text(json.dumps(data))
    mug, cow = read_truth(tmp_path / "truth.json").concepts
    assert (dict(mug.positives), mug.ignored) == ({}, {"a/images/2.jpg"})
    assert (dict(cow.positives), cow.ignored) == ({}, set())


def test_a_folder_of_label_maps_is_truth_by_its_legend_or_the_predictions(tmp_path):
    for file in ("a/images/1.jpg", "a/images/2.jpg", "b/images/4.jpg"):
        path = (tmp_path / "maps" / file).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        labels = label_map(file)
        Image.fromarray(
            np.select([labels == 7, labels == 3, labels == 255], [1, 2, 255], 0).astype(np.uint8)
        ).save(path)
    predictions = read_dataset(predict(tmp_path / "p.json"))
    truth = maps_of(tmp_path / "maps", predictions)
    report = evaluate(predictions, truth)  # images without a map are left out
    assert [one.name for one in report.concepts] == NAMES
    assert [(len(one.images), one.negatives) for one in report.concepts] == [(2, 1), (1, 2)]
    assert report.concepts[1].ious == pytest.approx(by_hand("cow", [3])[0])
    legend = [{"id": 0, "name": "background"}, {"id": 2, "name": "mug"}]
    (tmp_path / "maps" / "legend.json").write_text(json.dumps(legend))
    by_legend = maps_of(tmp_path / "maps", predictions)
    assert [(one.name, *one.positives) for one in by_legend.concepts] == [("mug", "b/images/4.jpg")]


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "not a COCO data set"), ("{", "no valid JSON"), ('{"images": [], "annotations": 3}', "COCO")],
)
def test_files_of_another_kind_are_refused(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(FormatError, match=message):
        read_dataset(tmp_path / "x.json")


def test_what_is_no_truth_is_refused(tmp_path):
    with pytest.raises(InputError, match="no data set"):
        read_truth(tmp_path / "nothing")
    with pytest.raises(InputError, match="names the numbers"):
        read_truth(tmp_path)
    with pytest.raises(InputError, match="no label map"):
        read_dataset(tmp_path, files=["a.jpg"], names={1: "mug"})
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(FormatError, match="not a label map"):
        read_dataset(tmp_path, files=["a.jpg"], names={1: "mug"})
    (tmp_path / "concepts.json").write_text('{"concepts": {"mug": {}}}')
    with pytest.raises(FormatError, match=r"no table of concepts \(it has no 'query'\)"):
        read_truth(tmp_path)


def test_the_command_prints_a_table_json_a_sheet_and_a_plot(group, tmp_path):
    predict(tmp_path / "p.json")
    drawn = ["--sheet", str(tmp_path / "sheet.png"), "--plot", str(tmp_path / "plot.png"), "--quiet"]
    command = ["evaluate", str(tmp_path / "p.json"), "--truth", str(group), *drawn]
    table = CliRunner().invoke(app, command)
    assert table.exit_code == 0, table.output
    iou = np.mean(by_hand("Mug", [7, 8])[0])
    row = next(line for line in table.stdout.splitlines() if line.startswith("white mug"))
    assert f"  {iou:.3f}  " in row
    assert "3 + 2" in row
    with Image.open(tmp_path / "sheet.png") as sheet, Image.open(tmp_path / "plot.png") as plot:
        assert sheet.width > 4 * 288
        assert plot.format == "PNG"
    data = json.loads(CliRunner().invoke(app, [*command, "--json", "--concepts", "mug"]).stdout)
    assert list(data["concepts"]) == ["white mug"]
    assert data["mean"]["iou"] == pytest.approx(iou)


def test_the_command_wants_the_photographs_for_a_sheet(tmp_path):
    predict(tmp_path / "p.json")
    (tmp_path / "truth.json").write_text(json.dumps(coco_truth()))
    command = ["evaluate", str(tmp_path / "p.json"), "--truth", str(tmp_path / "truth.json")]
    result = CliRunner().invoke(app, [*command, "--sheet", str(tmp_path / "sheet.png")])
    assert isinstance(result.exception, InputError)
    assert "--images" in str(result.exception)
