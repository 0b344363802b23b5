"""Data sets that exist already: merge, diff, split, formats. Readers that we did not write are the judges."""

import json
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import supervision
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from predictions import CONCEPTS, blob, predictions
from pycocotools import mask as coco
from pycocotools.coco import COCO
from scipy import ndimage
from sklearn.cluster import DBSCAN

from reco_assist.datasets import diff, hold_out, merge, write_diff_picture
from reco_assist.errors import FormatError, InputError
from reco_assist.formats import (
    Dataset,
    read_dataset,
    to_coco,
    write_dataset,
    write_label_map,
    write_legend,
    write_panoptic,
)
from reco_assist.formats.photographs import photographed
from reco_assist.formats.yolo import write_yolo
from reco_assist.images import NEAR_DUPLICATE, near_duplicate_groups, perceptual_hash
from reco_assist.masks import rle

SHAPE = (12, 16)


@st.composite
def datasets(draw):
    """Small data sets with foreign ids and fields, crowds, polygons and equal masks."""
    names = draw(st.lists(st.sampled_from(["mug", "Mug", "cat", "<b>"]), min_size=1, unique=True))
    category_ids = draw(st.lists(st.integers(1, 9), min_size=len(names), max_size=len(names), unique=True))
    files = draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    image_ids = draw(
        st.lists(st.one_of(st.integers(1, 9), st.sampled_from(["x", "y", "z", "u", "v", "w"])),
                 min_size=len(files), max_size=len(files), unique=True)
    )  # fmt: skip
    images = [
        {"id": number, "file_name": f"{file}.png", "height": SHAPE[0], "width": SHAPE[1], "note": file}
        for number, file in zip(image_ids, files, strict=True)
    ]
    count = draw(st.integers(0, 8))
    annotations = []
    for number in draw(st.lists(st.integers(1, 12), min_size=count, max_size=count, unique=True)):
        x, y = draw(st.integers(0, 11)), draw(st.integers(0, 7))
        w, h = draw(st.sampled_from([(2, 3), (4, 4), (4, 5)]))
        mask = np.zeros(SHAPE, bool)
        mask[y : y + h, x : x + w] = True
        crowd = draw(st.booleans()) and draw(st.booleans())
        polygon = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        segmentation = rle.to_coco(rle.encode(mask)) if crowd or draw(st.booleans()) else polygon
        annotations.append(
            {
                "id": number,
                "image_id": draw(st.sampled_from(image_ids)),
                "category_id": draw(st.sampled_from(category_ids)),
                "segmentation": segmentation,
                "area": int(mask.sum()),
                "bbox": [x, y, min(w, 16 - x), min(h, 12 - y)],
                "iscrowd": int(crowd),
                "author": draw(st.sampled_from("AB")),
            }
        )
    categories = [{"id": i, "name": name, "mark": i} for i, name in zip(category_ids, names, strict=True)]
    return Dataset(
        {"images": images, "annotations": annotations, "categories": categories, "x": [1]}, "drawn"
    )


def facts(dataset):
    """How often each (file, concept, crowd, pixels) is there, decoded by pycocotools."""
    found = Counter()
    for one in dataset.document["annotations"]:
        image = dataset.images[one["image_id"]]
        code = one["segmentation"]
        if isinstance(code, list):
            code = coco.merge(coco.frPyObjects(code, *SHAPE))
        pixels = coco.decode(code).tobytes()
        found[image["file_name"], dataset.concept(one), bool(one["iscrowd"]), pixels] += 1
    return found


@settings(max_examples=60, deadline=None)
@given(datasets(), datasets())
def test_merging_loses_nothing_and_keeps_the_ids_of_the_base(base, new):
    before = json.dumps(base.document), json.dumps(new.document)
    done = merge(base, new)
    assert (json.dumps(base.document), json.dumps(new.document)) == before
    document = done.dataset.document
    for part in ("images", "annotations", "categories"):  # others' records, in their order, to the letter
        assert document[part][: len(base.document[part])] == base.document[part]
        ids = [one["id"] for one in document[part]]
        assert len(set(ids)) == len(ids)
    assert facts(done.dataset) == facts(base) | facts(new)  # the larger count of each
    assert document["x"] == [1]
    again = merge(done.dataset, new)
    assert again.dataset.document == document
    assert not again.added.total()


