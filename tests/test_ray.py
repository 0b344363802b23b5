"""The engine ray against the local one: the same table, the same masks, after the same accidents."""

import json
import os
import shutil
from functools import partial
from pathlib import Path

import lance
import numpy as np
import pytest
from conftest import SAMPLES
from fakes import FakeEncoder, write_photos
from shards import write_parquet, write_webdataset

from reco_assist.archive import Archive, decoding
from reco_assist.cluster import Cluster
from reco_assist.concepts import learn_concept
from reco_assist.errors import EncoderError
from reco_assist.runs import Run, list_targets
from reco_assist.segmenter import Segmenter, Target

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray", reason="the extra ray is not installed")
soak = pytest.mark.soak  # each run on the cluster starts workers, which takes some ten seconds


class Steady(FakeEncoder):
    """Its vectors do not depend on the batch, as those of real encoders hardly do."""

    def encode(self, pixels):
        features = super().encode(pixels)
        pooled = pixels.float().div(255).sub(0.5).mean((1, 2, 3))
        features.embedding.sub_(0.01 * pooled.mean()).add_(0.01 * pooled[:, None])
        return features


@pytest.fixture(scope="module")
def cluster():
    """A Ray on this machine, whose workers find this module and the checkout."""
    places = [
        str(Path(__file__).parent),
        str(Path(decoding.__file__).parents[2]),
        os.environ.get("PYTHONPATH", ""),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(places))
        cluster = Cluster(encoder=Steady)
        cluster.connect()
        yield cluster
        ray.shutdown()


