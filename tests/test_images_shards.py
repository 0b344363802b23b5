"""Images that are no files of their own: members of shards and objects of a store."""

import contextlib
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import FakeEncoder, write_photos
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from shards import write_parquet, write_tar, write_webdataset

from reco_assist.annotations import ImageRef
from reco_assist.archive import Archive, ImageFilter
from reco_assist.concepts import learn_concept
from reco_assist.errors import ImageError, InputError, RecoAssistWarning
from reco_assist.images import (
    absolute,
    address,
    content_hash,
    decode,
    is_there,
    list_images,
    open_shard,
    parquet_files,
    places,
    read_bytes,
    status,
)
from reco_assist.label_studio.images import Upload
from reco_assist.runs import list_targets, root_of
from reco_assist.segmenter import Segmenter


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", 10)


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A folder that takes the place of the store s3://bucket."""
    (tmp_path / "bucket").mkdir()
    store = SubTreeFileSystem(str(tmp_path), LocalFileSystem())
    monkeypatch.setattr(places, "_store", lambda root: (store, root.removeprefix("s3://")))
    monkeypatch.setattr(places, "_noted", {})
    monkeypatch.setattr(places, "_allowed", {"s3://bucket"})
    return tmp_path / "bucket"


def rows(archive):
    """What search sees, by content hash."""
    found = {}
    for entries, vectors in archive.embeddings():
        found |= {entry.content_hash: vector.tolist() for entry, vector in zip(entries, vectors, strict=True)}
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("s3://bucket/a b/c.jpg", "s3://bucket/a b/c.jpg"),
        ("S3://bucket/x", "s3://bucket/x"),
        ("gs://bucket", "gs://bucket"),
        ("file:///data/a%20b.jpg", "/data/a b.jpg"),
        ("/data/x", "/data/x"),
        ("C:/x", f"{Path.cwd()}/C:/x"),  # a disk, where there are any
    ],
)
def test_addresses(given, expected):
    assert address(absolute(given)) == address(absolute(Path(given))) == expected
    assert address(Path(address(Path(absolute(given))))) == expected


def test_other_uris_are_refused():
    with pytest.raises(InputError, match="s3, gs"):
        absolute("https://example.org/x.jpg")


def test_members_of_a_tar_have_the_bytes_of_the_files(tmp_path, photos):
    shard = write_webdataset(tmp_path / "0001.tar", photos)
    found = list(list_images([shard]))
    assert [read_bytes(path) for path in found] == [photo.read_bytes() for photo in photos]
    assert found[0] == tmp_path / f"0001.tar#{photos[0].parent.name}" / photos[0].name
    assert [status(path).bytes for path in found] == [photo.stat().st_size for photo in photos]
    assert {status(path).mtime_ns for path in found} == {shard.stat().st_mtime_ns}


@pytest.mark.parametrize("nested", [True, False])
def test_rows_of_a_parquet_file_have_the_bytes_of_the_files(tmp_path, photos, nested):
    shard = write_parquet(tmp_path / "x.parquet", photos, nested=nested)
    found = list(list_images([shard]))
    assert [read_bytes(path) for path in found] == [photo.read_bytes() for photo in photos]
    assert [read_bytes(path) for path in reversed(found)] == [
        photo.read_bytes() for photo in reversed(photos)
    ]
    assert found[7] == tmp_path / "x.parquet#7.img"
    assert not is_there(tmp_path / "x.parquet#seven.img")
    with pytest.raises(ImageError, match="10 rows only"):
        read_bytes(tmp_path / "x.parquet#10.img")


def test_columns_that_cannot_be_told_apart(tmp_path):
    pq.write_table(pa.table({"a": [b"1"], "b": [b"2"]}), tmp_path / "x.parquet")
    with pytest.raises(ImageError, match=r"columns are a, b, of which 2 hold bytes"):
        open_shard(tmp_path / "x.parquet")


def test_files_that_are_called_like_members(tmp_path):
    """A file's own name counts first."""
    write_tar(tmp_path / "x.tar", {"y.jpg": b"member"})
    assert read_bytes(tmp_path / "x.tar#y.jpg") == b"member"
    (tmp_path / "x.tar#y.jpg").write_bytes(b"file")
    assert read_bytes(tmp_path / "x.tar#y.jpg") == b"file"
    (tmp_path / "a#1.jpg").write_bytes(b"plain")
    assert read_bytes(tmp_path / "a#1.jpg") == b"plain"


