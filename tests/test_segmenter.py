"""Segmentation: masks on real samples, the rules of thresholds and overlap, and runs that survive kill -9."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from children import start
from conftest import SAMPLES
from fakes import FakeEncoder, write_photos
from PIL import Image

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.annotations.regions import region_score
from reco_assist.archive import Archive
from reco_assist.concepts import learn_concept
from reco_assist.errors import EncoderError, ImageError, InputError
from reco_assist.formats import label_map
from reco_assist.masks import rle
from reco_assist.runs import Run, list_targets
from reco_assist.segmenter import ProbabilityMaps, Segmenter, Skipped, Target, maps, refinement


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    return write_photos(folder, 20)


@pytest.fixture(scope="module")
def archive(photos, tmp_path_factory):
    made = Archive.create(tmp_path_factory.mktemp("fake") / "x.reco", encoder=FakeEncoder())
    made.add(photos, progress=False)
    return made


@pytest.fixture(scope="module")
def concepts(archive):
    return [learn_concept(archive, name, k=6) for name in ("mug", "cup")]


def segmented(levels, verdicts=None):
    """A result made by hand: levels (K, H, W)."""
    levels = np.asarray(levels, np.uint8)
    names = ["mug", "cup"][: len(levels)]
    chosen = verdicts or tuple(Verdict(name, present=True, probability=1.0) for name in names)
    return ProbabilityMaps(ImageRef("x.png", "0" * 64, levels.shape[2], levels.shape[1]), chosen, levels)


def masks_of(prediction, size):
    found = {"mug": np.zeros(size, bool), "cup": np.zeros(size, bool)}
    for region in prediction.regions:
        found[region.concept] |= rle.decode(region.mask)
    return found


@pytest.mark.slow
def test_real_mugs_are_found(samples, encoder, truth):
    """Against the renderer's exact masks."""
    concept = learn_concept(samples, "mug", k=10)
    names = [
        file for file in truth.concepts if file.startswith("targets") and truth.concepts[file] == ["mug"]
    ]
    ious = []
    for prediction in Segmenter([concept], encoder=encoder).predict(SAMPLES / name for name in names[:4]):
        found = label_map(prediction, ["mug"]) == 1
        exact = truth.labels(f"targets/{prediction.image.file_name}") == 1
        ious.append((found & exact).sum() / (found | exact).sum())
    assert np.mean(ious) > 0.5


@pytest.mark.slow
def test_objects_refine_by_default_and_leave_the_papers_method_as_it_was_published(samples, encoder, truth):
    assist = learn_concept(samples, "mug", k=5)
    paper = replace(learn_concept(samples, "mug", k=5, method="paper", contexts=()), name="published")
    name = next(f for f in truth.concepts if f.startswith("targets") and truth.concepts[f] == ["mug"])

    def maps_of(*concepts, **options):
        segmenter = Segmenter(concepts, encoder=encoder, presence="off", overlap=True, **options)
        return segmenter.segment([Target(SAMPLES / name, name)])[0].maps

    both = maps_of(paper, assist)
    np.testing.assert_array_equal(both[:1], maps_of(paper, refine="crf"))
    np.testing.assert_array_equal(both[1:], maps_of(assist, refine="saliency"))
    for concept in (assist, paper):
        assert not np.array_equal(maps_of(concept, refine="crf"), maps_of(concept, refine="saliency"))


def test_the_threshold_is_on_the_bytes_that_are_shown(concepts, archive):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    at_half = Segmenter(concepts[:1], encoder=archive.encoder, instances="none").decide(segmented(levels))
    assert np.array_equal(masks_of(at_half, (16, 16))["mug"], levels[0] >= 128)
    strict = Segmenter(concepts[:1], encoder=archive.encoder, instances="none", threshold=0.9)
    assert np.array_equal(masks_of(strict.decide(segmented(levels)), (16, 16))["mug"], levels[0] >= 230)


def test_a_pixel_belongs_to_the_likeliest_concept_unless_overlap_is_asked_for(concepts, archive):
    levels = np.zeros((2, 20, 20), np.uint8)
    levels[0, :, :12], levels[1, :, 8:] = 200, 220
    alone = masks_of(Segmenter(concepts, encoder=archive.encoder).decide(segmented(levels)), (20, 20))
    assert alone["mug"][:, :8].all()
    assert not alone["mug"][:, 8:].any()
    assert alone["cup"].sum() == 20 * 12
    shared = Segmenter(concepts, encoder=archive.encoder, overlap=True).decide(segmented(levels))
    assert masks_of(shared, (20, 20))["mug"].sum() == 20 * 12


