"""Runs: bound to the listing of their targets, and opened where an earlier release left them."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeEncoder, write_photos
from pycocotools.coco import COCO

from reco_assist.archive import Archive
from reco_assist.concepts import Concept, learn_concept
from reco_assist.errors import InputError, StorageError
from reco_assist.json_files import JsonLog
from reco_assist.runs import Run, list_targets, root_of, run
from reco_assist.segmenter import Segmenter

pytestmark = pytest.mark.usefixtures("coarse")

OLDER = Path(__file__).parent / "old" / "run-0.1"  # made by release 0.1
OPTIONS = {
    "refine": "auto",
    "threshold": "auto",
    "presence": "off",
    "instances": "components",
    "overlap": False,
}
"""Those of the older run."""


@pytest.fixture(scope="module")
def concept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("concept")
    archive = Archive.create(folder / "x.reco", encoder=FakeEncoder())
    archive.add(write_photos(folder / "photos", 8), progress=False)
    return learn_concept(archive, "mug", k=4)


def segment(concept, photos, out, **options):
    """What an encoder was given, and what came out."""
    encoder = FakeEncoder()
    segmenter = Segmenter([concept], encoder=encoder, presence="off", refine="none")
    with Run.open(out, segmenter, list_targets(photos, out=out), **options) as opened:
        opened.segment(progress=False)
        opened.export()
        return sum(encoder.batches), opened.skipped


def exported(out):
    """Names of the images by COCO's own reader, and of the label maps."""
    data = COCO(str(out / "coco.json"))
    maps = {path.relative_to(out / "masks").as_posix() for path in (out / "masks").rglob("*.png")}
    return {one["file_name"] for one in data.loadImgs(data.getImgIds())}, maps