@settings(max_examples=60, deadline=None)
@given(datasets(), datasets())
def test_a_correction_replaces_what_it_judges_and_nothing_else(base, new):
    done = merge(base, new, mode="correct").dataset
    files = {one["file_name"] for one in new.document["images"]}
    names = set(new.categories.values())

    def judged(fact):
        return fact[0] in files and fact[1] in names and not fact[2]

    untouched = Counter({fact: n for fact, n in facts(base).items() if not judged(fact)})
    corrected = Counter({fact: n for fact, n in facts(new).items() if judged(fact)})
    crowds = Counter({fact: n for fact, n in facts(new).items() if not judged(fact)})
    result = facts(done)
    ours = Counter({fact: n for fact, n in result.items() if judged(fact)})
    assert result - ours == untouched | crowds
    assert _covered(ours) == _covered(corrected)
    for key, pixels in _covered(
        ours
    ).items():  # instances of the base where nothing changed, else of the correction
        source = facts(base) if _covered(facts(base)).get(key) == pixels else corrected
        assert {f: n for f, n in ours.items() if f[:2] == key} == {
            f: n for f, n in source.items() if f[:2] == key and not f[2]
        }
    base_ids = {one["id"] for one in base.document["annotations"]}
    owners = {one["id"]: one["author"] for one in base.document["annotations"]}
    kept = [one for one in done.document["annotations"] if one["id"] in base_ids]
    same = facts(base) & facts(new)
    assert all(one["id"] in owners for one in kept)
    assert len(kept) >= same.total()  # what did not change kept its id


def _covered(found):
    """The pixels that each (file, concept) has in all, crowds left out."""
    unions = {}
    for file, concept, crowd, pixels in found:
        if not crowd:
            mask = np.frombuffer(pixels, np.uint8)
            unions[file, concept] = mask | unions.get((file, concept), np.zeros_like(mask))
    return {key: mask.tobytes() for key, mask in unions.items()}


def test_a_corrected_mask_keeps_its_id_and_its_other_fields():
    mask, corrected = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    mask[2:9, 2:9] = True
    corrected[2:9, 2:10] = True
    image = {"id": 7, "file_name": "a.png", "height": SHAPE[0], "width": SHAPE[1]}

    def one(number, pixels, **more):
        code = rle.encode(pixels)
        return {"id": number, "image_id": 7, "category_id": 3, "segmentation": rle.to_coco(code), **more}

    categories = [{"id": 3, "name": "mug"}]
    base = Dataset(
        {
            "images": [image],
            "categories": categories,
            "annotations": [one(11, mask, track=5), one(12, ~mask)],
        },
        "b",
    )
    new = Dataset({"images": [image], "categories": categories, "annotations": [one(12, corrected)]}, "n")
    done = merge(base, new, mode="correct")
    assert done.dataset.document["annotations"] == [one(11, corrected, track=5)]
    assert (done.changed["mug"], done.removed["mug"], done.added["mug"]) == (1, 1, 0)


def test_our_export_merges_into_somebody_elses_and_other_readers_load_it(tmp_path):
    made = predictions(8)
    ours = Dataset(to_coco(made, CONCEPTS), "ours")
    theirs = json.loads(json.dumps(to_coco(made[:5], [CONCEPTS[1], "other", CONCEPTS[0], CONCEPTS[2]])))
    renumbered = {one["id"]: i for i, one in enumerate(theirs["images"], start=1)}
    for i, one in enumerate(theirs["annotations"], start=1):
        one |= {"id": i, "image_id": renumbered[one["image_id"]]}
    for one in theirs["images"]:
        one |= {"id": renumbered[one["id"]], "file_name": "train/" + one["file_name"]}
        del one["reco_hash"]
    crowd = {**theirs["annotations"][0], "id": 999, "iscrowd": 1}
    theirs["annotations"].append(crowd)
    done = merge(Dataset(theirs, "theirs"), ours, prefix="train/")
    assert (done.images, done.matched) == (3, 5)
    write_dataset(tmp_path / "merged.json", done.dataset)
    loaded = COCO(str(tmp_path / "merged.json"))
    assert len(loaded.getImgIds()) == 8
    assert loaded.loadAnns(999) == [crowd]
    assert len(loaded.getAnnIds(iscrowd=0)) == sum(len(one.regions) for one in made)
    for one in loaded.loadAnns(loaded.getAnnIds()):
        pixels = loaded.annToMask(one)
        rows, columns = np.nonzero(pixels)
        assert one["area"] == pixels.sum()
        assert one["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    read = supervision.DetectionDataset.from_coco(
        str(tmp_path), str(tmp_path / "merged.json"), force_masks=True
    )
    assert sum(len(one) for one in read.annotations.values()) == len(loaded.anns)
    assert set(read.classes) == {*CONCEPTS, "other"}


