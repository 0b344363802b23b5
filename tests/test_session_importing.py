"""A data set that exists becomes a session, is corrected, and goes home by merge."""

import json

import numpy as np
import pytest
from fakes import FakeEncoder, write_photos
from PIL import Image
from predictions import CONCEPTS, predictions
from pycocotools import mask as coco

from reco_assist.archive import Archive
from reco_assist.datasets import diff, merge
from reco_assist.errors import InputError
from reco_assist.formats import Dataset, read_coco, to_coco
from reco_assist.masks import rle
from reco_assist.session import Choice, ReviewQueue, Session, export
from reco_assist.session.importing import import_dataset
from reco_assist.ui import Annotator


@pytest.fixture
def original(tmp_path):
    """Somebody's data set: overlapping concepts, touching instances, a crowd, an image without a mask."""
    made = predictions(6)
    random = np.random.default_rng(5)
    for one in made:
        path = tmp_path / "photos" / one.image.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (one.image.height, one.image.width, 3)
        Image.fromarray(random.integers(0, 256, size, np.uint8)).save(path, quality=60)
    document = json.loads(json.dumps(to_coco(made, CONCEPTS)))
    for one in document["images"]:
        del one["reco_verdicts"], one["reco_hash"]
    image = document["images"][2]  # has no mask so far
    left, right = np.zeros((2, image["height"], image["width"]), bool)
    left[4:20, 4:12], right[4:20, 12:20] = True, True
    for number, (mask, crowd) in enumerate(((left, 0), (right, 0), (~left, 1)), start=1):
        code = rle.encode(mask)
        document["annotations"].append(
            {
                "id": number,
                "image_id": image["id"],
                "category_id": 1,
                "segmentation": rle.to_coco(code),
                "area": rle.area(code),
                "bbox": list(rle.bbox(code)),
                "iscrowd": crowd,
            }
        )
    return Dataset(document, "original")


def test_a_session_holds_every_pixel_and_untouched_corrections_change_nothing(original, tmp_path):
    session = Session.open(tmp_path / "job.session")
    done = import_dataset(session, original, tmp_path / "photos", accepted=True)
    assert (done.images, done.crowds, done.skipped) == (6, 1, ())
    assert {item.state for item in ReviewQueue(session).items} <= {"accepted", "absent"}
    session.undo()  # one act
    assert {item.state for item in ReviewQueue(session).items} == {"pending"}
    session.redo()
    assert len(ReviewQueue(session).items) == 6
    for digest in session.files().values():
        result = session.result(digest)
        image = next(one for one in original.document["images"] if one["file_name"] == result.image.file_name)
        union = np.zeros((image["height"], image["width"]), bool)
        for one in original.annotations[image["id"]]:
            if not one["iscrowd"]:
                union |= coco.decode(one["segmentation"]).astype(bool)
        ours = np.logical_or.reduce([session.mask(digest, name) for name in CONCEPTS])
        np.testing.assert_array_equal(ours, union)
    export(session, tmp_path / "out", Choice(formats=("coco",)))
    merged = merge(original, read_coco(tmp_path / "out" / "coco.json"), mode="correct").dataset
    touching = [one for one in merged.document["annotations"] if one["id"] in (1, 2, 3)]
    assert touching == original.document["annotations"][-3:]
    changes = diff(original, merged)
    if not done.shared:
        assert changes.counts().keys() == {"same"}


def test_a_correction_arrives_in_the_original(original, tmp_path):
    session = Session.open(tmp_path / "job.session")
    import_dataset(session, original, tmp_path / "photos", accepted=True)
    file = original.document["images"][2]["file_name"]
    digest = session.files()[file]
    session.masks.edit(digest, CONCEPTS[0], 14, 4, np.full((16, 6), 2, np.uint8))  # most of the right one
    export(session, tmp_path / "out", Choice(formats=("coco",)))
    merged = merge(original, read_coco(tmp_path / "out" / "coco.json"), mode="correct").dataset
    mine = [one for one in merged.annotations[original.document["images"][2]["id"]] if not one["iscrowd"]]
    union = np.logical_or.reduce([coco.decode(one["segmentation"]).astype(bool) for one in mine])
    np.testing.assert_array_equal(union, session.mask(digest, CONCEPTS[0]))
    assert mine[0]["id"] == 1  # the left one and what is left of the right one are one piece now
    assert len(mine) == 1


def test_another_picture_is_skipped_and_a_missing_folder_refused(original, tmp_path):
    file = original.document["images"][0]["file_name"]
    Image.new("RGB", (5, 5)).save(tmp_path / "photos" / file)
    session = Session.open(tmp_path / "job.session")
    done = import_dataset(session, original, tmp_path / "photos")
    assert [name for name, _ in done.skipped] == [file]
    assert done.images == 5
    assert {item.state for item in ReviewQueue(session).items} == {"pending"}
    with pytest.raises(InputError, match="no folder"):
        import_dataset(session, original, tmp_path / "nowhere")


def test_the_notebook_goes_on_with_the_review(original, tmp_path):
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    write_photos(tmp_path / "indexed", 6)
    archive.add(tmp_path / "indexed", progress=False)
    session = Session.open(Session.beside(archive.path))
    import_dataset(session, original, tmp_path / "photos")
    session.close()
    annotator = Annotator(archive)
    annotator._go_on()
    assert annotator.state.step == 3
    assert len(annotator.state.queue.items) == 6
    assert annotator.stepper.steps[3][2]  # enabled, also after leaving it
