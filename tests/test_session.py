import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from shards import write_parquet, write_tar

from reco_assist.annotations import ImageRef, Verdict
from reco_assist.errors import InputError, StorageError
from reco_assist.images import content_hash, read_bytes
from reco_assist.masks.edits import apply_edits
from reco_assist.runs import list_targets
from reco_assist.session import Choice, ConceptSpec, ExemplarSpec, ReviewQueue, Session, export
from reco_assist.session.records import AUTOMATIC
from reco_assist.session.results import add_result, is_done

NAMES = {"mug": "digest-m", "spoon": "digest-s"}
SHAPE = (30, 40)


class Job:
    """A session with invented results for real image files."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "photos").mkdir()
        self.session = Session.open(folder / "job.session", who="anna")
        self.session.targets = folder / "photos"
        for name in NAMES:
            self.session.set_plan(ConceptSpec(name))

    def add(self, name, *, seed=0, probability=0.9, maps=None, digests=NAMES, embedding=None):
        path = self.folder / "photos" / name
        random = np.random.default_rng(seed)
        if not path.exists():
            coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
            coarse.resize(SHAPE[::-1], Image.Resampling.BICUBIC).save(path)
        image = ImageRef(name, content_hash(path.read_bytes()), SHAPE[1], SHAPE[0])
        if maps is None:
            # Smooth, so that the masks are pieces and not dust.
            low = Image.fromarray(random.integers(0, 256, (4, 5), np.uint8)).resize(SHAPE[::-1])
            maps = np.stack([np.asarray(low), 255 - np.asarray(low)])
        verdicts = [Verdict(concept, probability > 0.5, probability) for concept in digests]
        add_result(self.session, image, path, maps[: len(digests)], verdicts, digests, embedding=embedding)
        return image.content_hash


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path)


def decoded(document, concept):
    """{file name: mask} of a COCO document, by pycocotools."""
    category = next(one["id"] for one in document["categories"] if one["name"] == concept)
    masks = {}
    for image in document["images"]:
        mask = np.zeros((image["height"], image["width"]), bool)
        for one in document["annotations"]:
            if one["image_id"] == image["id"] and one["category_id"] == category:
                part = coco.decode(one["segmentation"]).astype(bool)
                assert not (mask & part).any()
                mask |= part
        masks[image["file_name"]] = mask
    return masks


def test_a_plan_survives_and_can_be_undone(tmp_path):
    session = Session.open(tmp_path / "a.session")
    example = ExemplarSpec("/photos/a.jpg", "0" * 64, (1, 2, 3, 4))
    plan = ConceptSpec("mug", 7, (example,), ("table",), begun=True)
    session.set_plan(plan)
    pruned = ConceptSpec("mug", 7, (example,), ("table",), ("n",), ("a", "b"), (("c", 1),), begun=True)
    session.set_plan(pruned, what="drop", undoable=True)
    session.close()
    session = Session.open(tmp_path / "a.session")
    assert session.plan("mug") == pruned
    assert session.undo(session.scope("mug")).what == "drop"
    assert session.plan("mug") == plan
    assert session.redo(session.scope("mug")).what == "drop"
    session.set_plan(plan.question())
    assert session.undo(session.scope("mug")) is None
    assert session.concepts == ("mug",)


def test_an_equal_plan_leaves_what_undo_reaches(tmp_path):
    session = Session.open(tmp_path / "x.session")
    session.set_plan(ConceptSpec("mug"))
    session.set_plan(ConceptSpec("mug", dropped=("a",)), undoable=True)
    count = session.store.count
    session.set_plan(session.plan("mug"))
    assert session.store.count == count
    session.undo(session.scope("mug"))
    assert session.plan("mug").dropped == ()


def test_undo_brings_nothing_back_of_a_concept_that_was_removed(tmp_path):
    session = Session.open(tmp_path / "a.session")
    scope = session.scope("mug")
    session.set_plan(ConceptSpec("mug", 20))
    session.set_plan(ConceptSpec("mug", 20, dropped=("a",)), what="drop", undoable=True)
    session.remove_concept("mug")
    assert session.undo(scope) is None
    session.set_plan(ConceptSpec("mug", 5))
    assert session.undo(scope) is None
    assert session.plan("mug") == ConceptSpec("mug", 5)


def test_a_plan_is_changed_from_what_it_is_whichever_thread_asks(tmp_path):
    session = Session.open(tmp_path / "a.session")
    session.set_plan(ConceptSpec("mug"))

    def drop(digest):
        session.change_plan(
            "mug", lambda plan: replace(plan, dropped=(*plan.dropped, digest)), what="drop", undoable=True
        )

    names = [f"{number:02}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(drop, names))
    assert sorted(session.plan("mug").dropped) == names
    for _ in names:
        session.undo(session.scope("mug"))
    assert session.plan("mug") == ConceptSpec("mug")


@pytest.mark.parametrize("shown", ["accepted", "pending", "skipped"])
@pytest.mark.parametrize("move", ["undo", "redo"])
def test_no_undo_and_no_redo_decides_about_a_mask_that_nobody_saw(job, shown, move):
    """A mask that was made anew is another one: what was said of the old one is about nothing any more."""
    digest, other = job.add("a.png", seed=1), job.add("b.png", seed=2)
    job.session.decide(other, {"mug": "accepted"})
    job.session.decide(digest, {"mug": "rejected"})
    job.session.decide_many({digest: {"mug": "accepted", "spoon": "accepted"}, other: {"spoon": "rejected"}})
    if shown != "accepted":
        job.session.decide(digest, {"mug": shown})
    if move == "redo":
        while job.session.undo():
            pass
    maps = np.full((2, *SHAPE), 255, np.uint8)
    again, path = job.session.result(digest), job.folder / "photos" / "a.png"
    verdicts = [Verdict(name, present=True, probability=0.9) for name in NAMES]
    add_result(job.session, again.image, path, maps, verdicts, {**NAMES, "mug": "digest-n"}, decided=True)
    before = job.session.review(digest, "mug")
    assert not before.decided
    session = Session.open(job.folder / "job.session")  # as the log has it
    step = session.undo if move == "undo" else session.redo
    while (moved := step()) is not None:
        assert f"review/{digest}/mug" not in moved.keys
        assert session.review(digest, "mug") == before
    # The other decisions go back and forth as ever.
    states = [session.review(other, name).state for name in NAMES]
    assert states == (["pending", "pending"] if move == "undo" else ["accepted", "rejected"])


@pytest.mark.parametrize("move", ["undo", "redo"])
def test_undo_passes_over_decisions_about_a_concept_that_was_removed(job, move):
    digest = job.add("a.png")
    for name in ("mug", "spoon", "mug"):
        job.session.decide(digest, {name: "accepted" if move == "undo" else "rejected"})
    if move == "redo":
        while job.session.undo():
            pass
    before = job.session.review(digest, "mug")
    job.session.remove_concept("mug")
    step = job.session.undo if move == "undo" else job.session.redo
    assert step().keys == (f"review/{digest}/spoon",)
    assert job.session.review(digest, "spoon").state == ("pending" if move == "undo" else "rejected")
    assert step() is None
    assert job.session.review(digest, "mug") == before  # it stays, should the concept come back


def test_strokes_and_thresholds_of_several_threads_are_all_kept(job):
    digest = job.add("a.png")
    cell = np.ones((1, 1), np.uint8)

    def adjust(number):
        job.session.masks.edit(digest, "mug", number, 0, cell)
        job.session.masks.set_thresholds(digest, {"mug": 100})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(adjust, range(40)))
    assert (job.session.masks.strokes(digest, "mug")[0] == 1).all()
    assert job.session.masks.adjustment(digest, "mug").threshold == 100


def test_a_decision_that_is_none_is_refused_and_nothing_is_decided(job):
    first, second = job.add("a.png", seed=1), job.add("b.png", seed=2)
    with pytest.raises(InputError, match="The decision is 'accept'; give one of pending, accepted, "):
        job.session.decide_many({first: {"mug": "accepted"}, second: {"mug": "accept"}})
    assert job.session.review(first, "mug").state == "pending"


@pytest.mark.parametrize("name", ["", " ", " mug", "a\nb"])
def test_names_that_are_none_are_refused(tmp_path, name):
    session = Session.open(tmp_path / "a.session")
    with pytest.raises(InputError, match="no name"):
        session.set_plan(ConceptSpec(name))
    assert session.empty


def test_opening_again_takes_over(tmp_path):
    first = Session.open(tmp_path / "a.session")
    second = Session.open(tmp_path / "a.session")
    second.set_plan(ConceptSpec("mug"))
    with pytest.raises(StorageError, match="opened again"):
        first.set_plan(ConceptSpec("spoon"))


def test_a_session_set_aside_is_kept(job):
    job.add("a.png")
    old = job.session.set_aside()
    assert Session.open(job.folder / "job.session").empty
    assert [result.image.file_name for result in Session.open(old).results()] == ["a.png"]


def test_concepts_share_no_pixel_and_specks_are_gone(job):
    maps = np.zeros((2, 100, 100), np.uint8)
    maps[0, 10:50, 10:50] = 200
    maps[1, 40:80, 40:80] = 220
    maps[0, 90:92, 90:92] = 255  # 4 of 10,000 pixels
    path = job.folder / "photos" / "big.png"
    Image.new("RGB", (100, 100), (9, 99, 200)).save(path)
    image = ImageRef("big.png", content_hash(path.read_bytes()), 100, 100)
    verdicts = [Verdict(name, present=True, probability=0.9) for name in NAMES]
    add_result(job.session, image, path, maps, verdicts, NAMES)
    mug, spoon = (job.session.masks.scores(image.content_hash, name) for name in NAMES)
    assert not ((mug > 0) & (spoon > 0)).any()
    assert mug[45, 45] == 0
    assert spoon[45, 45] == 220
    assert mug[90, 90] == 0
    assert mug[20, 20] == 200


def test_decided_maps_stay_when_a_concept_is_learnt_anew(job):
    digest = job.add("a.png", seed=1)
    before = job.session.mask(digest, "mug")
    job.session.decide(digest, {"mug": "accepted"})
    maps = np.stack([np.full(SHAPE, 200, np.uint8), np.full(SHAPE, 255, np.uint8)])
    job.add("a.png", maps=maps, digests={"mug": "new", "spoon": "new"})
    assert np.array_equal(job.session.mask(digest, "mug"), before)
    # The other takes what is free, and nothing of what was accepted.
    assert np.array_equal(job.session.mask(digest, "spoon"), ~before)
    assert job.session.result(digest).findings["mug"].digest == "digest-m"
    assert job.session.result(digest).findings["spoon"].digest == "new"


@pytest.mark.parametrize("state", ["rejected", "absent"])
def test_what_was_rejected_claims_no_pixel(job, state):
    digest = job.add("a.png", seed=1)
    job.session.decide(digest, {"mug": state})
    maps = np.stack([np.full(SHAPE, 255, np.uint8), np.full(SHAPE, 200, np.uint8)])
    job.add("a.png", maps=maps, digests={"mug": "digest-m", "spoon": "new"})
    assert job.session.mask(digest, "spoon").all()
    assert not job.session.mask(digest, "mug").any()


def test_an_accepted_concept_claims_its_mask_and_no_more(job):
    digest = job.add("a.png", seed=1)
    job.session.decide(digest, {"mug": "accepted"})
    maps = np.stack([np.full(SHAPE, 255, np.uint8), np.full(SHAPE, 200, np.uint8)])
    job.add("a.png", maps=maps, digests={"mug": "new", "spoon": "new"})
    assert np.array_equal(job.session.mask(digest, "spoon"), ~job.session.mask(digest, "mug"))


def test_a_removed_concept_claims_no_pixel(job):
    digest = job.add("a.png", seed=1)
    job.session.decide(digest, {"mug": "accepted"})
    job.session.remove_concept("mug")
    job.add("a.png", maps=np.full((1, *SHAPE), 200, np.uint8), digests={"spoon": "new"})
    assert job.session.mask(digest, "spoon").all()


def test_a_target_is_done_until_its_file_or_a_concept_changes(job):
    digest = job.add("a.png")
    path = job.folder / "photos" / "a.png"
    assert is_done(job.session, "a.png", path, NAMES)
    assert not is_done(job.session, "b.png", path, NAMES)
    assert not is_done(job.session, "a.png", path, {**NAMES, "mug": "new"})
    assert not is_done(job.session, "a.png", path, {**NAMES, "fork": "digest-f"})
    job.session.decide(digest, {"mug": "accepted"})
    assert not is_done(job.session, "a.png", path, {**NAMES, "mug": "new"})  # the spoon has another rival
    job.session.decide(digest, {"spoon": "rejected"})
    assert is_done(job.session, "a.png", path, {**NAMES, "mug": "new"})
    path.write_bytes(path.read_bytes() + b"0")
    assert not is_done(job.session, "a.png", path, NAMES)


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_a_target_of_a_shard_is_done_until_the_shard_is_replaced(job, kind):
    job.add("a.png")
    photo = job.folder / "photos" / "a.png"
    shard = job.folder / f"x.{kind}"

    def write():
        write_tar(shard, {"a.png": photo.read_bytes()}) if kind == "tar" else write_parquet(shard, [photo])
        (target,) = list_targets(shard)
        return target

    target = write()
    image = ImageRef(target.file_name, content_hash(read_bytes(target.path)), SHAPE[1], SHAPE[0])
    maps = np.full((2, *SHAPE), 200, np.uint8)
    verdicts = [Verdict(name, present=True, probability=0.9) for name in NAMES]
    add_result(job.session, image, target.path, maps, verdicts, NAMES)
    assert is_done(job.session, target.file_name, target.path, NAMES)
    Image.new("RGB", SHAPE[::-1]).save(photo)
    target = write()
    os.utime(shard, ns=(1, 1))  # whatever the clock's steps are
    assert not is_done(job.session, target.file_name, target.path, NAMES)
    shard.unlink()
    assert not is_done(job.session, target.file_name, target.path, NAMES)


def test_other_rivals_make_other_masks(job):
    job.add("a.png")
    path = job.folder / "photos" / "a.png"
    assert not is_done(job.session, "a.png", path, {"mug": "digest-m"})


def test_decided_masks_are_made_anew_when_that_is_asked_for(job):
    names = ["same.png", "other.png", "absent.png"]
    digests = [job.add(name, seed=seed) for seed, name in enumerate(names)]
    accepted, changed, absent = digests
    job.session.masks.edit(accepted, "mug", 0, 0, np.ones(SHAPE, np.uint8))  # whatever the map
    for digest in (accepted, changed):
        job.session.decide(digest, {"mug": "accepted", "spoon": "rejected"})
    job.session.decide(absent, {"mug": "absent", "spoon": "absent"})
    new = {"mug": "new", "spoon": "digest-s"}
    maps = np.stack([np.full(SHAPE, 200, np.uint8), np.zeros(SHAPE, np.uint8)])
    for name in names:
        path = job.folder / "photos" / name
        assert is_done(job.session, name, path, new)
        assert is_done(job.session, name, path, new, decided=True) == (name == "absent.png")
        image = ImageRef(name, content_hash(path.read_bytes()), SHAPE[1], SHAPE[0])
        verdicts = [Verdict(concept, present=True, probability=0.9) for concept in new]
        add_result(job.session, image, path, maps, verdicts, new, decided=True)
    assert job.session.review(accepted, "mug").state == "accepted"
    assert job.session.review(changed, "mug").state == "pending"
    assert job.session.masks.drawn(changed, "mug").all()
    assert job.session.review(absent, "mug").state == "absent"
    assert job.session.result(absent).findings["mug"].digest == "digest-m"


def test_the_mask_is_threshold_and_strokes(job):
    digest = job.add("a.png", seed=3)
    scores = job.session.masks.scores(digest, "mug")
    job.session.masks.set_thresholds(digest, {"mug": 77})
    cells = np.array([[1, 1, 0], [2, 2, 2]], np.uint8)
    job.session.masks.edit(digest, "mug", 5, 7, cells)
    strokes = np.zeros(SHAPE, np.uint8)
    strokes[7:9, 5:8] = cells
    assert np.array_equal(job.session.masks.strokes(digest, "mug"), strokes)
    assert np.array_equal(job.session.mask(digest, "mug"), apply_edits(scores, 77, strokes))
    job.session.masks.edit(digest, "mug", 5, 7, np.zeros((2, 3), np.uint8))
    job.session.masks.set_thresholds(digest, {"mug": AUTOMATIC})
    assert job.session.store.items("mask/") == []
    with pytest.raises(InputError, match="does not lie"):
        job.session.masks.edit(digest, "mug", 39, 0, cells)
    with pytest.raises(InputError, match="threshold of 0"):
        job.session.masks.set_thresholds(digest, {"mug": 0})


def test_undo_takes_a_decision_back_and_leaves_the_strokes(job):
    digest = job.add("a.png")
    job.session.masks.edit(digest, "mug", 0, 0, np.ones((1, 1), np.uint8))
    job.session.decide(digest, {"mug": "accepted", "spoon": "absent"})
    job.session.masks.edit(digest, "mug", 1, 0, np.ones((1, 1), np.uint8))
    assert job.session.undo().what == "absent, accepted"
    assert job.session.review(digest, "mug").state == "pending"
    assert job.session.review(digest, "spoon").state == "pending"
    assert job.session.masks.strokes(digest, "mug").sum() == 2
    job.session.redo()
    assert job.session.review(digest, "spoon").state == "absent"


def test_one_change_of_many_images_is_one_entry_of_the_history(job):
    digests = [job.add(f"{number}.png", seed=number) for number in range(3)]
    job.session.decide(digests[0], {"mug": "rejected", "spoon": "absent"})
    job.session.decide_many({digest: {"mug": "accepted", "spoon": "absent"} for digest in digests})
    states = {job.session.review(digest, "mug").state for digest in digests}
    assert states == {"accepted"}
    job.session.undo()
    states = [job.session.review(digest, "mug").state for digest in digests]
    assert states == ["rejected", "pending", "pending"]
    before = job.session.store.count
    with pytest.raises(InputError, match="not among the segmented"):
        job.session.decide_many({digests[1]: {"mug": "accepted"}, "0" * 64: {"mug": "accepted"}})
    assert job.session.store.count == before


def test_everything_is_there_after_a_kill(job):
    digest = job.add("a.png", seed=5)
    job.session.masks.set_thresholds(digest, {"mug": 90})
    job.session.masks.edit(digest, "mug", 0, 0, np.ones((3, 4), np.uint8))
    job.session.decide(digest, {"mug": "accepted"})
    mask = job.session.mask(digest, "mug")
    # A killed process writes no snapshot and frees its lock.
    job.session.store._lock.close()
    job.session.store._closed = True
    assert not (job.session.folder / "snapshot.json").exists()
    again = Session.open(job.session.folder)
    assert again is not job.session
    assert np.array_equal(again.mask(digest, "mug"), mask)
    assert again.review(digest, "mug").state == "accepted"
    assert again.targets == job.folder / "photos"


# ------------------------------------------------------------------------------------------ queue


def test_the_least_certain_come_first_and_the_skipped_last(job):
    empty = np.zeros((2, *SHAPE), np.uint8)
    sure = job.add("sure.png", seed=1, probability=0.99, maps=empty)
    unsure = job.add("unsure.png", seed=2, probability=0.6, maps=empty)
    between = job.add("between.png", seed=3, probability=0.8, maps=empty)
    skipped = job.add("skipped.png", seed=4, probability=0.5, maps=empty)
    both = dict.fromkeys(NAMES, "skipped")
    job.session.decide(skipped, both)
    assert [item.content_hash for item in ReviewQueue(job.session).items] == [
        unsure,
        between,
        sure,
        skipped,
    ]
    job.session.decide(between, dict.fromkeys(NAMES, "rejected"))
    job.session.decide(sure, dict.fromkeys(NAMES, "accepted"))
    order = [(item.content_hash, item.state) for item in ReviewQueue(job.session).items]
    assert order == [
        (between, "rejected"),
        (sure, "accepted"),
        (unsure, "pending"),
        (skipped, "skipped"),
    ]
    job.session.decide(unsure, {"mug": "accepted"})
    assert ReviewQueue(job.session).items[2].state == "pending"  # the spoon is still open


def test_images_that_teach_most_come_first_and_no_two_alike_in_a_row(job):
    empty = np.zeros((2, *SHAPE), np.uint8)
    red, blue = np.eye(2, 8, dtype=np.float32) * 5
    looks = {"a.png": red, "b.png": red * 1.01, "c.png": blue, "d.png": -blue}
    ids = {}
    for seed, (name, probability) in enumerate(zip(looks, (0.55, 0.57, 0.65, 0.95), strict=True)):
        ids[name] = job.add(name, seed=seed, probability=probability, maps=empty, embedding=looks[name])
    names = {digest: name for name, digest in ids.items()}

    def order():
        return "".join(names[item.content_hash][0] for item in ReviewQueue(job.session).items)

    assert order() == "abcd"
    job.session.order = "gain"
    assert order() == "acbd"  # b looks like a
    # Another predictor that finds what nobody found in d.
    full = np.zeros((2, *SHAPE), np.uint8)
    full[0, 5:20, 5:20] = 255
    job.add("d.png", seed=3, probability=0.95, maps=full, digests={"mug": "a-student"})
    finding = job.session.result(ids["d.png"]).findings["mug"]
    assert (finding.disagreement, job.session.result(ids["d.png"]).findings["spoon"].disagreement) == (1, 0)
    assert order()[0] == "d"
    job.session.decide(ids["a.png"], dict.fromkeys(NAMES, "accepted"))
    assert order() == "adcb"  # what was reviewed still counts


def test_figures_of_a_review(job):
    empty = np.zeros((2, *SHAPE), np.uint8)
    digests = [job.add(f"{n}.png", seed=n, probability=0.5, maps=empty) for n in range(30)]
    assert ReviewQueue(job.session).progress.acceptance is None
    assert ReviewQueue(job.session).progress.positives_left == pytest.approx(15)
    for digest in digests[:5]:
        job.session.decide(digest, dict.fromkeys(NAMES, "accepted"))
    for digest in digests[5:25]:
        job.session.decide(digest, dict.fromkeys(NAMES, "rejected"))
    figures = ReviewQueue(job.session).progress
    assert (figures.acceptance, figures.recent, figures.left) == (0, 20, 5)
    assert figures.counts["accepted"] == 5
    # (5 + 1) accepted where 12.5 + 1 were expected, on the 2.5 expected among those left
    assert figures.positives_left == pytest.approx(2.5 * 6 / 13.5)
    assert figures.hint == ""


def test_the_hint_comes_when_positives_have_run_out(job):
    empty = np.zeros((2, *SHAPE), np.uint8)
    digests = [job.add(f"{n}.png", seed=n, probability=0.3, maps=empty) for n in range(24)]
    for digest in digests[:20]:
        job.session.decide(digest, dict.fromkeys(NAMES, "rejected"))
    hint = ReviewQueue(job.session).progress.hint
    assert "unlikely to pay" in hint
    assert "0 were accepted" in hint


# ----------------------------------------------------------------------------------------- export


@pytest.mark.parametrize("instances", ["components", "none"])
def test_what_is_seen_is_what_is_exported(job, tmp_path, instances):
    random = np.random.default_rng(0)
    digests = {f"{n}.png": job.add(f"{n}.png", seed=n) for n in range(4)}
    expected = {name: {} for name in NAMES}
    for name, digest in digests.items():
        for concept in NAMES:
            threshold = int(random.integers(1, 256))
            cells = random.integers(0, 3, (9, 11), np.uint8)
            job.session.masks.set_thresholds(digest, {concept: threshold})
            job.session.masks.edit(digest, concept, 3, 4, cells)
            strokes = np.zeros(SHAPE, np.uint8)
            strokes[4:13, 3:14] = cells
            scores = job.session.masks.scores(digest, concept)
            expected[concept][name] = apply_edits(scores, threshold, strokes)
        job.session.decide(digest, dict.fromkeys(NAMES, "accepted"))
    export(job.session, tmp_path / "out", Choice(instances=instances))
    document = json.loads((tmp_path / "out" / "coco.json").read_text())
    for concept in NAMES:
        for name, mask in decoded(document, concept).items():
            assert np.array_equal(mask, expected[concept][name])
    assert all(one["score"] == 1 for one in document["annotations"])
    assert (tmp_path / "out" / "masks" / "0.png").is_file()
    assert len(json.loads((tmp_path / "out" / "label-studio.json").read_text())) == 4


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (Choice(), {"accepted", "absent"}),
        (Choice(absent=False), {"accepted"}),
        (Choice(negatives=True), {"accepted", "absent", "rejected"}),
        (Choice(undecided=True), {"accepted", "absent", "rejected", "pending", "skipped"}),
    ],
    ids=["default", "no absent", "negatives", "all"],
)
def test_which_images_are_exported(job, tmp_path, choice, names):
    for number, state in enumerate(["accepted", "rejected", "absent", "skipped", "pending"]):
        digest = job.add(f"{state}.png", seed=number)
        if state != "pending":
            job.session.decide(digest, dict.fromkeys(NAMES, state))
    export(job.session, tmp_path / "out", choice)
    document = json.loads((tmp_path / "out" / "coco.json").read_text())
    verdicts = {
        image["file_name"].removesuffix(".png"): image["reco_verdicts"] for image in document["images"]
    }
    assert set(verdicts) == names
    assert verdicts["accepted"]["mug"] == {"present": True, "probability": 1}
    for name in names & {"absent"} | ({"rejected"} if choice.negatives else set()):
        assert verdicts[name]["mug"] == {"present": False, "probability": 0}
    if choice.undecided:
        assert verdicts["rejected"] == {}
        assert verdicts["pending"]["mug"] == {"present": True, "probability": 0.9}
        assert decoded(document, "mug")["pending.png"].any()
    assert not decoded(document, "mug").get("rejected.png", np.zeros(1)).any()


def test_copies_and_near_duplicates_stay_on_one_side(job, tmp_path):
    groups = {}
    for number in range(12):
        name = f"{number:02}.png"
        digests = [job.add(name, seed=number)]
        path = job.folder / "photos" / name
        (job.folder / "photos" / f"copy-{name}").write_bytes(path.read_bytes())
        digests.append(job.add(f"copy-{name}"))
        brighter = np.asarray(Image.open(path)).astype(int) + 3
        Image.fromarray(brighter.clip(0, 255).astype(np.uint8)).save(job.folder / "photos" / f"near-{name}")
        digests.append(job.add(f"near-{name}"))
        assert digests[0] == digests[1] != digests[2]
        for digest in set(digests):
            job.session.decide(digest, dict.fromkeys(NAMES, "accepted"))
        groups[number] = {name, f"copy-{name}", f"near-{name}"}
    summary = export(job.session, tmp_path / "out", Choice(validation=0.25))
    sides = {
        part: {
            image["file_name"]
            for image in json.loads((tmp_path / "out" / f"coco-{part}.json").read_text())["images"]
        }
        for part in ("train", "val")
    }
    assert summary.images == {"train": len(sides["train"]), "val": len(sides["val"])}
    assert len(sides["val"]) == 9
    for members in groups.values():
        assert members <= sides["train"] or members <= sides["val"]


def test_an_export_says_what_changed_and_clears_what_is_stale(job, tmp_path):
    a, b, c = (job.add(f"{name}.png", seed=number) for number, name in enumerate("abc"))
    for digest in (a, b):
        job.session.decide(digest, dict.fromkeys(NAMES, "accepted"))
    first = export(job.session, tmp_path / "out")
    assert (first.new, first.changed, first.removed) == (2, 0, 0)
    again = export(job.session, tmp_path / "out")
    assert (again.new, again.changed, again.removed) == (0, 0, 0)
    job.session.masks.set_thresholds(a, {"mug": 250})
    job.session.decide(b, dict.fromkeys(NAMES, "rejected"))
    job.session.decide(c, dict.fromkeys(NAMES, "accepted"))
    third = export(job.session, tmp_path / "out", Choice(validation=0.5))
    assert (third.new, third.changed, third.removed) == (1, 1, 1)
    assert not (tmp_path / "out" / "coco.json").exists()
    assert not (tmp_path / "out" / "masks" / "b.png").exists()
    assert (tmp_path / "out" / "masks" / "c.png").exists()
    assert "1 new, 1 changed, 1 removed" in str(third)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (Choice(formats=()), "formats"),
        (Choice(formats=("yolo",)), "yolo"),
        (Choice(validation=0.9), "validation"),
        (Choice(), "No image is ready"),
    ],
)
def test_exports_that_make_no_sense_are_refused(job, tmp_path, choice, reason):
    job.add("a.png")
    with pytest.raises(InputError, match=reason):
        export(job.session, tmp_path / "out", choice)
    assert not (tmp_path / "out" / "coco.json").exists()


def test_category_ids_stay_what_they_were_when_concepts_come_and_go(job, tmp_path):
    digest = job.add("a.png")
    job.session.decide(digest, dict.fromkeys(NAMES, "accepted"))

    def exported():
        export(job.session, tmp_path / "out")
        document = json.loads((tmp_path / "out" / "coco.json").read_text())
        legend = json.loads((tmp_path / "out" / "masks" / "legend.json").read_text())
        numbers = {one["name"]: one["id"] for one in document["categories"]}
        assert {one["name"]: one["id"] for one in legend if one["id"]} == numbers
        labels = np.asarray(Image.open(tmp_path / "out" / "masks" / "a.png"))
        assert set(np.unique(labels)) <= {0, *numbers.values()}
        return numbers

    assert exported() == {"mug": 1, "spoon": 2}
    job.session.remove_concept("mug")
    assert exported() == {"spoon": 2}
    job.session.set_plan(ConceptSpec("cat"))
    assert exported() == {"spoon": 2, "cat": 3}
    job.session.set_plan(ConceptSpec("mug"))
    assert exported() == {"spoon": 2, "cat": 3, "mug": 1}