@pytest.fixture
def photos(tmp_path):
    """70 photographs, a duplicate, and files that cannot be used."""
    paths = write_photos(tmp_path / "photos", 70)
    shutil.copy(paths[4], tmp_path / "photos" / "copy.png")
    (tmp_path / "photos" / "a" / "bad.png").write_bytes(b"bad")
    (tmp_path / "photos" / "a" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    return tmp_path / "photos"


def rows(archive):
    return lance.dataset(str(archive.path / "images.lance")).to_table().to_pylist()


def compare(archive, expected):
    """Hashes, cells and thumbnails are the same; embeddings but for float noise."""
    for ours, theirs in zip(rows(archive), rows(expected), strict=True):
        assert ours.pop("embedding") == pytest.approx(theirs.pop("embedding"), abs=2e-3)
        assert ours == theirs


def segmented(archive, paths, cluster, folder, *, begun=0):
    """Journals of a local run, and of one on the cluster that goes on after so many batches made here."""
    segmenter = Segmenter([learn_concept(archive, "mug", k=6)], encoder=archive.encoder, presence="off")
    targets = [Target(path, path.name) for path in paths]
    journals = []
    for name, where in (("local", None), ("ray", cluster)):
        if where is not None and begun:
            with Run.open(folder / name, segmenter, targets[: 16 * begun]) as run:
                run.segment()
        with Run.open(folder / name, segmenter, targets) as run:
            assert run.done == (0 if where is None else 16 * begun)
            run.segment(cluster=where)
            assert run.done == len(targets)
        journals.append((folder / name / "journal.jsonl").read_bytes())
    return journals


def made(folder, photos, cluster=None, **options):
    archive = Archive.create(folder, encoder=Steady())
    return archive, archive.add(photos, cluster=cluster, **options)


def test_a_few_images_come_out_as_from_the_local_engine(cluster, photos, tmp_path):
    """The quick one for every day: hashes, embeddings and masks."""
    paths = [*sorted(photos.glob("b/*"))[:6], photos / "a" / "bad.png"]
    local = Archive.create(tmp_path / "l.reco", encoder=Steady())
    local.add(paths)
    distributed = Archive.create(tmp_path / "r.reco", encoder=Steady())
    distributed.add(paths, cluster=cluster)
    compare(distributed, local)
    journals = segmented(local, paths, cluster, tmp_path)
    assert journals[0] == journals[1]
    assert b'"regions":[{' in journals[0]


@soak
def test_the_table_is_that_of_the_local_engine(cluster, photos, tmp_path):
    local, report = made(tmp_path / "local.reco", photos)
    distributed, same = made(tmp_path / "ray.reco", photos, cluster)
    assert same == report
    assert (report.added, report.duplicates, len(report.rejected)) == (70, 1, 2)
    assert (local.path / "skipped.json").read_bytes() == (distributed.path / "skipped.json").read_bytes()
    compare(distributed, local)
    assert distributed.mean == pytest.approx(local.mean, abs=1e-3)
    again = distributed.add(photos, cluster=cluster)
    assert (again.added, again.known, again.duplicates) == (0, 72, 1)


@soak
@pytest.mark.parametrize("write", [write_webdataset, write_parquet])
def test_shards_are_read_by_the_workers(cluster, photos, tmp_path, write):
    """The same images from shards as from files: hashes, vectors, and the masks of a run over a shard."""
    local, _ = made(tmp_path / "local.reco", photos)
    files = [path for path in sorted(photos.glob("*/*")) if path.stat().st_size > 100]
    ending = "tar" if write is write_webdataset else "parquet"
    shards = [write(tmp_path / f"{i}.{ending}", files[start : start + 35]) for i, start in enumerate((0, 35))]
    (tmp_path / f"torn.{ending}").write_bytes(b"torn" * 500)
    distributed = Archive.create(tmp_path / "ray.reco", encoder=Steady())
    report = distributed.add([*shards, tmp_path / f"torn.{ending}"], cluster=cluster)
    assert report.added == 70
    assert [path.name for path, _ in report.rejected] == [f"torn.{ending}"]
    ours, theirs = ({row["content_hash"]: row for row in rows(one)} for one in (distributed, local))
    assert ours.keys() == theirs.keys()
    for content_hash, row in ours.items():
        assert row["embedding"] == pytest.approx(theirs[content_hash]["embedding"], abs=2e-3)
        assert row["dense_bits"] == theirs[content_hash]["dense_bits"]
        assert row["thumbnail"] == theirs[content_hash]["thumbnail"]
    again = distributed.add(shards, cluster=cluster)
    assert (again.added, again.known) == (0, 70)
    targets = [target.path for target in list_targets(shards[1], out=tmp_path / "out")]
    journals = segmented(distributed, targets, cluster, tmp_path)
    assert journals[0] == journals[1]
    assert b'"regions":[{' in journals[0]


@soak
def test_a_stopped_run_goes_on_and_moved_files_are_recognised(cluster, photos, tmp_path):
    class StopError(Exception):
        pass

    def stop(report):
        if report.added >= 20:
            raise StopError

    archive = Archive.create(tmp_path / "x.reco", encoder=Steady())
    with pytest.raises(StopError):
        archive.add(photos, cluster=cluster, batch_size=10, on_batch=stop)
    archive = Archive.open(archive.path, encoder=Steady())
    assert len(archive) == 20
    moved = photos.rename(tmp_path / "moved")
    report = archive.add(moved, cluster=cluster)
    assert (report.added, report.moved) == (50, 20)
    assert len({row["content_hash"] for row in rows(archive)}) == 70


@soak
def test_other_weights_on_a_worker_are_refused(cluster, photos, tmp_path):
    other = Cluster(encoder=partial(Steady, seed=1))
    with pytest.raises(EncoderError, match="other weights"):
        made(tmp_path / "x.reco", photos, other)


@soak
def test_masks_are_those_of_the_local_engine(cluster, photos, tmp_path):
    archive, _ = made(tmp_path / "x.reco", photos)
    journals = segmented(archive, sorted(photos.glob("*/*.*")), cluster, tmp_path, begun=1)
    assert journals[0] == journals[1]
    records = [json.loads(line) for line in journals[0].splitlines()[1:]]
    skipped = [name for record in records for name, _ in record["skipped"]]
    assert sorted(Path(name).name for name in skipped) == ["bad.png", "torn.jpg"]


@soak
def test_the_offline_encoder_gives_the_same_vectors_and_masks(cluster, encoder, samples, tmp_path):
    files = sorted((SAMPLES / "archive").glob("*.jpg"))[:4]
    archive = Archive.create(tmp_path / "x.reco", encoder=encoder)
    archive.add(files, cluster=Cluster())
    for row in rows(archive):
        assert samples.entry(row["content_hash"]).path.name == Path(row["path"]).name
    mine = {row["content_hash"]: np.array(row["embedding"], np.float32) for row in rows(archive)}
    for row in rows(samples):
        if row["content_hash"] in mine:
            assert mine[row["content_hash"]] == pytest.approx(row["embedding"], rel=1e-3, abs=2e-3)
    local, distributed = segmented(samples, files, Cluster(), tmp_path)
    assert local == distributed
    assert b'"regions":[{' in local