def test_instances(concepts, archive):
    levels = np.zeros((1, 40, 60), np.uint8)
    levels[0, 5:15, 5:15], levels[0, 20:35, 30:50], levels[0, 0, 59] = 250, 150, 255
    options = {"encoder": archive.encoder}
    parts = Segmenter(concepts[:1], **options).decide(segmented(levels)).regions
    assert [rle.area(part.mask) for part in parts] == [100, 300]  # the speck is left out
    assert 1 > parts[0].score > parts[1].score > 0
    whole = Segmenter(concepts[:1], instances="none", **options).decide(segmented(levels)).regions
    assert [rle.area(one.mask) for one in whole] == [400]
    y, x = np.mgrid[:40, :60]
    levels[0, 18:] = 0
    levels[0, np.minimum(np.hypot(y - 28, x - 22), np.hypot(y - 28, x - 40)) < 10] = 255  # two that touch
    assert len(Segmenter(concepts[:1], instances="split", **options).decide(segmented(levels)).regions) == 3


@pytest.mark.parametrize(
    ("presence", "level", "expected"),
    [(0.5, 0.5, 0.0058), (0.9, 0.98, 0.5930), (1.0, 1.0, 0.9989), (0.0, 0.0, 0.0)],
)
def test_scores_are_calibrated(presence, level, expected):
    """By hand from the fit: 1 / (1 + exp(-(.718 logit p + 1.011 logit q - 5.136)))."""
    assert region_score(presence, level) == pytest.approx(expected, abs=2e-4)


@pytest.mark.slow
def test_no_mask_where_the_concept_is_absent(samples, encoder, truth):
    concept = learn_concept(samples, "fire extinguisher", k=8, exemplars=truth.exemplars())
    name = next(f for f in truth.concepts if f.startswith("targets") and truth.concepts[f] == ["mug"])
    target = [Target(SAMPLES / name, name)]
    gated = Segmenter([concept], encoder=encoder).segment(target)[0]
    assert gated.verdicts[0].present is bool(gated.maps.any())
    every = Segmenter([concept], encoder=encoder, presence="off").segment(target)[0]
    assert every.maps.any()
    assert every.verdicts == gated.verdicts


def test_other_concepts_compete_for_pixels(concepts, archive, photos):
    features = archive.encoder.encode(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    alone = maps.score_maps(concepts[0], features)
    against = maps.score_maps(concepts[0], features, others=concepts[1:])
    assert (against <= alone + 1e-5).all()
    assert (against < alone - 1e-3).any()


def test_scores_follow_the_formula(concepts, archive):
    """The formula by loops, on the grid (the upsampling is torch's)."""
    concept = concepts[0]
    features = archive.encoder.encode(torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8))
    expected = torch.empty(4, 4)
    mean, deviation = concept.saliency
    for y in range(4):
        for x in range(4):
            cell = features.dense[0, :, y, x]
            cell = cell / cell.norm()
            activation = (features.language[0, :, y, x] @ concept.text - mean) / deviation
            expected[y, x] = cell @ concept.foreground - cell @ concept.background + 0.12 * activation
            cosines = concept.banks[0].cells.float() @ cell
            nearest = cosines.argsort(descending=True)[:30]
            says = concept.banks[0].labels.float()[nearest]
            vote = sum(torch.exp(cosines[nearest] / 0.05) * says) / torch.exp(cosines[nearest] / 0.05).sum()
            expected[y, x] += 0.3 * (vote - 0.5)
    size = (maps.REFINE_SIDE, maps.REFINE_SIDE)
    upsampled = torch.nn.functional.interpolate(expected[None, None], size=size, mode="bilinear")[0, 0]
    assert torch.allclose(maps.score_maps(concept, features)[0], upsampled, atol=1e-4)


def test_full_size_maps_are_bilinear_bytes():
    exact = np.zeros((1, 224, 224), np.float32)
    exact[0, :, 112:] = 1
    levels = maps.full_size(exact, 448, 100)
    assert levels.shape == (1, 100, 448)
    assert levels.dtype == np.uint8
    assert (levels[0, :, :220] == 0).all()
    assert (levels[0, :, 228:] == 255).all()


def test_unreadable_targets_are_skipped_in_bulk_and_named(concepts, archive, photos, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not an image")
    segmenter = Segmenter(concepts, encoder=archive.encoder)
    results = segmenter.segment([Target(photos[0], "a"), Target(bad, "b"), Target(photos[1], "c")])
    assert [type(result) for result in results] == [ProbabilityMaps, Skipped, ProbabilityMaps]
    assert results[1].reason.startswith("b: ")
    with pytest.raises(ImageError, match=r"bad\.jpg: .* is not a JPEG"):
        list(segmenter.predict([bad]))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"concepts": []}, InputError, "no concept"),
        ({"concepts": "twice"}, InputError, "two concepts are named 'mug'"),
        ({"threshold": 1.5}, InputError, "0 to 1"),
        ({"encoder": FakeEncoder(seed=1)}, EncoderError, "learn the concept again"),
    ],
)
def test_bad_input(concepts, archive, options, error, words):
    chosen = options.pop("concepts", concepts)
    chosen = [concepts[0], concepts[0]] if chosen == "twice" else chosen
    with pytest.raises(error, match=words):
        Segmenter(chosen, **{"encoder": archive.encoder, **options})


