"""Tiles: they cover an image once, no seam shows, no chance adds up, and a killed run goes on."""

import json
import subprocess
import sys
import zlib
from itertools import pairwise

import numpy as np
import pytest
from conftest import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.annotations.regions import Rule
from reco_assist.concepts import learn_concept
from reco_assist.masks import rle
from reco_assist.runs.kept_tiles import FOLDER, KeptTiles
from reco_assist.segmenter import Segmenter, Skipped, Target, tiles
from reco_assist.segmenter.tiles import Axis, Grid, Look, Overview, TiledMaps, beyond, counted
from reco_assist.session import Session, job

SIDES = st.integers(1, 5000)


@settings(deadline=None)
@given(SIDES, SIDES)
def test_tiles_cover_an_image_and_every_pixel_counts_once(length, other):
    axis = Axis.of(length, other)
    starts = axis.starts
    assert starts[0] == 0
    assert starts[-1] + axis.side == length
    assert all(0 < b - a <= axis.side * 3 / 4 + 1 for a, b in pairwise(starts))
    total, most = np.zeros(length), np.zeros(length, int)
    for tile, start in enumerate(starts):
        weights = axis.weights(tile, slice(0, length))
        assert not weights[:start].any()
        assert not weights[start + axis.side :].any()
        total, most = total + weights, most + (weights > 0)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert most.max() <= 2


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 30), st.integers(0, 5))
def test_an_image_read_in_parts_gives_each_tile_and_its_mean(height, width, first, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    grid, overview = Grid.of(height, width), Overview(height, width)

    def read(stops):
        return (image[a:b] for a, b in zip([0, *stops[:-1]], stops, strict=True))

    crops = list(grid.crops(read, overview, first=first))
    places = [(y, x) for y in grid.rows.starts for x in grid.columns.starts][first:]
    assert len(crops) == len(places)
    for (y, x), crop in zip(places, crops, strict=True):
        np.testing.assert_array_equal(crop, image[y : y + grid.rows.side, x : x + grid.columns.side])
    np.testing.assert_array_equal(overview.pixels, image)  # as small as this, nothing is shrunk


def test_a_large_image_is_shrunk_by_plain_means(monkeypatch):
    monkeypatch.setattr(tiles, "_OVERVIEW", 10)
    image = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)
    overview = Overview(40, 70)
    for start in range(0, 40, 7):
        overview.show(image[start : start + 7])
    expected = np.rint(image.reshape(10, 4, 10, 7, 3).mean((1, 3)))
    np.testing.assert_array_equal(overview.pixels, expected)


def drawn(truth, *, side=64):
    """The maps of an image whose tiles each show the truth (H, W), and the grid."""
    grid = Grid.of(*truth.shape)
    levels = {}
    for number in range(len(grid)):
        i, j = divmod(number, grid.shape[1])
        y, x = grid.rows.starts[i], grid.columns.starts[j]
        part = truth[y : y + grid.rows.side, x : x + grid.columns.side]
        square = Image.fromarray(part).resize((side, side), Image.Resampling.BILINEAR)
        levels[number] = zlib.compress(np.asarray(square).tobytes())
    return TiledMaps(grid, side, {}, [levels]), grid


def test_what_spans_tiles_is_one_mask_without_a_seam():
    y, x = np.mgrid[:900, :1100]
    truth = np.where(np.hypot(y - 450, x - 550) < 380, 255, 0).astype(np.uint8)
    truth[5:45, 100:1000] = 255  # a bar along many tiles
    maps, grid = drawn(truth)
    assert len(grid) >= 9
    whole = maps[0, slice(0, 900), slice(0, 1100)]
    assert ((whole >= 128) != (truth > 0)).mean() < 0.01
    image, verdict = ImageRef("x.png", "0" * 64, 1100, 900), Verdict("disc", present=True, probability=0.9)
    found = Rule()(image, [verdict], maps)
    assert len(found.regions) == 2
    # what is looked at in bands, as rules do, is what is looked at whole
    pieces = np.concatenate([maps[0, slice(0, 900), slice(a, a + 50)] for a in range(0, 1100, 50)], 1)
    assert np.abs(pieces.astype(int) - whole).max() <= 1
    np.testing.assert_array_equal(maps[:, :, :][0], whole)


def test_only_what_no_tile_can_show_comes_from_the_whole_image():
    grid = Grid.of(4000, 4000)  # a tile is 896 pixels, and a cell of the map 40
    levels = np.zeros((100, 100), np.uint8)
    levels[5:20, 5:20] = 200  # 600 pixels
    levels[50:80, 50:60] = 200  # 1,200 pixels high
    levels[90, 90] = 60
    kept = beyond(levels, grid)
    assert not kept[5:20, 5:20].any()
    assert (kept[50:80, 50:60] == 200).all()
    levels[50:] = 0
    assert not beyond(levels, grid).any()


