"""Further looks: windows around peaks, no seams, small objects found, and none where none are wanted."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SAMPLES
from fakes import FakeEncoder
from PIL import Image
from torch.nn.functional import interpolate

from reco_assist.annotations import looks_of
from reco_assist.archive import Archive
from reco_assist.concepts import Presence, around_threshold, learn_concept
from reco_assist.encoders import compact_cells
from reco_assist.encoders.batches import encode_files
from reco_assist.errors import FormatError, InputError
from reco_assist.formats import Dataset, read_coco
from reco_assist.formats.coco import to_coco, to_predictions
from reco_assist.images import decode
from reco_assist.masks import rle
from reco_assist.retrieval import box_exemplar, mask_exemplar
from reco_assist.runs.batches import Batch
from reco_assist.segmenter import Segmenter, Skipped, Target, whole
from reco_assist.segmenter.looks import Seen, Window, convincing, fused, holds_small, propose
from reco_assist.session import Choice, ConceptSpec, Session, export
from reco_assist.session.forms import fits
from reco_assist.session.job import segment as segment_targets
from reco_assist.student import load_predictor

SIDE = 56


def around_half(scores):
    return torch.sigmoid(10 * (scores - 0.5))


def bumps(*places, height=1.0, width=3.0):
    """Scores (S, S) with round peaks at (y, x)."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    scores = torch.zeros(SIDE, SIDE)
    for i, (row, column) in enumerate(places):
        peak = height * 0.95**i * torch.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2))
        scores = torch.maximum(scores, peak)
    return scores


def seen(window, scores):
    return Seen(window, scores, ())


def test_windows_lie_around_the_highest_peaks_and_inside_the_image():
    first, second = propose(bumps((14, 20), (40, 50)), 0.35, 2)
    for window, (row, column) in ((first, (14, 20)), (second, (40, 50))):
        rows, columns = window.slices(SIDE, SIDE)
        assert row in range(SIDE)[rows]
        assert column in range(SIDE)[columns]
        assert min(rows.start, columns.start) >= 0
        assert max(rows.stop, columns.stop) <= SIDE
        assert abs((rows.stop - rows.start) - 0.35 * SIDE) <= 1
    # the first peak is far from the border: its window is centred on it
    rows, columns = first.slices(1000, 1000)
    assert abs((rows.start + rows.stop) / 2000 - 14.5 / SIDE) < 0.01
    assert abs((columns.start + columns.stop) / 2000 - 20.5 / SIDE) < 0.01


def test_windows_are_apart_from_each_other():
    windows = propose(bumps((20, 20), (22, 22), (45, 45)), 0.35, 2)
    corners = [(window.top, window.left) for window in windows]
    assert max(abs(a - b) for a, b in zip(*corners, strict=True)) > 0.2


def test_looks_that_say_the_same_change_nothing():
    """What a window sees of a smooth map is that map, so fusing must not leave a seam."""
    first = bumps((28, 28), width=9)
    windows = [Window(0.25, 0.25, 0.5), Window(0.0, 0.5, 0.5)]
    near = []
    for window in windows:
        crop = first[window.slices(SIDE, SIDE)]
        scores = interpolate(crop[None, None], (SIDE, SIDE), mode="bilinear", align_corners=False)[0, 0]
        near.append(seen(window, scores))
    assert torch.allclose(fused(first, near), first, atol=0.02)
    assert torch.equal(fused(first, []), first)


def test_near_looks_count_half_inside_their_window_and_nothing_outside():
    first = torch.zeros(SIDE, SIDE)
    result = fused(first, [seen(Window(0.25, 0.25, 0.5), torch.ones(SIDE, SIDE))])
    assert result[28, 28] == pytest.approx(0.5)
    rows, columns = Window(0.25, 0.25, 0.5).slices(SIDE, SIDE)
    outside = result.clone()
    outside[rows, columns] = 0
    assert not outside.any()
    steps = result[28].diff().abs().max()
    assert steps < 0.2  # fades: no step of the whole half at the window's border


@pytest.mark.parametrize(
    ("first", "near", "window", "small"),
    [
        (bumps((28, 28)), bumps((28, 28)), Window(0.25, 0.25, 0.5), True),
        (bumps((28, 28), width=30), bumps((28, 28)), Window(0.25, 0.25, 0.5), False),  # seen large at first
        (
            bumps((28, 28), width=10),
            bumps((28, 28), width=40),
            Window(0.25, 0.25, 0.5),
            False,
        ),  # cut by edges
        (
            bumps((2, 2)),
            bumps((2, 2), width=12),
            Window(0.0, 0.0, 0.5),
            True,
        ),  # the image's own edge cuts nothing
    ],
)
def test_the_image_is_parted_where_something_small_is_whole_in_a_window(first, near, window, small):
    assert holds_small(first, [seen(window, near)], around_half) is small