CHILD = """
import sys
from pathlib import Path
from fakes import FakeEncoder
from reco_assist.concepts import Concept
from reco_assist.runs import Run, journal, list_targets, run
from reco_assist.segmenter import Segmenter
run.BATCH = 2
photos, concept, out, delay = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
append = journal.Journal.append
def noisy(self, *args):
    append(self, *args)
    print("batch", flush=True)
journal.Journal.append = noisy
concepts = [Concept.load(concept)]
segmenter = Segmenter(concepts, encoder=FakeEncoder(delay=delay), presence="off", refine="none")
with Run.open(out, segmenter, list_targets(photos, out=out)) as opened:
    opened.segment(progress=False)
    opened.export()
"""


def test_images_that_differ_in_their_suffix_alone_keep_a_label_map_each(concepts, photos, tmp_path):
    """Pillow reads each map; a photograph of noise has another mask than one of another noise."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for name, photo in zip(("x.bmp", "x.png"), photos, strict=False):
        Image.open(photo).save(folder / name)
    segmenter = Segmenter(concepts[:1], encoder=FakeEncoder(), presence="off")
    with Run.open(out, segmenter, list_targets(folder, out=out)) as run:
        run.segment(progress=False)
        run.export(["png"])
        first, second = run.predictions()
    for prediction in (first, second):
        with Image.open(out / "masks" / f"{prediction.image.file_name}.png") as found:
            np.testing.assert_array_equal(np.asarray(found), label_map(prediction, ["mug"]))
    assert first.regions != second.regions


def outputs(out):
    return {
        path.relative_to(out): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "journal.jsonl"
    }


@pytest.fixture(scope="module")
def job(concepts, photos, tmp_path_factory):
    """Photographs with a broken one among them, a concept, and what an undisturbed run makes of them."""
    folder = tmp_path_factory.mktemp("job")
    concepts[0].save(folder / "mug.concept")
    root = Path(os.path.commonpath(photos))
    (root / "a" / "000 broken.jpg").write_bytes(b"\xff\xd8\xff but no more")
    child = start(CHILD, root, folder / "mug.concept", folder / "calm", 0)
    assert child.wait() == 0
    return (
        root,
        folder / "mug.concept",
        outputs(folder / "calm"),
        (folder / "calm" / "journal.jsonl").read_bytes(),
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5, 50))]
)
def test_a_killed_run_goes_on_to_the_same_bytes(job, tmp_path, seed):
    photos, concept, calm, journal = job
    random = np.random.default_rng(seed)
    child = start(CHILD, photos, concept, tmp_path / "out", 0.05)
    printed = [child.stdout.readline() for _ in range(random.integers(1, 9))]
    time.sleep(random.uniform(0, 0.06))
    child.send_signal(signal.SIGKILL)
    printed += child.stdout.readlines()
    child.communicate()
    done = printed.count("batch\n")
    assert not (tmp_path / "out" / "coco.json").exists()
    again = start(CHILD, photos, concept, tmp_path / "out", 0)
    redone = again.communicate()[0].count("batch")
    assert again.returncode == 0
    assert redone in {11 - done, 10 - done}  # one more may be on disk than was told
    assert outputs(tmp_path / "out") == calm
    assert (tmp_path / "out" / "journal.jsonl").read_bytes() == journal


@pytest.mark.slow
def test_a_torn_line_and_changed_files_are_made_again(job, tmp_path):
    photos, concept, calm, journal = job
    out = tmp_path / "out"
    out.mkdir()
    lines = journal.splitlines(keepends=True)
    (out / "journal.jsonl").write_bytes(b"".join(lines[:4]) + lines[4][:25])
    child = start(CHILD, photos, concept, out, 0)
    assert child.communicate()[0].count("batch") == 8
    assert outputs(out) == calm
    touched = sorted((photos / "b").glob("*.png"))[0]
    os.utime(touched, ns=(1, 1))
    child = start(CHILD, photos, concept, out, 0)
    assert child.communicate()[0].count("batch") == 6  # from the batch that holds it on
    assert outputs(out) == calm


@pytest.mark.slow
def test_the_coco_file_lists_every_readable_image(job):
    _, _, calm, _ = job
    coco = json.loads(calm[Path("coco.json")])
    assert len(coco["images"]) == 20
    assert coco["categories"] == [{"id": 1, "name": "mug"}]
    assert all(0 <= annotation["score"] <= 1 for annotation in coco["annotations"])


def test_a_refinement_is_known_by_its_older_name_too():
    assert [refinement(name) for name in ("objects", "saliency", "crf", None)] == [
        "saliency",
        "saliency",
        "crf",
        None,
    ]
    with pytest.raises(InputError, match="refinement 'blur': choose one of saliency, crf, guided, none"):
        refinement("blur")
