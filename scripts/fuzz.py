"""Feed damaged input to everything that reads files of others, guided by coverage.

    pip install atheris
    python scripts/fuzz.py TARGET [CORPUS] [-max_total_time=SECONDS]

TARGET is one of image, coco, mask, brush, concept. Whatever a reader does not refuse by an error of ours is a
finding: the input is kept as crash-*, and belongs into the tests. Further options are libFuzzer's.
"""

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["reco_assist", "PIL"]):
    from reco_assist.concepts import Concept
    from reco_assist.errors import RecoAssistError
    from reco_assist.formats import read_coco
    from reco_assist.images import decode
    from reco_assist.masks import brush, rle

_FILE = Path(tempfile.mkdtemp()) / "input"
_SIDE = 64


def image(data: bytes) -> None:
    """Photographs."""
    decode(data, max_pixels=1_000_000, reduce_to=_SIDE)


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
    found = read_coco(_FILE)
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


TARGETS = {"image": image, "mask": mask, "coco": coco, "brush": brush_stream, "concept": concept}


def main() -> None:
    """Fuzz one target until it fails or time is up."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: fuzz.py {{{','.join(TARGETS)}}} [CORPUS] [libFuzzer options]")
    read = TARGETS[sys.argv.pop(1)]

    def one(data: bytes) -> None:
        with suppress(RecoAssistError):
            read(data)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