def test_far_looks_that_find_less_or_cut_what_they_find_are_left_out():
    window = Window(0.25, 0.25, 0.35)
    best, good = (seen(window, bumps((28, 28), height=height)) for height in (1.0, 0.8))
    poor = seen(window, bumps((28, 28), height=0.6))
    cut = seen(window, bumps((0, 28), height=0.9, width=14))
    assert convincing([poor, cut, best, good], around_half) == [best, good]
    assert convincing([seen(window, bumps((0, 28), height=1.1, width=14)), best], around_half) == []
    at_the_border = seen(Window(0.0, 0.25, 0.35), bumps((0, 28), height=1.1, width=14))
    assert convincing([at_the_border], around_half) == [at_the_border]


def test_parts_of_an_image_are_held_to_the_threshold_of_the_best():
    scores = torch.stack([bumps((28, 28)), bumps((28, 28), height=0.3)])
    apart = around_threshold(scores)
    together = around_threshold(scores, parts=True)
    assert (apart[1] > 0.5).any()
    assert not (together[1] > 0.5).any()
    assert torch.equal(apart[0], together[0])
    stronger = around_threshold(scores.flip(0), parts=True)
    assert torch.equal(stronger, apart.flip(0))  # no threshold is lowered


@pytest.fixture(scope="module")
def mug(samples, truth):
    shown = [(file, truth.labels(file) == 1) for file in ("archive/scene_000.jpg", "archive/scene_002.jpg")]
    exemplars = [mask_exemplar(SAMPLES / file, mask, source=file) for file, mask in shown]
    return learn_concept(samples, "mug", k=6, exemplars=exemplars)