def test_names_that_lead_out_and_what_is_no_image_are_left_out(tmp_path):
    names = ("../a.jpg", "/b.jpg", "c/../../d.jpg", "._e.jpg", "f.txt", "./g.jpg", "h//i.JPG")
    shard = write_tar(tmp_path / "x.tar", dict.fromkeys(names, b"data"))
    with tarfile.open(shard, "a") as archive:
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    opened = open_shard(shard)
    assert [str(path.relative_to(tmp_path)) for path, _ in opened.members] == [
        "x.tar#./g.jpg",
        "x.tar#h/i.JPG",
    ]
    assert [read_bytes(path) for path, _ in opened.members] == [b"data"] * 2
    assert "lead out of it" in opened.fault


@pytest.mark.parametrize("how", ["cut", "overwritten"])
def test_what_comes_before_a_damage_is_kept(tmp_path, photos, how):
    members = {f"{i}.png": photo.read_bytes() for i, photo in enumerate(photos)}
    shard = write_tar(tmp_path / "x.tar", members)
    whole = list(open_shard(shard).members)
    fifth = whole[5][1].offset - 512
    data = bytearray(shard.read_bytes())
    if how == "cut":
        del data[whole[4][1].offset + 5 :]
    else:
        data[fifth : fifth + 512] = b"x" * 512
    shard.write_bytes(data)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    report = archive.add(shard)
    assert report.added == (4 if how == "cut" else 5)
    assert any(path == shard and "damaged" in reason for path, reason in report.rejected)
    with pytest.warns(RecoAssistWarning, match="damaged"):
        list(list_images([shard]))


def test_what_is_no_tar_is_named(tmp_path, photos):
    (tmp_path / "x.tar").write_bytes(b"no tar at all" * 100)
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    report = archive.add([tmp_path / "x.tar", photos[0]])
    assert report.added == 1
    assert [path for path, _ in report.rejected] == [tmp_path / "x.tar"]


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_webdataset, write_parquet])
def test_an_archive_of_shards_is_that_of_the_folder(tmp_path, photos, write):
    """The same hashes and vectors; and learning and segmenting read the shard."""
    folder = Archive.create(tmp_path / "folder.reco", encoder=FakeEncoder())
    folder.add(photos[0].parents[1])
    shards = [
        write(tmp_path / f"{i}.{name}", part)
        for i, part in enumerate((photos[:4], photos[4:]))
        for name in ["tar" if write is write_webdataset else "parquet"]
    ]
    archive = Archive.create(tmp_path / "shards.reco", encoder=FakeEncoder())
    assert archive.add(shards).added == 10
    assert archive.add(shards).known == 10
    assert rows(archive) == rows(folder)
    assert archive.root == tmp_path
    (hit, *_) = archive.search(
        language=archive.encoder.encode_text("mug").vector, where=ImageFilter(folder=shards[1])
    )
    assert Path(str(hit.path)).is_relative_to(tmp_path)
    assert str(hit.path).startswith(f"{shards[1]}#")
    concept = learn_concept(archive, "mug", k=6)
    assert concept.digest == learn_concept(folder, "mug", k=6).digest or concept.provenance.archive
    segmenter = Segmenter([concept], encoder=archive.encoder, presence="off")
    ours = segmenter.segment(list_targets(shards[0], out=tmp_path / "out"))
    theirs = {
        one.image.content_hash: one
        for one in segmenter.segment(list_targets(photos[0].parents[1], out=tmp_path / "out"))
    }
    assert len(ours) == 4
    for one in ours:
        assert (one.maps == theirs[one.image.content_hash].maps).all()
    assert root_of(shards[0]) == tmp_path


def test_an_image_that_moves_into_a_shard_is_the_same_image(tmp_path, photos):
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    archive.add(photos)
    shard = write_webdataset(tmp_path / "x.tar", photos)
    assert archive.add(shard).duplicates == 10
    for photo in photos:
        photo.unlink()
    report = archive.add(shard)
    assert (report.added, report.moved) == (0, 10)
    assert all(is_there(entry.path) for entry in archive.images())


def test_a_store_is_listed_like_a_folder(bucket):
    for name in (
        "b/2.jpg",
        "a/1.JPG",
        "a/.hidden.png",
        "a/note.txt",
        "old.reco/t.jpg",
        "out/.reco-output",
        "out/m.png",
    ):
        (bucket / name).parent.mkdir(exist_ok=True)
        (bucket / name).write_bytes(b"x")
    write_tar(bucket / "1.tar", {"k.jpg": b"x"})
    listed = [address(path) for path in list_images([absolute("s3://bucket")])]
    assert listed == ["s3://bucket/a/1.JPG", "s3://bucket/b/2.jpg"]
    assert [address(path) for path in list_images([absolute("s3://bucket/*.tar")])] == [
        "s3://bucket/1.tar#k.jpg"
    ]
    for wrong in ("s3://bucket/none", "s3://bucket/none/*.tar", "s3://bucket/*.gz"):
        with pytest.raises(InputError, match=r"s3://bucket"):
            list(list_images([absolute(wrong)]))