@pytest.mark.parametrize("count", [1, 20, 500])
def test_many_tiles_are_no_more_often_wrong_than_one_image(count):
    random = np.random.default_rng(count)
    threshold = 1.0  # the lowest that a concept has
    false = 0
    for _ in range(400):
        scores = random.standard_normal((count, 1)).astype(np.float32) - threshold
        false += counted(scores, threshold, known=False).any()
    assert false / 400 < 0.16  # .1, and what chance adds to 400 images
    naive = 1 - 0.8413**count
    assert count == 1 or naive > 0.9


def test_tiles_that_stand_out_count_and_their_neighbours_with_them():
    scores = np.full((12, 12), -5, np.float32) + np.random.default_rng(0).normal(0, 0.3, (12, 12))
    scores[3, 3], scores[3, 4], scores[4, 5] = 3, 0.5, 0.2  # an unbroken chain
    scores[9, 9] = 0.4  # stands out from these tiles too
    found = counted(scores.astype(np.float32), 6.0, known=False)
    assert np.argwhere(found).tolist() == [[3, 3], [3, 4], [4, 5], [9, 9]]
    # the same four where tiles of no concept come as far
    scores += np.random.default_rng(1).normal(0, 2.5, (12, 12)) * (scores < 0)
    scores = np.minimum(scores, np.where(found, 9, -0.1)).astype(np.float32)
    assert np.argwhere(counted(scores, 6.0, known=False)).tolist() == [[3, 3], [3, 4], [4, 5]]
    assert counted(scores, 6.0, known=True).sum() == 4  # the image as a whole shows it


def test_tiles_count_where_half_of_them_have_the_concept():
    scores = np.random.default_rng(0).normal(-7, 0.4, (6, 6))
    scores.flat[::2] = 1.5
    assert counted(scores.astype(np.float32), 6.8, known=False).sum() == 18


def test_a_look_is_kept_as_it_was_and_other_things_are_refused():
    look = Look.of([0.25, -3], {0: np.arange(16, dtype=np.uint8).reshape(4, 4)})
    record = json.loads(json.dumps(look.record()))
    assert Look.from_record(record, 2, 4) == look
    bomb = Look((0.25, -3), {0: zlib.compress(bytes(1 << 20))}).record()
    for bad in (None, [], {}, {"scores": [1, 2]}, record | {"levels": {"7": ""}}, bomb):
        with pytest.raises(ValueError):  # noqa: PT011  (its reader says it)
            Look.from_record(bad, 2, 4)
    for other in ((3, 4), (2, 5)):
        with pytest.raises(ValueError):  # noqa: PT011
            Look.from_record(record, *other)


@pytest.fixture(scope="module")
def extinguisher(samples, truth):
    return learn_concept(samples, "fire extinguisher", exemplars=truth.exemplars())