def test_images_of_one_content_are_one_whatever_they_are_called():
    made = predictions(3)
    ours = Dataset(to_coco(made, CONCEPTS), "ours")
    moved = json.loads(json.dumps(ours.document))
    for one in moved["images"]:
        one["file_name"] = "moved/" + one["file_name"]
    done = merge(Dataset(moved, "moved"), ours)
    assert (done.images, done.matched, done.added.total()) == (0, 3, 0)


def test_another_picture_of_the_same_name_is_refused():
    ours = Dataset(to_coco(predictions(2), CONCEPTS), "ours")
    other = json.loads(json.dumps(ours.document))
    other["annotations"] = []
    other["images"][1]["width"] += 1
    with pytest.raises(InputError, match="two pictures"):
        merge(Dataset(other, "theirs"), ours)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("categories"), "not a COCO data set"),
        (lambda d: d["images"].append(d["images"][0]), "make it unique"),
        (lambda d: d["annotations"][0].update(image_id=-5), "not listed"),
        (lambda d: d["images"][0].update(height=None), "height None: give a whole number"),
        (lambda d: d["annotations"][0].pop("category_id"), "has no category_id"),
    ],
)
def test_inconsistent_data_sets_are_refused(change, words):
    document = to_coco(predictions(2), CONCEPTS)
    change(document)
    with pytest.raises(FormatError, match=words):
        Dataset(document, "theirs.json")


@settings(max_examples=60, deadline=None)
@given(datasets(), datasets())
def test_a_diff_accounts_for_every_mask_and_mirrors(old, new):
    found, mirrored = diff(old, new), diff(new, old)
    for name, counts in found.concepts().items():
        before = sum(n for fact, n in facts(old).items() if fact[1] == name)
        after = sum(n for fact, n in facts(new).items() if fact[1] == name)
        assert counts["same"] + counts["changed"] + counts["removed"] == before
        assert counts["same"] + counts["changed"] + counts["added"] == after
        back = mirrored.concepts()[name]
        assert (back["same"], back["added"], back["removed"]) == (
            counts["same"],
            counts["removed"],
            counts["added"],
        )
    assert sum(c["same"] for c in found.concepts().values()) == (facts(old) & facts(new)).total()
    assert set(diff(old, old).counts()) <= {"same"}