def test_shards_in_a_store(bucket, photos):
    for write, name in ((write_webdataset, "1.tar"), (write_parquet, "1.parquet")):
        write(bucket / name, photos)
        found = list(list_images([absolute(f"s3://bucket/{name}")]))
        assert [read_bytes(path) for path in found] == [photo.read_bytes() for photo in photos]
        monday = status(found[3])
        assert monday == status(Path(address(found[3])))


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A server that speaks the protocol of S3, with an empty bucket; nothing leaves this machine."""
    command = shutil.which("moto_server")
    if command is None:
        pytest.skip("moto[server] is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    settings = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    server = subprocess.Popen([command, "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(httpx.TransportError):
                if httpx.put(f"{endpoint}/bucket").is_success:
                    break
            time.sleep(0.2)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            places._store.cache_clear()
            yield lambda key, data: httpx.put(f"{endpoint}/bucket/{key}", content=data).raise_for_status()
            places._store.cache_clear()
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
def test_an_archive_of_an_s3_bucket_is_that_of_the_folder(s3, tmp_path, photos):
    """Over the wire, by this process and by those that decode."""
    folder = Archive.create(tmp_path / "folder.reco", encoder=FakeEncoder())
    folder.add(photos)
    for photo in photos[:4]:
        s3(f"photos/{photo.parent.name}/{photo.name}", photo.read_bytes())
    s3("photos/bad.jpg", b"bad")
    s3("shards/1.tar", write_webdataset(tmp_path / "1.tar", photos[4:7]).read_bytes())
    s3("shards/1.parquet", write_parquet(tmp_path / "1.parquet", photos[7:]).read_bytes())
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    given = ["s3://bucket/photos", "s3://bucket/shards/*.tar", "s3://bucket/shards/1.parquet"]
    report = archive.add(given)
    assert report.added == 10
    assert [address(path) for path, _ in report.rejected] == ["s3://bucket/photos/bad.jpg"]
    assert rows(archive) == rows(folder)
    again = Archive.open(archive.path, encoder=FakeEncoder()).add(given)
    assert (again.added, again.known) == (0, 11)
    names = {entry.file_name for entry in archive.images()}
    assert f"shards/1.tar#{photos[4].parent.name}/{photos[4].name}" in names
    assert {"shards/1.parquet#0.img", f"photos/{photos[0].parent.name}/{photos[0].name}"} <= names
    assert archive.search(
        language=archive.encoder.encode_text("mug").vector, where=ImageFilter(folder="s3://bucket/shards")
    )
    concept = learn_concept(archive, "mug", k=6)
    segmenter = Segmenter([concept], encoder=archive.encoder, presence="off")
    targets = list_targets(Path("s3://bucket/photos"), out=tmp_path / "out")
    assert [target.file_name for target in targets][-1] == "bad.jpg"
    segmented = segmenter.segment(targets)
    assert len(segmented) == 5
    assert all(is_there(entry.path) for entry in archive.images())
    assert not is_there(absolute("s3://bucket/photos/none.jpg"))


@pytest.mark.parametrize("write", [write_webdataset, write_parquet])
def test_members_are_uploaded_like_files(tmp_path, photos, write):
    write(tmp_path / ("x.tar" if write is write_webdataset else "x.parquet"), photos)
    (path, *_) = list_images([next(tmp_path.glob("x.*"))])
    data = photos[0].read_bytes()
    image = ImageRef(path.relative_to(tmp_path).as_posix(), content_hash(data), 40, 30)
    name, sent = Upload(tmp_path)._file(image)
    assert Path(name).suffix == ".png"
    assert (decode(sent).pixels == decode(data).pixels).all()


def test_row_groups_that_would_fill_memory_are_refused(tmp_path, photos, monkeypatch):
    monkeypatch.setattr(parquet_files, "_LARGEST_GROUP", 100)
    write_parquet(tmp_path / "x.parquet", photos)
    with pytest.raises(ImageError, match="smaller ones"):
        read_bytes(tmp_path / "x.parquet#0.img")