def planted(truth, places, size, shape=(1500, 1800)):
    """Noise (H, W, 3) with extinguishers cut out of the samples, and their masks."""
    random = np.random.default_rng(0)
    small = random.integers(60, 200, (shape[0] // 20, shape[1] // 20, 3), np.uint8)
    image = np.array(Image.fromarray(small).resize(shape[::-1], Image.Resampling.BICUBIC))
    masks = []
    for (y, x), name in zip(places, truth.data["exemplars"]["fire extinguisher"], strict=False):
        mask = truth.labels(name) == 2
        rows, columns = np.nonzero(mask)
        box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        scale = size / max(mask[box].shape)
        wide = tuple(round(n * scale) for n in mask[box].shape[::-1])
        picture = np.asarray(Image.open(SAMPLES / name).convert("RGB"))[box]
        picture, cut = (np.asarray(Image.fromarray(one).resize(wide)) for one in (picture, mask[box]))
        drawn = np.zeros(shape, bool)
        drawn[y : y + wide[1], x : x + wide[0]] = cut
        image[y : y + wide[1], x : x + wide[0]][cut] = picture[cut]
        masks.append(drawn)
    return image, masks


def best(prediction, mask):
    return max((rle.iou(one.mask, rle.encode(mask)) for one in prediction.regions), default=0)


def test_small_objects_of_a_large_image_are_found_in_tiles(extinguisher, encoder, truth, tmp_path):
    image, masks = planted(truth, [(100, 200), (900, 1300)], 400)
    Image.fromarray(image).save(tmp_path / "x.png")
    Image.fromarray(planted(truth, [], 400)[0]).save(tmp_path / "empty.png")
    target, empty = Target(tmp_path / "x.png", "x.png"), Target(tmp_path / "empty.png", "empty.png")
    segmenter = Segmenter([extinguisher], encoder=encoder, tiles=True)
    found, nothing = segmenter.predict([target, empty])
    assert [best(found, mask) > 0.6 for mask in masks] == [True, True]
    true = np.any(masks, 0)
    assert all((true & rle.decode(one.mask)).any() for one in found.regions)
    assert found.verdicts[0].present
    assert found.image.width == 1800
    assert not nothing.regions
    assert not nothing.verdicts[0].present
    # what the maps show is what was decided
    (maps,) = segmenter.segment([target])
    assert Rule()(maps.image, maps.verdicts, maps.maps, seen=maps.levels.seen).regions == found.regions


def test_an_image_that_cannot_be_read_is_skipped(extinguisher, encoder, tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:90])
    (found,) = Segmenter([extinguisher], encoder=encoder, tiles=True).segment([Target(path, "x.png")])
    assert isinstance(found, Skipped)
    assert found.reason.startswith("x.png: ")


CHILD = """
import os, signal, sys
from pathlib import Path
from reco_assist.concepts import Concept
from reco_assist.encoders import load_encoder
from reco_assist.runs import Run, list_targets
from reco_assist.segmenter import Segmenter, tiles
tiles.TILE = 224  # many of them in a small image
photos, concept, out, stop = map(Path, sys.argv[1:])
left = int(str(stop))
encoder = load_encoder("offline", device="cpu")
encode, count = encoder.encode, 0
def counting(pixels):
    global count
    if count == left:
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    return encode(pixels)
encoder.encode = counting
segmenter = Segmenter([Concept.load(concept)], encoder=encoder, tiles=True, refine="crf")
with Run.open(out, segmenter, list_targets(photos), options={"tiles": True}) as run:
    run.segment(progress=False)
    run.export(["coco"])
print(count)
"""


def run_child(photos, concept, out, stop):
    command = [sys.executable, "-c", CHILD, photos, concept, out, str(stop)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_a_run_killed_within_an_image_goes_on_at_its_tile_to_the_same_bytes(extinguisher, truth, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    image, _ = planted(truth, [(60, 80), (500, 600)], 150, shape=(840, 840))
    Image.fromarray(image).save(photos / "x.png")
    concept = extinguisher.save(tmp_path / "x.concept") or tmp_path / "x.concept"
    calm = run_child(photos, concept, tmp_path / "calm", -1)
    batches = int(calm.stdout)
    assert batches >= 3
    out = tmp_path / "out"
    assert run_child(photos, concept, out, 2).returncode == -9
    (log,) = (out / FOLDER).iterdir()
    assert len(log.read_bytes().splitlines()) == 3  # its head and two batches
    with log.open("ab") as file:
        file.write(b'[{"scores"')  # torn by the kill
    again = run_child(photos, concept, out, -1)
    assert int(again.stdout) == batches - 2, again.stderr
    assert not (out / FOLDER).exists()
    for name in ("coco.json", "journal.jsonl"):
        assert (out / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()


def test_what_is_kept_is_of_these_bytes_and_settings(tmp_path):
    image = ImageRef("x.png", "1" * 64, 10, 10)
    looks = [Look.of([i], {0: np.full((4, 4), i, np.uint8)}) for i in range(3)]

    def opened(settings, digest="1"):
        keeper = KeptTiles(tmp_path / FOLDER, settings, progress=False)
        return keeper, keeper.kept(ImageRef("x.png", digest * 64, 10, 10), 9, 1, 4)

    keeper, before = opened({"a": 1})
    assert before == []
    keeper.keep(image, looks[:2])
    keeper.keep(image, looks[2:])
    assert opened({"a": 1})[1] == looks
    assert opened({"a": 1}, "2")[1] == []
    assert opened({"a": 2})[1] == []
    log = tmp_path / FOLDER / ("1" * 64 + ".jsonl")
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:2], b'[{"scores":[0],"levels":{"0":"!"}}]\n']))
    keeper, kept = opened({"a": 1})
    assert kept == looks[:2]
    keeper.keep(image, looks[2:])
    assert log.read_bytes() == b"".join(lines)
    keeper.forget()
    assert not (tmp_path / FOLDER).exists()


def test_a_session_says_which_images_are_too_large_to_be_shown_before_they_are_segmented(
    tmp_path, monkeypatch
):
    class Asked:
        def __init__(self):
            self.digests, self.targets = {"mug": "m"}, []

        def segment(self, targets):
            self.targets += targets
            return [Skipped(target, "seen") for target in targets]

    monkeypatch.setattr(job, "MAX_PIXELS", 9)
    session = Session.open(tmp_path / "job.session")
    targets = [Target(tmp_path / f"{side}.png", f"{side}.png") for side in (3, 4)]
    for target, side in zip(targets, (3, 4), strict=True):
        Image.new("RGB", (side, side)).save(target.path)
    targets.append(Target(tmp_path / "none.png", "none.png"))
    asked = Asked()
    *_, last = job.segment(session, asked, targets)
    assert asked.targets == [targets[0], targets[2]]
    assert last.fresh == ()
    assert dict(last.skipped) == {
        "3.png": "seen",
        "4.png": "4.png has more than the 9 pixels that can be shown: use 'segment'",
        "none.png": "seen",
    }