def test_files_that_are_gone_are_not_exported_by_the_next_run(concept, tmp_path):
    """32 images, the last 16 removed: a whole batch of the journal belongs to none that is left."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photos(photos, 32)
    assert segment(concept, photos, out)[0] == 32
    everything = exported(out)
    listed = [target.file_name for target in list_targets(photos)]
    for name in listed[16:]:
        (photos / name).rename(tmp_path / Path(name).name)
    assert segment(concept, photos, out) == (0, [])
    names, maps = exported(out)
    assert names == set(listed[:16])
    assert maps == names
    tasks = json.loads((out / "label-studio.json").read_text())
    assert len(tasks) == 16
    for name in listed[16:]:  # what is back counts as before
        (tmp_path / Path(name).name).rename(photos / name)
    assert segment(concept, photos, out)[0] == 0
    assert exported(out) == everything


def test_fewer_and_other_files_in_a_batch_are_made_again_and_the_others_are_not(concept, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photos(photos, 32)
    segment(concept, photos, out)
    listed = [target.file_name for target in list_targets(photos)]
    (photos / listed[20]).unlink()
    assert segment(concept, photos, out)[0] == 15
    os.utime(photos / listed[30], ns=(1, 1))
    assert segment(concept, photos, out)[0] == 15
    assert exported(out)[0] == set(listed) - {listed[20]}


def test_what_is_gone_or_changed_when_it_is_exported_is_left_out_and_said(concept, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    paths = write_photos(photos, 5)
    segmenter = Segmenter([concept], encoder=FakeEncoder(), presence="off", refine="none")
    with Run.open(out, segmenter, list_targets(photos)) as opened:
        opened.segment(progress=False)
        paths[0].unlink()
        shutil.copy(paths[2], paths[1])
        opened.export()
        assert {path.name for path in paths[2:]} == {
            Path(one.image.file_name).name for one in opened.predictions()
        }
        said = dict(opened.skipped)
    assert said["b/000.png"] == "b/000.png is gone since it was segmented: run the same command again"
    assert said["a/001.png"].startswith("a/001.png was changed since")
    assert len(exported(out)[0]) == 3


@pytest.fixture
def older(tmp_path, monkeypatch):
    """Photographs and results of `segment`, with the times that they had."""
    shutil.copytree(OLDER, tmp_path / "older")
    for path in (tmp_path / "older" / "photos").iterdir():
        os.utime(path, ns=(1_700_000_000_000_000_000,) * 2)
    head = json.loads((OLDER / "out" / "journal.jsonl").read_bytes().splitlines()[0])
    monkeypatch.setattr(run, "__version__", head["settings"]["version"])
    (concept,) = (OLDER / "out" / "concepts").iterdir()
    return Concept.load(concept), tmp_path / "older" / "photos", tmp_path / "older" / "out"


def test_an_older_run_is_finished(older):
    concept, photos, out = older
    assert segment(concept, photos, out, options=OPTIONS) == (0, [])
    written = sorted(
        path.relative_to(OLDER / "out") for path in (OLDER / "out").rglob("*.*") if path.is_file()
    )
    assert {"coco.json", "label-studio.json", "journal.jsonl", "masks/legend.json"} <= set(map(str, written))
    assert any(path.suffix == ".png" for path in written)
    for path in written:
        assert (out / path).read_bytes() == (OLDER / "out" / path).read_bytes()


def test_an_older_run_that_was_killed_goes_on(older):
    concept, photos, out = older
    lines = (out / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (out / "journal.jsonl").write_bytes(b"".join(lines[:2]) + lines[2][:60])
    for name in ("coco.json", "label-studio.json"):
        (out / name).unlink()
    assert segment(concept, photos, out, options=OPTIONS) == (2, [])
    assert (out / "journal.jsonl").read_bytes().startswith(b"".join(lines[:2]))
    names, _ = exported(out)
    assert names == {path.name for path in photos.iterdir()}
    before, after = (json.loads((place / "coco.json").read_text()) for place in (OLDER / "out", out))
    assert before["images"] == after["images"]


def test_a_damaged_journal_is_said_and_a_folder_has_one_run_at_a_time(concept, older):
    _, photos, out = older
    segmenter = Segmenter([older[0]], encoder=FakeEncoder(), presence="off")
    with Run.open(out, segmenter, list_targets(photos), options=OPTIONS) as opened:
        with pytest.raises(StorageError, match="Another process"), Run.open(out, segmenter, []):
            pass
        with pytest.raises(InputError, match="choose one or more of coco, label-studio, png"):
            opened.export(["pdf"])
    journal = (out / "journal.jsonl").read_text()
    (out / "journal.jsonl").write_text(journal.replace('"counts"', '"colour"'))
    with (
        Run.open(out, segmenter, list_targets(photos), options=OPTIONS) as opened,
        pytest.raises(InputError, match=r"Batch 1 of .* is damaged"),
    ):
        opened.export()


def test_an_export_that_cannot_be_read_is_said_before_anything_is_segmented(concept, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photos(photos, 3)
    segment(concept, photos, out)
    data = json.loads((out / "coco.json").read_text())
    for one in (*data["annotations"], *data["categories"]):  # as others number them
        one["id" if "name" in one else "category_id"] = 0
    (out / "coco.json").write_text(json.dumps(data))
    assert segment(concept, photos, out) == (0, [])
    assert [one["id"] for one in json.loads((out / "coco.json").read_text())["categories"]] == [1]
    (out / "coco.json").write_text("{")
    with pytest.raises(InputError, match=r"coco\.json is no valid JSON"):
        segment(concept, photos, out)


def test_label_maps_of_images_that_are_gone_are_removed_without_a_coco_file(concept, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    paths = write_photos(photos, 3)
    mine = out / "masks" / "mine.png"
    for count in (3, 2):
        segmenter = Segmenter([concept], encoder=FakeEncoder(), presence="off", refine="none")
        with Run.open(out, segmenter, list_targets(photos, out=out)) as opened:
            opened.segment(progress=False)
            opened.export(["png"])
        assert len([path for path in (out / "masks").rglob("*.png") if path != mine]) == count
        mine.touch()  # of somebody else
        paths[0].unlink(missing_ok=True)
    assert mine.exists()


def test_an_export_reads_the_journal_once_for_each_pass_over_the_masks(concept, tmp_path, monkeypatch):
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photos(photos, 3)
    segment(concept, photos, out)
    reads = []
    records = JsonLog.records
    monkeypatch.setattr(JsonLog, "records", lambda log, *more: reads.append(log) or records(log, *more))
    segmenter = Segmenter([concept], encoder=FakeEncoder(), presence="off", refine="none")
    with Run.open(out, segmenter, list_targets(photos, out=out)) as opened:
        counts = opened.export()
        assert opened.skipped == []
    assert len(reads) == 6  # opened; COCO's images and annotations; tasks; names and pixels of the maps
    assert counts == {"mug": len(COCO(str(out / "coco.json")).anns)}


def test_regions_of_a_run_that_lost_a_photograph_are_counted_in_one_pass(concept, tmp_path, monkeypatch):
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photos(photos, 3)
    named = [concept, replace(concept, name="cup")]
    segmenter = Segmenter(named, encoder=FakeEncoder(), presence="off", overlap=True)
    with Run.open(out, segmenter, list_targets(photos, out=out)) as opened:
        opened.segment(progress=False)
        everything = opened.export()
        (photos / list_targets(photos)[0].file_name).unlink()
        reads = []
        records = JsonLog.records
        monkeypatch.setattr(JsonLog, "records", lambda log, *more: reads.append(log) or records(log, *more))
        counts = opened.export()
    assert len(reads) == 6  # COCO's images and annotations; tasks; names and pixels of the maps; counts
    found = COCO(str(out / "coco.json"))
    assert counts == {one["name"]: len(found.getAnnIds(catIds=[one["id"]])) for one in found.cats.values()}
    assert counts.keys() == {"mug", "cup"}
    assert 0 < sum(counts.values()) < sum(everything.values())


def test_targets_are_listed_alike_from_everywhere(tmp_path):
    photos = tmp_path / "photos"
    paths = write_photos(photos, 4)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    archive.add(photos, progress=False)
    names = ["a/001.png", "a/003.png", "b/000.png", "b/002.png"]
    assert [one.file_name for one in list_targets(photos)] == names
    assert [one.file_name for one in list_targets(archive.path)] == names
    assert {one.path for one in list_targets(archive.path)} == set(paths)
    assert root_of(archive.path) == root_of(photos) == photos
    assert [one.file_name for one in list_targets(photos, out=photos / "a")] == names[2:]
    with pytest.raises(InputError, match="send them to another folder"):
        list_targets(photos, out=tmp_path / "." / "photos")
    with pytest.raises(InputError, match="is not a folder"):
        list_targets(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        list_targets(tmp_path / "empty")