def test_the_picture_of_a_diff_shows_what_was_removed_and_added(tmp_path):
    made = predictions(6)
    for one in made:
        path = tmp_path / one.image.file_name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (one.image.width, one.image.height), "#777").save(path)
    old, new = Dataset(to_coco(made[:4], CONCEPTS), "old"), Dataset(to_coco(made[2:], CONCEPTS), "new")
    write_diff_picture(tmp_path / "diff.png", diff(old, new), tmp_path)
    pixels = np.asarray(Image.open(tmp_path / "diff.png")).reshape(-1, 3)
    shown = {tuple(colour) for colour in np.unique(pixels, axis=0).tolist()}
    assert {(230, 159, 0), (0, 158, 115)} <= shown  # outlines of removed and added


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_near_duplicates_stay_together_and_every_concept_is_on_both_sides(data):
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count = data.draw(st.integers(1, 60))
    marks = {}
    for number in range(count):
        if marks and random.random() < 0.4:  # a near-duplicate of an earlier one
            bits = sum(1 << int(bit) for bit in random.choice(64, random.integers(0, 7), replace=False))
            mark = int(random.choice(np.array(list(marks.values()), np.uint64))) ^ bits
        else:
            mark = int(random.integers(0, 2**64, dtype=np.uint64))
        marks[f"{number:04}"] = mark
    concepts = {one: {name for name in "abc" if random.random() < 0.3} for one in marks}
    share = data.draw(st.sampled_from([0.1, 0.25, 0.5]))
    held = hold_out(marks, concepts, share)
    bits = np.unpackbits(np.array(list(marks.values()), np.uint64).view(np.uint8).reshape(count, 8), axis=1)
    reference = (
        DBSCAN(eps=NEAR_DUPLICATE + 0.5, min_samples=1, metric="cityblock").fit(bits.astype(int)).labels_
    )
    ours = near_duplicate_groups(list(marks.values()))
    assert len(set(zip(ours, reference.tolist(), strict=True))) == len(set(ours)) == len(set(reference))
    for group in set(ours):
        members = {one for one, number in zip(marks, ours, strict=True) if number == group}
        assert members <= held or not members & held
    largest = max(Counter(ours).values())
    assert abs(len(held) - share * count) <= 4 + 4 * largest
    shuffled = dict(sorted(marks.items(), key=lambda one: one[0][::-1]))
    assert hold_out(shuffled, concepts, share) == held


def test_a_rare_concept_is_on_both_sides():
    random = np.random.default_rng(0)
    marks = {f"{i:03}": int(random.integers(0, 2**64, dtype=np.uint64)) for i in range(200)}
    concepts = {"003": {"rare"}, "150": {"rare"}} | {f"{i:03}": {"common"} for i in range(20, 120)}
    held = hold_out(marks, concepts, 0.1)
    assert len(held & {"003", "150"}) == 1
    assert len([one for one in held if concepts.get(one) == {"common"}]) == 10
    assert abs(len(held) - 20) <= 1


@pytest.fixture
def exported(tmp_path):
    """Label maps and pictures of some predictions, one region of each concept an image."""
    made = [one for one in predictions(6) if one.regions]
    write_legend(tmp_path / "masks", CONCEPTS)
    for one in made:
        for place, suffix in (("masks", ".png"), ("photos", Path(one.image.file_name).suffix)):
            path = (tmp_path / place / one.image.file_name).with_suffix(suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            if place == "photos":
                Image.new("RGB", (one.image.width, one.image.height), "#456").save(path)
            else:
                write_label_map(path, one, CONCEPTS)
    return tmp_path, made


def test_our_label_maps_come_back_as_a_data_set(exported):
    folder, made = exported
    read = read_dataset(folder / "masks", images=folder / "photos")
    assert list(read.categories.values()) == CONCEPTS
    for image in read.document["images"]:
        labels = np.asarray(Image.open((folder / "masks" / image["file_name"]).with_suffix(".png")))
        for number in (1, 2, 3):
            parts = [one for one in read.annotations[image["id"]] if one["category_id"] == number]
            _, count = ndimage.label(labels == number, np.ones((3, 3)))
            assert len(parts) == count
            union = np.zeros(labels.shape, bool)
            for one in parts:
                union |= coco.decode(one["segmentation"]).astype(bool)
            np.testing.assert_array_equal(union, labels == number)
    assert len(read.images) == len(made)


@pytest.mark.parametrize("kind", ["palette", "colour"])
def test_voc_style_masks_are_read_with_objects_and_void(tmp_path, kind):
    table = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nmug:128,0,0::\ncat:0,128,0::\n"
    (tmp_path / "labelmap.txt").write_text(table)
    classes = np.zeros((40, 50), np.uint8)
    classes[5:20, 5:20], classes[5:20, 20:30], classes[30:38, 30:48] = 1, 1, 2
    objects = np.zeros_like(classes)
    objects[5:20, 5:20], objects[5:20, 20:30], objects[30:38, 30:48] = 1, 2, 3
    for name, values in (("SegmentationClass", classes), ("SegmentationObject", objects)):
        (tmp_path / name).mkdir()
        image = Image.fromarray(values)
        if kind == "colour" and name == "SegmentationClass":
            image = Image.fromarray(np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)[values])
        elif kind == "palette":
            values[values == 0] = np.where(np.arange(50) == 0, 255, 0)[None].repeat(40, 0)[values == 0]
            image = Image.fromarray(values)
            image.putpalette(bytes(range(256)) * 3)
        image.save(tmp_path / name / "one.png")
    (tmp_path / "JPEGImages").mkdir()
    Image.new("RGB", (50, 40), "#456").save(tmp_path / "JPEGImages" / "one.jpg")
    read = read_dataset(tmp_path)
    single = [one for one in read.document["annotations"] if not one["iscrowd"]]
    assert sorted((read.concept(one), one["area"]) for one in single) == [
        ("cat", 144),
        ("mug", 150),
        ("mug", 225),
    ]
    crowds = [one for one in read.document["annotations"] if one["iscrowd"]]
    assert [read.concept(one) for one in crowds] == (["mug", "cat"] if kind == "palette" else [])
    assert all(one["area"] == 40 for one in crowds)


