"""From maps to regions: one decision, whoever asks for it."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.annotations.regions import AUTOMATIC, Rule, claimed, despeckled, owners, regions
from reco_assist.images import content_hash
from reco_assist.masks import rle
from reco_assist.runs import Run, list_targets
from reco_assist.segmenter import ProbabilityMaps
from reco_assist.session import Choice, ConceptSpec, Session, export
from reco_assist.session.results import add_result

NAMES = {"mug": "digest-m", "spoon": "digest-s", "cup": "digest-c"}
SHAPE = (50, 70)


def smooth(random):
    """Maps (K, H, W) with blobs, specks and pixels on which concepts agree to the byte."""
    maps = np.stack([ndimage.gaussian_filter(random.random(SHAPE), 4) for _ in NAMES])
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    levels = np.rint((maps - low) / (high - low) * 255).astype(np.uint8)
    levels[:, 2, 3] = 255  # a speck of all, and so of the first
    levels[1, 30, 60:62] = 255
    levels[2] = np.where(random.random(SHAPE) < 0.2, levels[0], levels[2])
    return levels


class Fixed:
    """A predictor that says what it was told."""

    def __init__(self, told, rule):
        self.told, self.rule, self.digests = told, rule, NAMES

    def about(self):
        return [{"name": name, "digest": digest} for name, digest in NAMES.items()]

    def segment(self, targets):
        found = []
        for target in targets:
            maps, verdicts = self.told[target.file_name]
            reference = ImageRef(target.file_name, content_hash(target.path.read_bytes()), SHAPE[1], SHAPE[0])
            found.append(ProbabilityMaps(reference, verdicts, maps))
        return found

    def decide(self, segmented):
        return self.rule(segmented.image, segmented.verdicts, segmented.maps)


@pytest.fixture
def told(tmp_path):
    """Photographs, and maps and verdicts of each; some concepts are absent."""
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    said = {}
    for number in range(6):
        name = f"{number}.png"
        Image.fromarray(random.integers(0, 256, (*SHAPE, 3), np.uint8)).save(tmp_path / "photos" / name)
        maps = smooth(random)
        chances = np.round(random.random(3), 4)
        maps[chances < 0.3] = 0
        verdicts = tuple(
            Verdict(one, bool(chance >= 0.3), float(chance))
            for one, chance in zip(NAMES, chances, strict=True)
        )
        said[name] = maps, verdicts
    return said


def data_of(path):
    """A COCO file without its `info`, which says where it comes from."""
    head, found, rest = path.read_bytes().partition(b',"licenses":')
    assert found
    assert head.startswith(b'{"info":')
    return rest


@pytest.mark.parametrize("instances", ["components", "none"])
def test_a_run_and_a_session_export_the_same_bytes(told, tmp_path, instances):
    photos = tmp_path / "photos"
    predictor = Fixed(told, Rule(instances=instances))
    targets = list_targets(photos)
    with Run.open(tmp_path / "run", predictor, targets) as run:
        run.segment(progress=False)
        counts = run.export(["coco"])
    assert min(counts.values()) >= 3
    session = Session.open(tmp_path / "job.session")
    session.targets = photos
    for name in NAMES:
        session.set_plan(ConceptSpec(name))
    for target, one in zip(targets, predictor.segment(targets), strict=True):
        add_result(session, one.image, target.path, one.maps, one.verdicts, NAMES)
    export(
        session,
        tmp_path / "exported",
        Choice(undecided=True, instances=instances, formats=("coco",)),
    )
    assert data_of(tmp_path / "exported" / "coco.json") == data_of(tmp_path / "run" / "coco.json")


def test_a_pixel_has_one_owner_by_counting():
    maps = smooth(np.random.default_rng(1))
    for level in (1, AUTOMATIC, 255):
        owner = owners(maps, level=level)
        for y, x in np.ndindex(SHAPE):
            column = maps[:, y, x].tolist()
            expected = column.index(max(column)) if max(column) >= level else -1
            assert owner[y, x] == expected
    free = np.zeros(SHAPE, bool)
    free[:, :30] = True
    owned = np.stack(list(claimed(maps, free=free)))
    assert ((owned > 0).sum(0) <= 1).all()
    assert not owned[:, :, 30:].any()
    np.testing.assert_array_equal(owned.max(0)[:, :30], maps.max(0)[:, :30])


def test_specks_go_and_nothing_else():
    levels = np.zeros((100, 100), np.uint8)  # a speck has fewer than ten pixels
    levels[10:13, 10:13], levels[20:22, 20:25], levels[50, 50] = 200, 200, AUTOMATIC - 1
    clean = despeckled(levels)
    assert not clean[10:13, 10:13].any()
    levels[10:13, 10:13] = 0
    np.testing.assert_array_equal(clean, levels)
    verdict = Verdict("mug", present=True, probability=0.9)
    for instances in ("components", "split", "none"):
        found = Rule(instances=instances)(ImageRef("x.png", "0" * 64, 100, 100), [verdict], levels[None])
        assert [rle.area(one.mask) for one in found.regions] == [10]
    drawn = levels > 0  # by hand: all of it counts
    assert sum(rle.area(one.mask) for one in regions(verdict, drawn, levels)) == 11
