"""The committed sample archive: its listing, pictures and masks agree, and the splits share nothing."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import reco_assist

SAMPLES = Path(reco_assist.__file__).parent / "samples"
LISTING = json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8"))
FAMILIES = {"": LISTING, "artefacts/": LISTING["artefacts"]}
IMAGES = [
    pytest.param(family, image, id=image["file"])
    for family in FAMILIES
    for image in FAMILIES[family]["images"]
]


def test_listing_names_every_file() -> None:
    listed = {
        image[key] for block in FAMILIES.values() for image in block["images"] for key in ("file", "mask")
    }
    found = {p.relative_to(SAMPLES).as_posix() for p in SAMPLES.rglob("*") if p.suffix in {".jpg", ".png"}}
    assert listed == found


@pytest.mark.parametrize(("family", "image"), IMAGES)
def test_mask_fits_its_picture_and_the_listing(family: str, image: dict) -> None:
    classes = {int(c): name for c, name in FAMILIES[family]["classes"].items()}
    with Image.open(SAMPLES / image["file"]) as picture:
        assert picture.mode == "RGB"
        assert max(picture.size) == 384
        size = picture.size
    with Image.open(SAMPLES / image["mask"]) as mask:
        assert mask.mode == "P"
        assert mask.size == size
        labels = np.asarray(mask)
    shown = set(np.unique(labels).tolist()) - {0}
    assert {classes[c] for c in shown} == set(image["concepts"]) == set(image["areas"])
    for c in shown:
        assert np.mean(labels == c) == pytest.approx(image["areas"][classes[c]], abs=1e-5)


def test_splits_share_no_picture() -> None:
    files = [image["file"] for block in FAMILIES.values() for image in block["images"]]
    hashes = {hashlib.sha256((SAMPLES / file).read_bytes()).hexdigest() for file in files}
    assert len(hashes) == len(files)


def test_samples_stay_small() -> None:
    assert sum(p.stat().st_size for p in SAMPLES.rglob("*") if p.is_file()) <= 6 * 2**20


@pytest.mark.parametrize(
    ("family", "split", "concept", "least"),
    [
        ("", "archive", "mug", 14),
        ("", "archive", "fire extinguisher", 14),
        ("", "targets", "mug", 8),
        ("", "targets", "fire extinguisher", 8),
        ("artefacts/", "archive", "geared mechanism", 6),
        ("artefacts/", "targets", "geared mechanism", 3),
    ],
)
def test_each_concept_is_shown_often_enough(family: str, split: str, concept: str, least: int) -> None:
    images = [i for i in FAMILIES[family]["images"] if i["file"].startswith(f"{family}{split}/")]
    shown = Counter(c for image in images for c in image["concepts"])
    assert shown[concept] >= least
    assert sum(not image["concepts"] for image in images) >= len(images) / 5  # scenes without any concept


def test_concepts_are_large_enough_for_a_coarse_grid() -> None:
    areas = [a for block in FAMILIES.values() for image in block["images"] for a in image["areas"].values()]
    assert min(areas) >= 0.02  # four of 14 x 14 cells
    assert np.median(areas) >= 0.08


@pytest.mark.parametrize("family", FAMILIES)
def test_exemplars_are_archive_pictures_of_one_concept(family: str) -> None:
    by_file = {image["file"]: image for image in FAMILIES[family]["images"]}
    for concept, files in FAMILIES[family]["exemplars"].items():
        assert len(set(files)) == 3
        for file in files:
            assert file.startswith(f"{family}archive/")
            assert by_file[file]["concepts"] == [concept]