def test_label_maps_without_names_are_refused_and_those_without_their_photograph_named(exported):
    folder, made = exported
    (folder / "masks" / "legend.json").rename(folder / "legend.bak")
    with pytest.raises(InputError, match="nothing names the numbers"):
        read_dataset(folder / "masks", images=folder / "photos")
    (folder / "legend.bak").rename(folder / "masks" / "legend.json")
    photo = next((folder / "photos").rglob("*.jpg"))
    name = photo.relative_to(folder / "photos").as_posix()
    Image.new("RGB", (9, 9)).save(photo)
    read = read_dataset(folder / "masks", images=folder / "photos")
    assert len(read.images) == len(made) - 1
    ((left, reason),) = read.skipped
    assert left == name
    assert reason.startswith(f"{name} has 9 x 9 pixels upright")
    photo.unlink()
    ((_, reason),) = read_dataset(folder / "masks", images=folder / "photos").skipped
    assert "has no image" in reason


def test_panoptic_maps_hold_each_pixel_once(tmp_path):
    dataset = Dataset(to_coco(predictions(8), CONCEPTS), "ours")
    write_panoptic(tmp_path, dataset)
    document = json.loads((tmp_path / "panoptic.json").read_text())
    assert [one["isthing"] for one in document["categories"]] == [1, 1, 1]
    for entry in document["annotations"]:
        pixels = np.asarray(Image.open(tmp_path / "panoptic" / entry["file_name"])).astype(int)
        ids = pixels @ [1, 256, 65536]
        listed = {one["id"]: one for one in entry["segments_info"]}
        assert set(np.unique(ids)) - {0} == set(listed)
        union = np.zeros(ids.shape, bool)
        records = dataset.annotations[entry["image_id"]]
        for number, one in listed.items():
            rows, columns = np.nonzero(ids == number)
            assert one["area"] == rows.size
            assert one["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            own = coco.decode(records[number - 1]["segmentation"]).astype(bool)
            assert own[rows, columns].all()
            assert one["category_id"] == records[number - 1]["category_id"]
        for record in records:
            union |= coco.decode(record["segmentation"]).astype(bool)
        np.testing.assert_array_equal(ids > 0, union)
        best = max(records, key=lambda one: one["score"], default=None)
        if best is not None:  # the surest mask is whole
            assert listed[records.index(best) + 1]["area"] == best["area"]


def test_supervision_reads_our_yolo(tmp_path):
    made = predictions(8)
    for one in made:
        path = tmp_path / "photos" / one.image.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (one.image.width, one.image.height), "#456").save(path)
    dataset = Dataset(to_coco(made, CONCEPTS), "ours")
    half = list(dataset.images)
    parts = {"train": dataset.only(half[:6]), "val": dataset.only(half[6:])}
    photos = {name: photographed(part, tmp_path / "photos") for name, part in parts.items()}
    assert write_yolo(tmp_path / "yolo", photos) == 0
    for folder in ("folder 0", "folder 1"):
        read = supervision.DetectionDataset.from_yolo(
            str(tmp_path / "yolo" / "images" / "train" / folder),
            str(tmp_path / "yolo" / "labels" / "train" / folder),
            str(tmp_path / "yolo" / "data.yaml"),
        )
        assert read.classes == CONCEPTS
        for path, detections in read.annotations.items():
            one = next(one for one in made if one.image.file_name == f"{folder}/{Path(path).name}")
            for index, concept in enumerate(CONCEPTS):
                masks = [rle.decode(region.mask) for region in one.regions if region.concept == concept]
                exact = np.logical_or.reduce([*masks, np.zeros((one.image.height, one.image.width), bool)])
                chosen = detections.mask[detections.class_id == index] if len(detections) else []
                found = np.logical_or.reduce([*chosen, np.zeros_like(exact)])
                # Outlines are simplified by a pixel, and supervision rounds them and draws the edge.
                near = ndimage.binary_dilation(exact, np.ones((3, 3)), iterations=2)
                core = ndimage.binary_erosion(exact, np.ones((3, 3)), iterations=2, border_value=1)
                assert not (found & ~near).any()
                assert (core & ~found).sum() <= 2 + 0.01 * exact.sum()


