"""Adding files: what becomes of each, in which batches, and after which accidents."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import lance
import numpy as np
import pytest
import torch
from children import start
from fakes import FakeEncoder, write_photos
from PIL import Image

import reco_assist
from reco_assist.archive import AddReport, Archive, decoding
from reco_assist.errors import EncoderError, InputError
from reco_assist.images import content_hash

CHECKOUT = Path(reco_assist.__file__).parents[1]


@pytest.fixture
def archive(tmp_path):
    return Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())


@pytest.fixture
def photos(tmp_path):
    write_photos(tmp_path / "photos", 10)
    return tmp_path / "photos"


def paths_of(archive: Archive) -> list[Path]:
    return sorted(entry.path for entry in archive.images())


def content(archive: Archive) -> list[dict]:
    """All rows by content hash."""
    rows = lance.dataset(str(archive.path / "images.lance")).to_table().to_pylist()
    return sorted(rows, key=lambda row: row["content_hash"])


def test_every_new_image_becomes_a_row(archive, photos):
    assert archive.add(photos) == AddReport(added=10)
    assert len(archive) == len(Archive.open(archive.path)) == 10
    for entry in archive.images():
        assert entry.content_hash == content_hash(entry.path.read_bytes())
        assert (entry.width, entry.height) == (40, 30)
        assert entry.bytes == entry.path.stat().st_size
        assert entry.file_name == entry.path.relative_to(photos).as_posix()
        assert entry == archive.entry(entry.content_hash)


def test_width_and_height_are_those_of_the_upright_image(archive, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30), "red").save(tmp_path / "turned.jpg", exif=exif)
    archive.add(tmp_path / "turned.jpg")
    (entry,) = archive.images()
    assert (entry.width, entry.height) == (30, 40)
    assert archive.thumbnails([entry.content_hash])[0].startswith(b"\xff\xd8")


def test_known_files_are_not_read_again(archive, photos, monkeypatch):
    archive.add(photos)

    def refuse(self, path):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(decoding.DecodeProcess, "hash", refuse)
    assert archive.add(photos) == AddReport(known=10)
    assert archive.add([photos, photos / "a"]) == AddReport(known=10)


def test_new_files_join_the_known_ones(archive, photos):
    archive.add(photos / "a")
    assert archive.add(photos) == AddReport(added=5, known=5)


def test_a_touched_file_is_known_and_its_new_time_remembered(archive, photos, monkeypatch):
    archive.add(photos)
    os.utime(photos / "a" / "001.png", (1, 1))
    assert archive.add(photos) == AddReport(known=10)
    monkeypatch.setattr(decoding.DecodeProcess, "hash", None)
    assert archive.add(photos) == AddReport(known=10)


def test_moved_folders_are_recognised(archive, photos, tmp_path):
    archive.add(photos)
    before = content(archive)
    moved = photos.rename(tmp_path / "moved")
    assert archive.add(moved) == AddReport(moved=10)
    assert len(archive) == 10
    assert all(path.is_relative_to(moved) and path.exists() for path in paths_of(archive))
    assert archive.root == moved
    for old, new in zip(before, content(archive), strict=True):
        changed = {key for key in old if old[key] != new[key]}
        assert changed == {"path"}


def test_duplicates_are_indexed_once_and_take_over_when_the_first_is_gone(archive, photos):
    shutil.copy(photos / "a" / "001.png", photos / "b" / "copy.png")
    shutil.copy(photos / "a" / "001.png", photos / "b" / "copy2.png")
    assert archive.add(photos) == AddReport(added=10, duplicates=2)
    assert archive.add(photos) == AddReport(known=10, duplicates=2)
    (photos / "a" / "001.png").unlink()
    assert archive.add(photos) == AddReport(known=9, moved=1, duplicates=1)
    assert photos / "b" / "copy.png" in paths_of(archive)
    assert len(archive) == 10


@pytest.mark.parametrize("batch_size", [1, 32])
def test_overwritten_files_replace_their_images(archive, photos, batch_size):
    archive.add(photos, batch_size=batch_size)
    old = content_hash((photos / "a" / "001.png").read_bytes())
    Image.new("RGB", (50, 50), "red").save(photos / "a" / "001.png")
    assert archive.add(photos, batch_size=batch_size) == AddReport(added=1, known=9)
    assert len(archive) == 10
    assert old not in {entry.content_hash for entry in archive.images()}


def test_an_overwritten_file_whose_content_lies_elsewhere_is_moved(archive, photos):
    archive.add(photos)
    old = (photos / "a" / "001.png").read_bytes()
    (photos / "z.png").write_bytes(old)  # listed after the overwritten one
    Image.new("RGB", (50, 50), "red").save(photos / "a" / "001.png")
    assert archive.add(photos) == AddReport(added=1, known=9, moved=1)
    assert archive.entry(content_hash(old)).path == photos / "z.png"
    assert len(archive) == 11


def test_swapped_files_keep_their_images(archive, photos):
    archive.add(photos)
    one, two = photos / "a" / "001.png", photos / "a" / "003.png"
    one.rename(photos / "x")
    two.rename(one)
    (photos / "x").rename(two)
    archive.add(photos)
    assert len(archive) == 10
    for entry in archive.images():
        assert content_hash(entry.path.read_bytes()) == entry.content_hash


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no image at all", "not a JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "damaged"),
    ],
)
def test_bad_files_are_reported_once_and_skipped(archive, photos, data, reason):
    bad = photos / "bad.png"
    bad.write_bytes(data)
    report = archive.add(photos)
    assert (report.added, [path for path, _ in report.rejected]) == (10, [bad])
    assert reason in report.rejected[0][1]
    assert archive.add(photos) == AddReport(known=11)
    assert archive.statistics().rejected == report.rejected
    Image.new("RGB", (50, 50), "red").save(bad)
    assert archive.add(photos) == AddReport(added=1, known=10)
    assert archive.statistics().rejected == ()


def test_an_overwritten_file_that_is_bad_now_loses_its_image(archive, photos):
    archive.add(photos)
    (photos / "a" / "001.png").write_bytes(b"broken")
    report = archive.add(photos)
    assert (report.known, len(report.rejected), len(archive)) == (9, 1, 9)


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names must be valid Unicode there")
def test_a_name_that_is_no_text_is_rejected(archive, photos):
    shutil.copy(photos / "a" / "001.png", os.fsencode(photos) + b"/\xff.png")
    report = archive.add(photos)
    assert (report.added, len(report.rejected)) == (10, 1)
    assert "UTF-8" in report.rejected[0][1]
    assert archive.add(photos).rejected == ()


def test_an_image_that_kills_the_decoder_is_quarantined(archive, photos, monkeypatch):
    killer = photos / "a" / "000 killer.png"
    killer.write_bytes(b"KILL")
    trap = (
        "import os, reco_assist.archive.worker as worker; decode = worker.decode; "
        "worker.decode = lambda data, **how: os.abort() if data == b'KILL' else decode(data, **how); main()"
    )
    assert decoding._START.endswith("; main()")
    monkeypatch.setattr(decoding, "_START", decoding._START.removesuffix("main()") + trap)
    report = archive.add(photos)
    assert report.added == 10
    assert [path for path, _ in report.rejected] == [killer]
    assert "crash" in report.rejected[0][1]
    assert archive.add(photos) == AddReport(known=11)


def test_workers_start_without_torch_and_without_the_users_script(tmp_path, photos):
    """A script without a `__main__` guard must work, and decoding processes must be small."""
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from fakes import FakeEncoder\n"
        "from reco_assist.archive import Archive, decoding\n"
        "decoding._START = decoding._START.replace('; main()', "
        '\'; assert not {"torch", "lance", "faiss", "pyarrow"} & set(sys.modules), sys.modules; main()\')\n'
        f"archive = Archive.create({str(tmp_path / 'y.reco')!r}, encoder=FakeEncoder())\n"
        f"print(archive.add({str(photos)!r}).added)\n"
    )
    done = subprocess.run(
        [sys.executable, script], env=environment(), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout == "10\n", done.stderr


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests")])}


def test_batches_are_full_and_reported(tmp_path, photos):
    encoder = FakeEncoder()
    archive = Archive.create(tmp_path / "x.reco", encoder=encoder)
    encoder.batches.clear()
    seen = []
    archive.add(photos, batch_size=4, on_batch=lambda report: seen.append(report.added))
    assert encoder.batches == [4, 4, 2]
    assert seen == [4, 8, 10]


def test_many_batches_are_joined_to_few_files(archive, photos, monkeypatch):
    monkeypatch.setattr("reco_assist.archive.table._FRAGMENTS", 4)
    archive.add(photos, batch_size=1)
    assert len(lance.dataset(str(archive.path / "images.lance")).get_fragments()) == 1
    assert len(archive) == 10


def test_the_mean_is_the_encoders_until_it_is_frozen(tmp_path):
    encoder = FakeEncoder()
    archive = Archive.create(tmp_path / "x.reco", encoder=encoder)
    write_photos(tmp_path / "few", 40)
    archive.add(tmp_path / "few")
    assert np.array_equal(archive.mean, encoder.mean_embedding.numpy())
    write_photos(tmp_path / "more", 40, seed=1)
    archive.add(tmp_path / "more")
    embeddings = np.array([row["embedding"] for row in content(archive)], np.float64)
    assert archive.mean == pytest.approx(embeddings.mean(0), abs=1e-6)
    frozen = archive.mean
    write_photos(tmp_path / "most", 10, seed=2)
    archive.add(tmp_path / "most")
    assert np.array_equal(Archive.open(archive.path).mean, frozen)
    assert archive.statistics().mean_images == 80


def test_the_root_is_the_common_parent_of_what_is_indexed(archive, photos):
    archive.add([photos / "a", photos / "b" / "000.png"])
    assert archive.root == photos
    names = Counter(entry.file_name.split("/")[0] for entry in archive.images())
    assert names == {"a": 5, "b": 1}


def test_a_chosen_root_stays_and_binds(tmp_path, photos):
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder(), root=photos / "a")
    archive.add(photos / "a")
    with pytest.raises(InputError, match="outside the archive's root"):
        archive.add(photos / "b")
    assert archive.root == photos / "a"


def test_an_archive_among_the_images_is_left_out(photos):
    archive = Archive.create(photos / "oddly named", encoder=FakeEncoder())
    write_photos(archive.path / "index", 2, seed=9)
    assert archive.add(photos).added == 10


@pytest.mark.parametrize("bad", ["empty", "missing", "text only"])
def test_no_images_is_an_error(archive, tmp_path, bad):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text only").mkdir()
    (tmp_path / "text only" / "notes.txt").touch()
    with pytest.raises(InputError, match=bad):
        archive.add(tmp_path / bad)


def test_an_encoder_that_fails_is_named(tmp_path, photos):
    class Broken(FakeEncoder):
        def encode(self, pixels):
            features = super().encode(pixels)
            features.embedding.mul_(torch.nan if len(pixels) > 1 else 1)
            return features

    archive = Archive.create(tmp_path / "x.reco", encoder=Broken(name="broken"))
    with pytest.raises(EncoderError, match="'broken'"):
        archive.add(photos)
    assert len(archive) == 0


def test_removed_images_can_come_back(archive, photos):
    archive.add(photos)
    some = [photos / "a" / "001.png", archive.search(language=torch.ones(32), k=1)[0].content_hash]
    assert archive.remove(some) == 2
    assert len(archive) == 8
    assert archive.remove(some) == 0
    assert archive.add(photos) == AddReport(added=2, known=8)


CHILD = """
import sys
from fakes import FakeEncoder
from reco_assist.archive import Archive
archive = Archive.open(sys.argv[1], encoder=FakeEncoder(delay=0.05))
archive.add(sys.argv[2], batch_size=4, on_batch=lambda report: print(report.added, flush=True))
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """70 photographs with a duplicate and bad files among them, and what an undisturbed run makes of them."""
    folder = tmp_path_factory.mktemp("scene")
    paths = write_photos(folder / "photos", 70)
    shutil.copy(paths[4], folder / "photos" / "c.png")
    (folder / "photos" / "a" / "bad.png").write_bytes(b"bad")
    (folder / "photos" / "a" / "0bad.png").write_bytes(b"")
    archive = Archive.create(folder / "calm.reco", encoder=FakeEncoder())
    archive.add(folder / "photos", batch_size=4)
    return folder / "photos", archive


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5, 50))]
)
def test_a_killed_run_goes_on_to_the_same_bytes(scene, tmp_path, seed):
    photos, calm = scene
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    random = np.random.default_rng(seed)
    child = start(CHILD, archive.path, photos)
    for _ in range(random.integers(1, 16)):
        child.stdout.readline()
    time.sleep(random.uniform(0, 0.1))
    child.send_signal(signal.SIGKILL)
    child.communicate()
    stopped = Archive.open(archive.path, encoder=FakeEncoder())
    done = len(stopped)
    assert done % 4 == 0
    assert 0 < done < 70
    report = stopped.add(photos, batch_size=4)
    assert (report.added, report.known, report.duplicates) == (70 - done, done, 1)
    assert content(stopped) == content(calm)
    assert np.array_equal(stopped.mean, calm.mean)
    assert (stopped.path / "skipped.json").read_bytes() == (calm.path / "skipped.json").read_bytes()
