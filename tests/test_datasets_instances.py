"""Counts of instances, against numpy's histogram."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.cli.app import app
from reco_assist.datasets.instances import InstanceCount
from reco_assist.datasets.report import write_report
from reco_assist.formats import Dataset, to_coco
from reco_assist.masks import rle

EACH = (1, 1, 2, 3, 4, 5, 9, 10, 19, 20, 137)


def mushrooms(*each):
    """A data set of mushrooms with so many regions an image, and of mugs with none."""
    made = []
    for number, count in enumerate(each):
        masks = np.zeros((count, 20, 300), bool)
        for i in range(count):
            masks[i, 4:14, 2 * i : 2 * i + 1] = True
        image = ImageRef(f"{number}.png", f"{number:064}", 300, 20)
        regions = tuple(Region("mushroom", rle.encode(mask), 0.9) for mask in masks)
        made.append(Prediction(image, regions, (Verdict("mushroom", bool(count), 0.9),)))
    return Dataset(to_coco(made, ["mushroom", "mug"]), "set.json")


def test_a_histogram_is_that_of_numpy():
    count = InstanceCount(EACH)
    expected, _ = np.histogram(EACH, [1, 2, 3, 4, 5, 10, 20, np.inf])
    assert list(count.histogram.values()) == expected.tolist()
    assert list(count.histogram) == ["1", "2", "3", "4", "5-9", "10-19", "20+"]
    assert (count.total, count.most) == (sum(EACH), 137)
    assert count.mean == pytest.approx(np.mean(EACH))
    assert set(InstanceCount(()).histogram.values()) == {0}
    assert (InstanceCount(()).mean, InstanceCount(()).most, str(InstanceCount(()))) == (0, 0, "no instance")


def test_a_report_counts_the_instances_of_an_image(tmp_path):
    counted = write_report(tmp_path / "page.html", mushrooms(3, 0, 12), title="trays").instances
    assert counted == {"mushroom": InstanceCount((3, 12)), "mug": InstanceCount(())}
    page = (tmp_path / "page.html").read_text()
    assert "<td>2</td><td>15</td><td>7.5</td><td>12</td>" in page
    assert "Instances an image: 1: 0; 2: 0; 3: 1; 4: 0; 5-9: 0; 10-19: 1; 20+: 0" in page


def test_regions_to_ignore_and_empty_ones_are_no_instances(tmp_path):
    dataset = mushrooms(4)
    document = dataset.document
    document["annotations"][0]["iscrowd"] = 1
    document["annotations"][1]["segmentation"] = {"size": [20, 300], "counts": [6000]}
    counted = write_report(tmp_path / "page.html", Dataset(document, "set.json"), title="trays").instances
    assert counted["mushroom"].each == (2,)


def test_the_command_says_and_prints_the_counts(tmp_path):
    source = tmp_path / "set.json"
    source.write_text(json.dumps(mushrooms(3, 0, 12).document))
    words = ["report", str(source), "--out", str(tmp_path / "page.html")]
    said = CliRunner().invoke(app, words, catch_exceptions=False).stderr
    assert "mushroom: 15 in 2 images, 7.5 an image, 12 at most (images by instances: 3: 1, 10-19: 1)" in said
    assert "mug: no instance" in said
    printed = CliRunner().invoke(app, [*words, "--json", "--quiet"], catch_exceptions=False).stdout
    mushroom = json.loads(printed)["concepts"]["mushroom"]
    assert (mushroom["images"], mushroom["instances"], mushroom["mean"], mushroom["most"]) == (2, 15, 7.5, 12)
    assert mushroom["histogram"]["10-19"] == 1
