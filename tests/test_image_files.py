"""The one opener of images: formats that were asked for, sizes by the header, one sentence for the rest."""

import ast
import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import reco_assist
from reco_assist.errors import FormatError, ImageError, RecoAssistError
from reco_assist.formats import read_dataset
from reco_assist.formats.png import read_label_map
from reco_assist.image_files import OURS, PHOTOGRAPHS, load_image, load_map, open_image
from reco_assist.reproduction.datasets import BENCHMARKS, Sample
from reco_assist.retrieval.rank import _fingerprint

PIXELS = np.arange(30 * 40, dtype=np.uint32).reshape(30, 40).astype(np.uint8)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\nshowpage\n%%EOF\n"


HEIC = Path(__file__).parent / "expected" / "quarters.heic"
"""Four coloured quarters, 40 x 24; made once by pillow-heif 1.8, since what is installed only decodes."""


def encoded(kind: str, pixels: np.ndarray = PIXELS) -> bytes:
    if kind == "HEIF":
        return HEIC.read_bytes()
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that states a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


HOSTILE = {
    "nothing": b"",
    "PostScript": POSTSCRIPT,
    "a photograph's format": encoded("TIFF"),
    "cut short": encoded("PNG")[:-40],
    "only a signature": b"\x89PNG\r\n\x1a\n",
    "too many pixels": claiming(1 << 20, 1 << 20),
    "text": b"P1 2 2 0 1 1 0",
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_maps_and_thumbnails_are_read_as_pillow_reads_them(tmp_path, kind):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(kind))
    expected = np.asarray(Image.open(path))
    np.testing.assert_array_equal(np.asarray(load_image(path)), expected)
    np.testing.assert_array_equal(np.asarray(load_image(path.read_bytes(), "LA"))[..., 0], expected)


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_every_reader_refuses_what_is_no_map_in_one_sentence(tmp_path, data):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    good = tmp_path / "good.png"
    good.write_bytes(encoded("PNG", np.repeat(PIXELS[..., None], 3, -1)))
    benchmark = next(iter(BENCHMARKS.values()))
    readers = (
        lambda: load_image(path),
        lambda: load_map(path, height=30, width=40),
        lambda: read_label_map(path),
        lambda: _fingerprint(data),
        lambda: benchmark.read(Sample("a", path, good)),
        lambda: benchmark.read(Sample("a", good, path)),
    )
    for read in readers:
        with pytest.raises(RecoAssistError) as refused:
            read()
        assert len(str(refused.value).replace(str(tmp_path), "")) < 300
        assert "\n" not in str(refused.value)


def test_no_reader_starts_another_program(tmp_path, monkeypatch):
    tools, told = tmp_path / "tools", tmp_path / "started"
    tools.mkdir()
    for name in ("gs", "gswin64c"):
        (tools / name).write_text(f"#!/bin/sh\ntouch {told}\nexit 0\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # looked for anew
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "a.png").write_bytes(POSTSCRIPT)
    (maps / "legend.json").write_text('[{"id": 0, "name": "background"}, {"id": 1, "name": "mug"}]')
    with pytest.raises(FormatError):
        read_label_map(maps / "a.png")
    with pytest.raises(RecoAssistError):
        read_dataset(maps)
    with pytest.raises(ImageError):
        _fingerprint(POSTSCRIPT)
    assert not told.exists()
    with pytest.raises(OSError, match="cannot identify"), Image.open(maps / "a.png") as image:
        image.load()
    assert told.exists(), "the stand-in is not what Pillow starts"


def test_a_map_of_another_size_or_kind_is_not_taken_for_ours(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))
    np.testing.assert_array_equal(load_map(path, height=30, width=40), PIXELS)
    with pytest.raises(ImageError, match="40 x 30"):
        load_map(path, height=40, width=30)
    path.write_bytes(encoded("PNG", np.repeat(PIXELS[..., None], 3, -1)))
    with pytest.raises(ImageError, match="RGB"):
        load_map(path, height=30, width=40)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    with pytest.raises(ImageError, match="no file"):
        load_image(pipe)
    with pytest.raises(ImageError, match="cannot be read"):
        load_image(tmp_path / "gone.png")


@pytest.mark.parametrize("kind", PHOTOGRAPHS)
def test_only_formats_that_are_asked_for_are_read(kind):
    data = encoded(kind)
    with open_image("a", data) as image:
        assert image.size == (40, 24 if kind == "HEIF" else 30)
    others = [one for one in PHOTOGRAPHS if one != kind]
    with pytest.raises(ImageError, match="whatever it is called"):
        open_image("a", data, formats=others)
    if kind not in OURS:
        with pytest.raises(ImageError, match="PNG or JPEG"):
            load_image(data)


def test_images_are_opened_in_one_place():
    found = []
    for path in Path(reco_assist.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(attr="open", value=ast.Name(id="Image") | ast.Attribute(attr="Image")):
                    found.append(f"{path.name}:{node.lineno}")
                case ast.ImportFrom(module=module) if module and module.startswith("PIL"):
                    plugins = "Plugin" in module and path.name != "image_files.py"
                    if module == "PIL.Image" or plugins:
                        found.append(f"{path.name}:{node.lineno}")
    assert not found, found
