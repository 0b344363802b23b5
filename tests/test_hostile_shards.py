"""Shards of others: what they say of themselves takes no memory, and each costs itself alone."""

import io
import os
import tarfile
import tracemalloc
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import FakeEncoder, write_photos
from shards import write_tar

from reco_assist.archive import Archive
from reco_assist.errors import ImageError, RecoAssistWarning
from reco_assist.images import list_images, open_shard, parquet_files, parquet_pages, read_bytes
from reco_assist.images.parquet_pages import Pages, pages_of, row_groups, unpacked_size

MEGABYTE = 1 << 20


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    about = tarfile.TarInfo(name)
    about.size, about.type = size, kind
    return about.tobuf(tarfile.GNU_FORMAT)


def negative(name: str, size: int) -> bytes:
    """A header that states a size below 0, in base 256."""
    block = bytearray(header(name, 0))
    block[124:136] = (size + (1 << 96)).to_bytes(12, "big")
    total = sum(block[:148]) + 8 * 32 + sum(block[156:512])
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def pax(record: bytes) -> bytes:
    return header("x", len(record), tarfile.XHDTYPE) + record.ljust(-(-len(record) // 512) * 512, b"\0")


LINK = header("././@LongLink", 4, tarfile.GNUTYPE_LONGNAME) + b"a.b\0".ljust(512, b"\0")
END = bytes(1024)
TARS = {
    "a name of 1 TiB": header("././@LongLink", 1 << 40, tarfile.GNUTYPE_LONGNAME) + b"a" * 512 + END,
    "a link of 1 TiB": header("././@LongLink", 1 << 40, tarfile.GNUTYPE_LONGLINK) + b"a" * 512 + END,
    "attributes of 1 TiB": header("x", 1 << 40, tarfile.XHDTYPE) + b"a" * 512 + END,
    "global attributes of 1 TiB": header("x", 1 << 40, tarfile.XGLTYPE) + b"a" * 512 + END,
    "names without end": LINK * 5000 + header("a.jpg", 1) + bytes(512) + END,
    "a size below 0": negative("a.jpg", -512) + END,
    "a name of a size below 0": negative("a.jpg", -512).replace(b"\x000\0", b"\0L\0", 1) + END,
    "a size below 0 by attribute": pax(b"13 size=-512\n") + header("a.jpg", 1) + bytes(512) + END,
    "an image of 1 TiB": header("a.jpg", 1 << 40) + bytes(512) + END,
    "a map of holes without end": pax(b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n")
    + header("a.jpg", 1024)
    + b"9999999999\n".ljust(512, b"0")
    + END,
}


@pytest.mark.parametrize("data", TARS.values(), ids=TARS)
def test_what_a_tar_says_takes_no_memory_and_costs_it_alone(tmp_path, data):
    alone, after = tmp_path / "alone.tar", tmp_path / "after.tar"
    alone.write_bytes(data)
    good = write_tar(tmp_path / "good.tar", {"b.jpg": b"x"})
    with tarfile.open(good) as archive:
        archive.next()
        archive.next()
        end = archive.offset
    after.write_bytes(good.read_bytes()[:end] + data)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError) as refused:
            open_shard(alone)
        found = open_shard(after)
        assert tracemalloc.get_traced_memory()[1] < 32 * MEGABYTE
    finally:
        tracemalloc.stop()
    assert [path.name for path, _ in found.members] == ["after.tar#b.jpg"]
    for said in (str(refused.value), str(found.fault)):
        assert len(said.replace(str(tmp_path), "")) < 300
        assert "\n" not in said


def test_a_hostile_shard_does_not_end_an_index(tmp_path):
    photos = write_photos(tmp_path / "photos", 2)
    bad = tmp_path / "bad.tar"
    bad.write_bytes(TARS["a name of 1 TiB"])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + b"\xff" * 40 + b"PAR1")
    archive = Archive.create(tmp_path / "x.reco", encoder=FakeEncoder())
    report = archive.add([bad, tmp_path / "bad.parquet", *photos])
    assert report.added == 2
    assert {path.name for path, _ in report.rejected} == {"bad.tar", "bad.parquet"}


def test_a_header_of_a_long_name_is_read(tmp_path):
    name = "d/" * 300 + "a.jpg"
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / f"{kind}.tar", "w", format=kind) as archive:
            about = tarfile.TarInfo(name)
            about.size = 1
            archive.addfile(about, io.BytesIO(b"x"))
        ((path, _),) = open_shard(tmp_path / f"{kind}.tar").members
        assert str(path).endswith(name)
        assert read_bytes(path) == b"x"


