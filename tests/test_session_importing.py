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
from reco_assist.errors import InputError, StorageError
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


@pytest.fixture
def copies(tmp_path):
    """Three records of one picture: a mug, then another mug and a ring over part of it, then nothing new."""
    made = predictions(1)[0].image
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (made.height, made.width, 3), np.uint8)
    masks = np.zeros((4, made.height, made.width), bool)
    masks[0, 4:20, 4:20], masks[1, 4:9, 4:9], masks[2, 10:25, 10:25], masks[3, 4:6, 4:6] = (
        True,
        True,
        True,
        True,
    )
    annotations = []
    for number, (image, category) in enumerate(((1, 1), (2, 1), (2, 2), (3, 1)), start=1):
        code = rle.encode(masks[number - 1])
        facts = {"segmentation": rle.to_coco(code), "area": rle.area(code), "bbox": list(rle.bbox(code))}
        annotations.append({"id": number, "image_id": image, "category_id": category, "iscrowd": 0, **facts})
    images = [
        {"id": number, "file_name": f"{number}.png", "width": made.width, "height": made.height}
        for number in (1, 2, 3)
    ]
    for one in images:
        Image.fromarray(pixels).save(tmp_path / "photos" / one["file_name"])
    categories = [{"id": 1, "name": "mug"}, {"id": 2, "name": "ring"}]
    return Dataset({"images": images, "annotations": annotations, "categories": categories}, "copies"), masks


def test_copies_of_an_image_are_one_and_their_first_masks_count(copies, tmp_path):
    dataset, masks = copies
    session = Session.open(tmp_path / "job.session")
    done = import_dataset(session, dataset, tmp_path / "photos", accepted=True)
    assert set(session.files()) == {"1.png", "2.png", "3.png"}
    [digest] = set(session.files().values())
    assert [session.review(digest, name).state for name in ("mug", "ring")] == ["accepted", "accepted"]
    np.testing.assert_array_equal(session.mask(digest, "mug"), masks[0])
    np.testing.assert_array_equal(session.mask(digest, "ring"), masks[2] & ~masks[0])
    assert (done.images, done.masks, done.shared) == (3, 2, int((masks[2] & masks[0]).sum()))
    assert [name for name, reason in done.skipped if "mask of mug" in reason] == ["2.png", "3.png"]


def test_what_was_decided_before_an_import_stays(copies, tmp_path):
    dataset, _ = copies
    session = Session.open(tmp_path / "job.session")
    import_dataset(session, dataset, tmp_path / "photos")
    [digest] = set(session.files().values())
    session.decide(digest, {"mug": "rejected"})
    import_dataset(session, dataset, tmp_path / "photos", accepted=True)
    assert [session.review(digest, name).state for name in ("mug", "ring")] == ["rejected", "accepted"]


def test_masks_before_a_failure_are_accepted(original, tmp_path, monkeypatch):
    session = Session.open(tmp_path / "job.session")
    keep = session.masks.keep

    def full(content_hash, *given):
        if len(session.files()) == 5:
            raise StorageError("The disk is full.")
        keep(content_hash, *given)

    monkeypatch.setattr(session.masks, "keep", full)
    with pytest.raises(StorageError, match="full"):
        import_dataset(session, original, tmp_path / "photos", accepted=True)
    items = ReviewQueue(session).items
    assert len(items) == 5
    assert {item.state for item in items} <= {"accepted", "absent"}
