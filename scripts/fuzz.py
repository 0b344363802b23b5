"""Feed damaged input to everything that reads files of others, guided by coverage.

    pip install atheris
    python scripts/fuzz.py TARGET [CORPUS] [-max_total_time=SECONDS]

TARGET is one of image, map, coco, foreign, mask, brush, concept, tar, parquet, place. Whatever a reader does
not refuse by an error of ours is a finding: the input is kept as crash-*, and belongs into the tests. Further
options are libFuzzer's.
"""

import json
import os
import sys
import tempfile
from contextlib import suppress
from itertools import islice
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["reco_assist", "PIL"]):
    from reco_assist.concepts import Concept
    from reco_assist.errors import RecoAssistError
    from reco_assist.formats import Dataset, read_coco, read_dataset
    from reco_assist.image_files import load_image
    from reco_assist.images import STORES_VARIABLE, absolute, decode, is_there, open_shard, places, read_bytes
    from reco_assist.masks import brush, rle

_FILE = Path(tempfile.mkdtemp()) / "input"
_SIDE = 64


def image(data: bytes) -> None:
    """Photographs."""
    decode(data, max_pixels=1_000_000, reduce_to=_SIDE)


def map_(data: bytes) -> None:
    """Maps and thumbnails."""
    load_image(data, "L", max_pixels=1_000_000)


def tar(data: bytes) -> None:
    """Shards of WebDataset."""
    _shard(data, "tar")


def parquet(data: bytes) -> None:
    """Shards of rows."""
    _shard(data, "parquet")


def _shard(data: bytes, kind: str) -> None:
    path = _FILE.with_suffix(f".{kind}")
    path.write_bytes(data)
    for member, _ in islice(open_shard(path).members, 8):
        with suppress(RecoAssistError):
            read_bytes(member)


def place(data: bytes) -> None:
    """Places that an archive names: none is opened, whatever it looks like."""
    text = data.decode(errors="replace").replace("\0", "")
    for path in (Path(text), Path(f"s3://{text}"), Path(f"s3://bucket/{text}")):
        if places.is_remote(path) and is_there(path):
            raise RuntimeError(f"{path} was opened")
        with suppress(RecoAssistError):
            absolute(path)


def _closed(root: str) -> None:
    raise RuntimeError(f"{root} was opened")


def mask(data: bytes) -> None:
    """The `segmentation` of a COCO annotation."""
    try:
        segmentation = json.loads(data)
    except (ValueError, RecursionError):
        return
    rle.decode(rle.from_coco(segmentation, _SIDE, _SIDE))


def coco(data: bytes) -> None:
    """COCO data sets."""
    _FILE.write_bytes(data)
    _draw(read_coco(_FILE))


def foreign(data: bytes) -> None:
    """Data sets of other tools: labelme's and Label Studio's JSON, CVAT's and VOC's XML."""
    path = _FILE.with_suffix(".xml" if data.startswith(b"<") else ".json")
    path.write_bytes(data)
    _draw(read_dataset(path))


def _draw(found: Dataset) -> None:
    for number in found.images:
        for name in found.concepts:
            found.union(number, name)


def brush_stream(data: bytes) -> None:
    """Brush masks of Label Studio."""
    brush.decode(data, height=_SIDE, width=_SIDE)


def concept(data: bytes) -> None:
    """Concept files."""
    _FILE.write_bytes(data)
    Concept.load(_FILE)


TARGETS = {
    "image": image,
    "map": map_,
    "mask": mask,
    "coco": coco,
    "foreign": foreign,
    "brush": brush_stream,
    "concept": concept,
    "tar": tar,
    "parquet": parquet,
    "place": place,
}


def main() -> None:
    """Fuzz one target until it fails or time is up."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: fuzz.py {{{','.join(TARGETS)}}} [CORPUS] [libFuzzer options]")
    read = TARGETS[sys.argv.pop(1)]
    os.environ.pop(STORES_VARIABLE, None)
    places._store = _closed  # noqa: SLF001  (nothing may get that far)

    def one(data: bytes) -> None:
        with suppress(RecoAssistError):
            read(data)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