@pytest.mark.parametrize("nested", [True, False])
def test_a_few_bytes_for_each_of_many_rows_take_the_memory_of_one(tmp_path, nested):
    """Each row stands for a megabyte of a dictionary."""
    value = os.urandom(1024) * 1024
    rows, repeated = 600, pa.DictionaryArray.from_arrays(pa.array([0] * 600, pa.int32()), [value])
    column = pa.StructArray.from_arrays([repeated], ["bytes"]) if nested else repeated
    schema = pa.table({"image": column})
    pq.write_table(schema, tmp_path / "x.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "x.parquet").stat().st_size < 8192
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    found = open_shard(tmp_path / "x.parquet").members
    assert found.count == rows
    assert read_bytes(found.make(0)[0]) == read_bytes(found.make(rows - 1)[0]) == value
    assert pool.bytes_allocated() - before < 32 * MEGABYTE


def test_rows_are_listed_one_by_one(tmp_path):
    rows = 100_000
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [b"x"])
    pq.write_table(pa.table({"image": repeated}), tmp_path / "x.parquet", store_schema=False)
    tracemalloc.start()
    try:
        assert sum(1 for _ in list_images([tmp_path / "x.parquet"])) == rows
        assert tracemalloc.get_traced_memory()[1] < 20 * MEGABYTE
    finally:
        tracemalloc.stop()
    found = open_shard(tmp_path / "x.parquet").members
    last = found.make(found.count - 1)[0]
    assert last.name == f"x.parquet#{rows - 1}.img"
    assert read_bytes(last) == b"x"


def test_rows_without_an_image_are_empty(tmp_path):
    column = pa.array(
        [{"bytes": None}, None, {"bytes": b""}, {"bytes": b"x"}], pa.struct([("bytes", pa.binary())])
    )
    pq.write_table(pa.table({"image": column}), tmp_path / "x.parquet")
    assert [read_bytes(path) for path, _ in open_shard(tmp_path / "x.parquet").members] == [
        b"",
        b"",
        b"",
        b"x",
    ]


def padded(number: int, size: int) -> bytes:
    """A number of Thrift's compact protocol in so many bytes."""
    digits = [number << 1 >> 7 * i & 127 | (128 if i < size - 1 else 0) for i in range(size)]
    return bytes(digits)


def test_what_the_footer_says_of_a_page_is_not_believed(tmp_path, monkeypatch):
    """Pages of 20 MB, packed to some kilobytes, that are said to have 100 bytes."""
    monkeypatch.setattr(parquet_files, "_LARGEST_GROUP", 100 * MEGABYTE)
    shard = tmp_path / "x.parquet"
    table = pa.table({"image": [bytes(20 * MEGABYTE)] * 6})
    pq.write_table(table, shard, compression="zstd", use_dictionary=False, write_statistics=False)
    stated = pq.read_metadata(shard).row_group(0).column(0).total_uncompressed_size
    shard.write_bytes(shard.read_bytes().replace(padded(stated, 4), padded(100, 4)))
    assert pq.read_metadata(shard).row_group(0).column(0).total_uncompressed_size == 100
    before = pa.default_memory_pool().bytes_allocated()
    with pytest.raises(ImageError, match="exceed 1 GiB"):
        read_bytes(next(iter(open_shard(shard).members))[0])
    assert pa.default_memory_pool().bytes_allocated() - before < 32 * MEGABYTE


