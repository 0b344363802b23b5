"""Shards made by the tools that everybody uses: Python's tarfile and Arrow."""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    """A tar file with members of some names and contents."""
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return path


def write_webdataset(path: Path, photos: list[Path]) -> Path:
    """A WebDataset shard: beside each photograph a text of the same key."""
    members = {}
    for photo in photos:
        key = f"{photo.parent.name}/{photo.stem}"
        members[f"{key}{photo.suffix}"] = photo.read_bytes()
        members[f"{key}.txt"] = b"a caption"
    return write_tar(path, members)


def write_parquet(path: Path, photos: list[Path], *, nested: bool = True, group: int = 4) -> Path:
    """A Parquet file as Hugging Face writes it (`nested`), or with a plain column of bytes."""
    data = [photo.read_bytes() for photo in photos]
    if nested:
        images = pa.array(
            [{"bytes": one, "path": photo.name} for one, photo in zip(data, photos, strict=True)]
        )
        table = pa.table({"image": images, "label": list(range(len(photos)))})
    else:
        table = pa.table({"jpg": pa.array(data, pa.large_binary()), "thumb": pa.array(data, pa.binary())})
    pq.write_table(table, path, row_group_size=group)
    return path