def test_a_yolo_object_with_a_hole_stays_one_object_with_the_hole(tmp_path):
    y, x = np.mgrid[:60, :60]
    distance = np.hypot(y - 30, x - 30)
    ring = (distance < 25) & (distance > 10)
    image = {"id": 1, "file_name": "a.png", "height": 60, "width": 60}
    record = {"id": 1, "image_id": 1, "category_id": 4, "segmentation": rle.to_coco(rle.encode(ring))}
    dataset = Dataset(
        {"images": [image], "annotations": [record], "categories": [{"id": 4, "name": "tyre"}]}, "x"
    )
    Image.new("RGB", (60, 60)).save(tmp_path / "a.png")
    write_yolo(tmp_path / "out", {"all": photographed(dataset, tmp_path)})
    (line,) = (tmp_path / "out" / "labels" / "all" / "a.txt").read_text().splitlines()
    points = np.array(line.split()[1:], float) * 60
    drawn = coco.decode(coco.merge(coco.frPyObjects([points.tolist()], 60, 60))).astype(bool)
    overlap = (drawn & ring).sum() / (drawn | ring).sum()
    assert overlap > 0.9
    assert not drawn[25:35, 25:35].any()


def test_fingerprints_of_recompressed_pictures_are_near():
    random = np.random.default_rng(3)
    pixels = np.kron(blob(random, 40, 60), np.ones((4, 4), bool))
    picture = Image.fromarray(np.where(pixels[..., None], [200, 120, 40], [30, 60, 90]).astype(np.uint8))
    buffer = BytesIO()
    picture.resize((120, 80)).save(buffer, "JPEG", quality=60)
    marks = [perceptual_hash(np.asarray(one.convert("RGB"))) for one in (picture, Image.open(buffer))]
    assert len(set(near_duplicate_groups([*marks, marks[0] ^ 0xFFFF]))) == 2


def test_masks_that_hardly_overlap_are_two_objects():
    def shown(x):
        mask = np.zeros(SHAPE, bool)
        mask[2:10, x : x + 6] = True
        image = {"id": 1, "file_name": "a.png", "height": SHAPE[0], "width": SHAPE[1]}
        one = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": rle.to_coco(rle.encode(mask))}
        return Dataset(
            {"images": [image], "annotations": [one], "categories": [{"id": 1, "name": "mug"}]}, "x"
        )

    assert diff(shown(2), shown(3)).concepts()["mug"] == {"changed": 1}  # 5 of 7 columns
    assert diff(shown(2), shown(5)).concepts()["mug"] == {"removed": 1, "added": 1}  # 3 of 9 columns


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a/../../out.png", "..\\out.png"])
def test_names_that_lead_out_of_the_folder_write_nothing(name, tmp_path):
    image = {"id": 1, "file_name": name, "height": 4, "width": 4}
    dataset = Dataset({"images": [image], "annotations": [], "categories": [{"id": 1, "name": "mug"}]}, "x")
    (tmp_path / "in").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "out.png")
    before = sorted(tmp_path.rglob("*.png"))
    with pytest.raises(InputError, match="leads out"):
        write_panoptic(tmp_path / "in", dataset)
    with pytest.raises(InputError, match="leads out"):
        write_yolo(tmp_path / "in", {"all": photographed(dataset, tmp_path / "in")})
    assert sorted(tmp_path.rglob("*.png")) == before