@pytest.fixture(scope="module")
def distant(tmp_path_factory, truth):
    """A sample whose edges go on, so that its mug fills less than 2 % of the image: (file, mask)."""
    pixels = decode(SAMPLES / "targets/scene_000.jpg").pixels
    height, width = pixels.shape[:2]
    margins = [(height, height // 2), (width, width // 2)]
    file = tmp_path_factory.mktemp("distant") / "desk.png"
    Image.fromarray(np.pad(pixels, [*margins, (0, 0)], mode="edge")).save(file)
    return file, np.pad(truth.labels("targets/scene_000.jpg") == 1, margins)


def iou_of(prediction, truth):
    mask = np.logical_or.reduce([np.zeros_like(truth), *(rle.decode(one.mask) for one in prediction.regions)])
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.slow
def test_a_small_object_is_found_by_looking_twice(mug, distant, encoder):
    file, truth = distant
    assert truth.mean() < 0.03
    once, twice = (
        iou_of(
            next(
                Segmenter([mug], encoder=encoder, presence="off", looks=looks).predict(
                    [Target(file, file.name)]
                )
            ),
            truth,
        )
        for looks in (0, 4)
    )
    assert twice > 0.55
    assert twice > once + 0.1


def concept_of_fakes(folder, *, by_box=True):
    random = np.random.default_rng(0)
    archive = Archive.create(folder / "x.reco", encoder=FakeEncoder())
    photos = []
    for number in range(6):
        photos.append(folder / "photos" / f"{number}.png")
        photos[-1].parent.mkdir(exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        coarse.resize((160, 120), Image.Resampling.BICUBIC).save(photos[-1])
    archive.add(photos, progress=False)
    shown = [box_exemplar(photos[0], 40, 30, 60, 50)] if by_box else []
    return learn_concept(archive, "mug", k=4, exemplars=shown), photos


def judging(concept, encoder, file, *, above):
    """The concept with a threshold so far below what the first look at an image says."""
    with torch.inference_mode():
        features = encode_files(encoder, [file])
    cells = compact_cells(features, encoder.mean_language, encoder.vocabulary)
    score = float(concept.presence.score(cells, concept.foreground, concept.text)[0])
    moved = replace(concept.presence, threshold=concept.presence.threshold + score - above)
    return replace(concept, presence=moved)


@pytest.mark.slow
@pytest.mark.parametrize("shown", [True, False])
def test_an_object_that_the_first_look_is_unsure_of_is_found_by_the_second(mug, distant, encoder, shown):
    file, truth = distant
    mug = replace(mug, banks=mug.banks if shown else mug.banks[1:])  # as if a word alone had taught it
    unsure = judging(mug, encoder, file, above=-0.5)
    once, twice = (
        next(Segmenter([unsure], encoder=encoder, looks=looks).predict([Target(file, file.name)]))
        for looks in (0, 4)
    )
    assert not once.verdicts[0].present
    assert twice.verdicts[0].present
    assert twice.verdicts[0].probability > once.verdicts[0].probability
    assert iou_of(twice, truth) > (0.55 if shown else 0.35)


@pytest.mark.parametrize(
    ("above", "looks", "batches"),
    [(-0.5, 4, [1, 2]), (-0.5, 0, [1]), (-0.5, 1, [1]), (-1.5, 4, [1]), (0.5, 4, [1])],
)
def test_only_what_the_first_look_is_unsure_of_is_looked_at_again(tmp_path, above, looks, batches):
    concept, photos = concept_of_fakes(tmp_path, by_box=False)
    encoder = FakeEncoder()
    concept = judging(concept, FakeEncoder(), photos[0], above=above)
    list(Segmenter([concept], encoder=encoder, refine="none", looks=looks).predict(photos[:1]))
    assert encoder.batches == batches


def test_what_no_second_look_is_clear_about_stays_absent(tmp_path, monkeypatch):
    """A deviation above the threshold is not enough: two more looks are two more chances to be wrong."""
    concept, photos = concept_of_fakes(tmp_path, by_box=False)
    scores = iter([[-0.5], [1.4, 1.0], [-0.5], [1.6, 1.0]])
    monkeypatch.setattr(Presence, "score", lambda *_: np.array(next(scores), np.float32))
    made = Segmenter([concept], encoder=FakeEncoder(), refine="none")
    (absent,), (present,) = (list(made.predict(photos[:1])) for _ in range(2))
    assert not absent.verdicts[0].present
    assert absent.verdicts[0].probability == pytest.approx(Presence.probability(-0.5), abs=1e-4)
    assert present.verdicts[0].present
    assert present.verdicts[0].probability == pytest.approx(Presence.probability(0.1), abs=1e-4)


def test_images_of_a_batch_are_looked_at_again_each_for_itself(tmp_path, monkeypatch):
    concept, photos = concept_of_fakes(tmp_path, by_box=False)
    scores = iter([[-1.5, -0.5, -3.0], [0.0, 0.0]])
    monkeypatch.setattr(Presence, "score", lambda *_: np.array(next(scores), np.float32))
    encoder = FakeEncoder()
    list(Segmenter([concept], encoder=encoder, refine="none").predict(photos[:3]))
    assert encoder.batches == [3, 2]


@pytest.mark.parametrize("looks", [0, 1, 2, 4, 7])
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("above", [-0.5, 0.5])
def test_no_image_takes_more_looks_than_asked_for(tmp_path, monkeypatch, looks, small, above):
    concept, photos = concept_of_fakes(tmp_path)
    concept = judging(concept, FakeEncoder(), photos[0], above=above)
    monkeypatch.setattr(whole, "holds_small", lambda *_: small)
    monkeypatch.setattr(whole, "_CLEAR", 100)
    encoder = FakeEncoder()
    made = Segmenter([concept], encoder=encoder, presence="off", refine="none", looks=looks)
    list(made.predict(photos[:1]))
    near, far = looks - looks // 2, looks // 2
    order = [1, far, near] if above < 0 else [1, near, far if small else 0]
    assert encoder.batches == [number for number in order if number]


def test_photographs_too_small_to_show_more_are_seen_once(tmp_path):
    concept, photos = concept_of_fakes(tmp_path)
    tiny = tmp_path / "tiny.png"
    Image.open(photos[0]).resize((40, 30)).save(tiny)
    encoder = FakeEncoder()
    list(Segmenter([concept], encoder=encoder, presence="off", refine="none").predict([tiny]))
    assert encoder.batches == [1]


def test_an_image_that_changes_between_two_looks_is_skipped_by_name(tmp_path):
    concept, photos = concept_of_fakes(tmp_path)

    class Meddling(FakeEncoder):
        def encode(self, pixels):
            Image.open(photos[0]).transpose(Image.Transpose.ROTATE_180).save(photos[0])
            return super().encode(pixels)

    made = Segmenter([concept], encoder=Meddling(), presence="off", refine="none")
    (skipped,) = made.segment([Target(photos[0], "desk.png")])
    assert isinstance(skipped, Skipped)
    assert "desk.png: it changed" in skipped.reason


def test_a_number_of_looks_below_none_is_refused(tmp_path):
    concept, _ = concept_of_fakes(tmp_path)
    with pytest.raises(InputError, match="looks is -1: give 0 or more"):
        Segmenter([concept], encoder=FakeEncoder(), looks=-1)


def test_a_student_refuses_further_looks(tmp_path):
    from fakes import write_student

    write_student(tmp_path / "mug.student", "mug")
    with pytest.raises(InputError, match="leave --looks out"):
        load_predictor([tmp_path / "mug.student"], looks=2)


@pytest.mark.parametrize(("small", "kind", "side"), [(False, "near", 0.5), (True, "far", 0.35)])
def test_masks_name_the_looks_that_decided_them(tmp_path, monkeypatch, small, kind, side):
    concept, photos = concept_of_fakes(tmp_path)
    monkeypatch.setattr(whole, "holds_small", lambda *_: small)
    monkeypatch.setattr(whole, "convincing", lambda far, _: list(far))
    made = Segmenter([concept], encoder=FakeEncoder(), presence="off", refine="none", looks=4)
    (prediction,) = made.predict(photos[:1])
    (verdict,) = prediction.verdicts
    assert [one.kind for one in verdict.looks] == [kind] * 2
    for one in verdict.looks:
        x, y, width, height = one.box
        assert (width, height) == pytest.approx((160 * side, 120 * side), abs=1)
        assert x + width <= 160
        assert y + height <= 120

    # the journal, and COCO
    assert Batch.of(json.loads(json.dumps(Batch((prediction,), ()).record()))).predictions == (prediction,)
    document = json.loads(json.dumps(to_coco([prediction], ["mug"])))
    (back,) = to_predictions(Dataset(document, "coco.json"))
    assert back.verdicts[0].looks == verdict.looks
    assert document["images"][0]["reco_verdicts"]["mug"]["looks"][0] == {
        "kind": kind,
        "box": list(verdict.looks[0].box),
    }


def test_what_the_whole_image_decided_names_no_look(tmp_path):
    concept, photos = concept_of_fakes(tmp_path)
    made = Segmenter([concept], encoder=FakeEncoder(), presence="off", refine="none", looks=0)
    (prediction,) = made.predict(photos[:1])
    assert prediction.verdicts[0].looks == ()
    assert "looks" not in to_coco([prediction], ["mug"])["images"][0]["reco_verdicts"]["mug"]


def test_a_session_keeps_and_exports_the_looks(tmp_path):
    concept, photos = concept_of_fakes(tmp_path)
    made = Segmenter([concept], encoder=FakeEncoder(), presence="off", refine="none")
    targets = [Target(photo, photo.name) for photo in photos[:2]]
    expected = [one.verdicts[0].looks for one in made.predict(targets)]
    assert all(expected)
    session = Session.open(tmp_path / "job.session")
    session.set_plan(ConceptSpec("mug"))
    for _ in segment_targets(session, made, targets):
        pass
    session = Session.open(tmp_path / "job.session")  # from its log
    for decided in (False, True):
        for digest in session.files().values() if decided else ():
            session.decide(digest, {"mug": "accepted"})
        export(session, tmp_path / "out", Choice(formats=("coco",), undecided=True))
        shown = read_coco(tmp_path / "out" / "coco.json").images.values()
        found = {one["file_name"]: looks_of(one["reco_verdicts"]["mug"]["looks"]) for one in shown}
        assert [found[target.file_name] for target in targets] == expected


@pytest.mark.parametrize(
    "bad",
    [
        1,
        [1],
        [{"kind": "near"}],
        [{"kind": "x", "box": [0, 0, 1, 1]}],
        [{"kind": "near", "box": [0, 0, 1, 0]}],
    ],
)
def test_looks_in_another_form_are_refused(bad):
    verdict = {"present": True, "probability": 0.5, "looks": bad}
    image = {"id": 1, "file_name": "a.png", "width": 4, "height": 4, "reco_verdicts": {"mug": verdict}}
    with pytest.raises(FormatError, match="reco_verdicts"):
        Dataset({"images": [image], "annotations": [], "categories": [{"id": 1, "name": "mug"}]}, "x")
    assert not fits("result/1", {"image": {}, "findings": {"mug": {"looks": bad}}})
