"""Bad input gets one sentence. The table in docs/reference/bad-input.md holds what is really said.

python tests/test_refusals.py     write the table anew
"""

import json
import re
import struct
import tempfile
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from reco_assist.annotations.regions import Rule
from reco_assist.archive import Archive
from reco_assist.cli.app import app
from reco_assist.concepts import Concept
from reco_assist.errors import RecoAssistError
from reco_assist.images import decode
from reco_assist.label_studio import Server
from reco_assist.session import Session

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "bad-input.md"
_HEAD = """# Bad input, and what is said

What was tried, and the sentence that answers it; `tests/test_refusals.py` tries it all again and
compares.

| given | said |
| --- | --- |
"""


def png(width=40, height=30):
    buffer = BytesIO()
    Image.new("RGB", (width, height), (9, 90, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def bomb():
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return png()[:12] + header + struct.pack(">I", zlib.crc32(header)) + png()[33:]


def run(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, RecoAssistError):
        raise done.exception
    raise AssertionError(f"exit {done.exit_code}: {done.output}")


def coco(folder, **changes):
    """A data set of one image and one square, with something changed in its annotation or image."""
    image = {"id": 1, "file_name": "a.png", "height": 30, "width": 40}
    square = [[5, 5, 20, 5, 20, 20, 5, 20]]
    one = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": square,
        "bbox": [5, 5, 15, 15],
        "area": 225,
    }
    for name, value in changes.items():
        (image if name in image and name != "id" else one)[name] = value
    document = {"images": [image], "annotations": [one], "categories": [{"id": 1, "name": "mug"}]}
    path = folder / "coco.json"
    path.write_text(json.dumps(document))
    return path


def convert(folder, **changes):
    written(folder, "a.png", png())
    run("convert", coco(folder, **changes), "--images", folder, "--to", "yolo", "--out", folder / "out")


def written(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


def segment(folder, *options):
    written(folder, "a.png", png())
    run("segment", folder / "mug.concept", "--images", folder, "--out", folder / "out", *options)


CASES = {
    # images
    "an empty image file": lambda folder: decode(b""),
    "a text file named .jpg": lambda folder: decode(b"hello, I am a photograph"),
    "a PNG cut off in the middle": lambda folder: decode(png()[:60]),
    "a PNG that claims 60,000 x 60,000 pixels": lambda folder: decode(bomb()),
    # archives
    "a folder that is not there, to be indexed": lambda folder: run(
        "index", folder / "photos.reco", folder / "nowhere"
    ),
    "a folder without images, to be indexed": lambda folder: run(
        "index", folder / "photos.reco", make(folder / "empty")
    ),
    "an archive that is not there": lambda folder: Archive.open(folder / "nowhere.reco"),
    "a photograph for an archive": lambda folder: Archive.open(written(folder, "a.png", png())),
    "an archive of a newer release": lambda folder: Archive.open(newer_archive(folder)),
    # concepts
    "a photograph for a concept": lambda folder: Concept.load(written(folder, "mug.concept", png())),
    "a concept file whose header claims 2^60 bytes": lambda folder: Concept.load(
        written(folder, "mug.concept", (1 << 60).to_bytes(8, "little") + b"{}")
    ),
    # segmenting
    "a concept file that is not there": segment,
    "`--threshold 7`": lambda folder: Rule.of(7, "components", overlap=False),
    "`--format tiff`": lambda folder: segment(folder, "--format", "tiff"),
    # COCO files
    "a COCO file that is no JSON": lambda folder: run(
        "report", written(folder, "coco.json", b"no JSON"), "--images", folder
    ),
    "a COCO file without images": lambda folder: run(
        "report", written(folder, "coco.json", b"[]"), "--images", folder
    ),
    "an annotation of an image that is not listed": lambda folder: convert(folder, image_id=9),
    "an annotation of a category that is not listed": lambda folder: convert(folder, category_id=9),
    "a polygon with NaN": lambda folder: convert(folder, segmentation=[[float("nan"), 1, 2, 3, 4, 5]]),
    "a polygon of five numbers": lambda folder: convert(folder, segmentation=[[1, 1, 2, 2, 3]]),
    "run lengths that overrun the image": lambda folder: convert(
        folder, segmentation={"size": [30, 40], "counts": [600, 601]}
    ),
    "run lengths of another size than the image": lambda folder: convert(
        folder, segmentation={"size": [40, 40], "counts": [600, 1000]}
    ),
    "an image of 10^9 x 10^9 pixels": lambda folder: convert(folder, height=10**9, width=10**9),
    "an image of -1 pixels": lambda folder: convert(folder, width=-1),
    "a file name of `../../secret.png`": lambda folder: convert(folder, file_name="../../secret.png"),
    "a data set whose images are not there": lambda folder: convert(folder, file_name="b.png"),
    # Label Studio
    "a folder without results, to be pushed": lambda folder: run(
        "push", folder, "--url", "http://127.0.0.1:9", "--project", "mugs"
    ),
    "`--shape circle`": lambda folder: run(
        "push", folder, "--url", "http://127.0.0.1:9", "--project", "mugs", "--shape", "circle"
    ),
    "no token": lambda folder: Server("http://127.0.0.1:9", ""),
    "an address without http": lambda folder: Server("localhost", "0" * 40),
    "an address where no server answers": lambda folder: Server(
        "http://127.0.0.1:9", "0" * 40, attempts=1
    ).get("/api/projects/"),
    # sessions
    "a photograph for a session": lambda folder: Session.open(written(folder, "a.png", png())),
    "a session of a newer release": lambda folder: Session.open(newer_session(folder)),
    "a folder that is no archive and no session, to be examined": lambda folder: run("doctor", folder),
}


def make(folder):
    folder.mkdir()
    return folder


def newer_session(folder):
    written(make(folder / "job.session"), "audit.jsonl", b'{"format":99}\n')
    return folder / "job.session"


def newer_archive(folder):
    written(make(folder / "photos.reco"), "archive.json", b'{"format":99}\n')
    return folder / "photos.reco"


def sentence(case, folder):
    """What is said, with the test's own folder left out."""
    with pytest.raises(RecoAssistError) as caught:
        CASES[case](folder)
    said = str(caught.value).replace(f"{folder}/", "").replace(str(folder), "the folder")
    return re.sub(r"\[Errno \d+\] ", "", said)  # a number of the system's


def page(sentences):
    return _HEAD + "".join(f"| {case} | {cell(said)} |\n" for case, said in sentences.items())


def cell(said):
    return said.replace("|", "\\|").replace("[", "\\[").replace("*", "\\*")


@pytest.mark.parametrize("case", CASES)
def test_the_sentence_is_the_one_in_the_documentation(case, tmp_path):
    said = sentence(case, tmp_path)
    assert f"| {case} | {cell(said)} |" in PAGE.read_text(encoding="utf-8").splitlines()
    assert not list(tmp_path.rglob("*.reco-tmp"))


if __name__ == "__main__":
    found = {}
    for name in CASES:
        with tempfile.TemporaryDirectory() as place:
            found[name] = sentence(name, Path(place))
    PAGE.write_text(page(found), encoding="utf-8")