def test_values_that_repeat_the_one_before_are_refused(tmp_path):
    """Ten thousand values of a megabyte, each but the end of the one before."""
    value = os.urandom(1024) * 32
    column = pa.array([value[: len(value) - i] for i in range(50)])
    options = {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY", "write_statistics": False}
    pq.write_table(pa.table({"image": column}), tmp_path / "x.parquet", **options)
    with pytest.raises(ImageError, match="plain values"):
        read_bytes(next(iter(open_shard(tmp_path / "x.parquet").members))[0])


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_pages_of_every_kind_are_measured_as_arrow_reads_them(tmp_path, version, compression):
    values = [os.urandom(3000) for _ in range(40)] * 2
    pq.write_table(
        pa.table({"image": values}),
        tmp_path / "x.parquet",
        data_page_version=version,
        compression=compression,
        data_page_size=8192,
        row_group_size=30,
        write_page_index=True,
    )
    assert [read_bytes(path) for path, _ in open_shard(tmp_path / "x.parquet").members] == values
    column = pq.read_metadata(tmp_path / "x.parquet").row_group(1).column(0)
    with (tmp_path / "x.parquet").open("rb") as file:
        size = (tmp_path / "x.parquet").stat().st_size
        pages = pages_of(row_groups(file, size), size, ("image",))
        size = unpacked_size(file, pages[1])
    start = column.dictionary_page_offset or column.data_page_offset
    assert [group.rows for group in pages] == [30, 30, 20]
    assert pages[1] == Pages(30, 30, start, column.total_compressed_size)
    assert 0 <= column.total_uncompressed_size - size < 2000  # which counts the headers too


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_damaged_bytes_of_a_shard_are_one_sentence(tmp_path, kind):
    photos = {f"{i}.jpg": os.urandom(600) for i in range(4)}
    shard = write_tar(tmp_path / "x.tar", photos)
    if kind == "parquet":
        shard = tmp_path / "x.parquet"
        pq.write_table(pa.table({"image": list(photos.values())}), shard, row_group_size=2)
    whole = shard.read_bytes()
    said = set()
    for at in range(0, len(whole), 37 if kind == "tar" else 11):
        data = bytearray(whole)
        data[at] ^= 0xFF
        hurt = tmp_path / f"hurt.{kind}"
        hurt.write_bytes(data)
        try:
            for path, _ in islice(open_shard(hurt).members, 8):
                read_bytes(path)
        except ImageError as error:
            said.add(str(error).replace(str(tmp_path), ""))
    assert said
    assert all(len(one) < 300 and "\n" not in one for one in said)


def test_a_list_of_another_kind_in_a_footer_is_refused():
    """Found by fuzzing."""
    with pytest.raises(ImageError, match="another kind"):
        open_shard(Path(__file__).parent / "expected" / "columns-of-bools.parquet")


def test_a_footer_that_ends_arrow_is_refused(tmp_path):
    """Found by fuzzing: Arrow ends the process over it when it is asked about the column."""
    data = (Path(__file__).parent / "expected" / "arrow-abort.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(data)
    with pytest.raises(ImageError, match="damaged"):
        open_shard(tmp_path / "x.parquet")


def test_arrow_parses_a_footer_once_and_only_one_that_is_bounded(tmp_path, monkeypatch):
    seen = []
    real = pq.core.ParquetReader.open

    class Watched(pq.core.ParquetReader):
        def open(self, *given, **more):
            seen.append(more.get("metadata"))
            return real(self, *given, **more)

    monkeypatch.setattr(pq.core, "ParquetReader", Watched)
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "x.parquet")
    assert len(list(open_shard(tmp_path / "x.parquet").members)) == 1
    assert [one is None for one in seen] == [True, False]
    seen.clear()
    monkeypatch.setattr(parquet_pages, "_LARGEST_FOOTER", 10)
    pq.write_table(pa.table({"image": [b"y"]}), tmp_path / "y.parquet")
    with pytest.raises(ImageError, match="footer is larger"):
        open_shard(tmp_path / "y.parquet")
    assert not seen


def test_a_damaged_shard_is_said_when_it_is_listed(tmp_path):
    (tmp_path / "x.tar").write_bytes(TARS["attributes of 1 TiB"])
    with pytest.warns(RecoAssistWarning, match="larger than 1 MiB"):
        assert not list(list_images([tmp_path / "x.tar"]))
