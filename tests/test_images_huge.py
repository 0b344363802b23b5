"""Images read in parts: the pixels that Pillow decodes, whatever holds them, and one sentence otherwise."""

import os
import struct
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from reco_assist.errors import ImageError
from reco_assist.images import decode, digest_of, read_rows, size_of

pyvips = pytest.importorskip("pyvips")
H, W = 90, 130


def values(bands, top=255):
    y, x = np.mgrid[:H, :W]
    planes = [(x * 2 + y * (k + 1)) % (top + 1) for k in range(bands)]
    return np.stack(planes, 2)[..., 0 if bands == 1 else slice(None)].astype(
        np.uint8 if top < 256 else np.uint16
    )


def deep(bands):
    """16-bit values, which Pillow cannot write in colour."""
    return pyvips.Image.new_from_array(values(bands, 65535)).copy(
        interpretation="rgb16" if bands > 2 else "grey16"
    )


def pillow(mode, bands, **options):
    return lambda path: Image.fromarray(values(bands), mode).save(path, **options)


def palette(path):
    Image.fromarray(values(3)).quantize(30).save(path)


def see_through(path):
    Image.fromarray(values(3)).save(path, transparency=(0, 0, 0))


CASES = {
    "rgb.jpg": pillow("RGB", 3, quality=90),
    "grey.jpg": pillow("L", 1),
    "progressive.jpg": pillow("RGB", 3, progressive=True),
    "rgb.png": pillow("RGB", 3),
    "rgba.png": pillow("RGBA", 4),
    "grey-alpha.png": pillow("LA", 2),
    "palette.png": palette,
    "one-bit.png": lambda path: Image.fromarray(values(1)).convert("1").save(path),
    "transparent-colour.png": see_through,
    "deep-grey.png": lambda path: deep(1).pngsave(path),
    "deep-rgb.png": lambda path: deep(3).pngsave(path),
    "deep-rgba.png": lambda path: deep(4).pngsave(path),
    "strips.tif": pillow("RGB", 3, compression="tiff_deflate"),
    "grey.tif": pillow("L", 1),
    "rgba.tif": pillow("RGBA", 4),
    "raw.tiff": pillow("RGB", 3),
    "lzw.tif": pillow("RGB", 3, compression="tiff_lzw"),
    "deep-grey.tif": lambda path: deep(1).tiffsave(path),
    "tiles.tif": lambda path: pyvips.Image.new_from_array(values(3)).tiffsave(
        path, tile=True, tile_width=32, tile_height=32
    ),
    "big-tiles.tif": lambda path: pyvips.Image.new_from_array(values(3)).tiffsave(
        path, tile=True, tile_width=32, tile_height=32, bigtiff=True, compression="deflate"
    ),
    "pages.tif": lambda path: Image.fromarray(values(3)).save(
        path, save_all=True, append_images=[Image.new("RGB", (5, 6))]
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_parts_are_what_is_decoded_whole(name, tmp_path):
    path = tmp_path / name
    CASES[name](str(path))
    parts = list(read_rows(path, [17, 18, 64, H], whole=0))
    assert [len(part) for part in parts] == [17, 1, 46, 26]
    np.testing.assert_array_equal(np.concatenate(parts), decode(path).pixels)
    np.testing.assert_array_equal(np.concatenate(list(read_rows(path, [40, H]))), decode(path).pixels)
    assert size_of(path) == (W, H)
    assert digest_of(path) == sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_every_orientation_is_upright(ending, orientation, tmp_path):
    path = tmp_path / f"turned.{ending}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values(3)).save(path, exif=exif)
    upright = decode(path)
    assert size_of(path) == (upright.width, upright.height)
    parts = list(read_rows(path, [30, upright.height], whole=0))
    np.testing.assert_array_equal(np.concatenate(parts), upright.pixels)


def refused(path, whole=0):
    with pytest.raises(ImageError) as caught:
        list(read_rows(path, [H // 2, H], whole=whole))
    assert len(str(caught.value)) < 300
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_a_file_cut_short_is_said_to_be(ending, tmp_path):
    path = tmp_path / f"cut.{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 2])
    assert "damaged" in refused(path)


def test_kinds_that_are_not_read_in_parts_are_named(tmp_path):
    Image.fromarray(values(4), "CMYK").save(tmp_path / "print.jpg")
    assert "cmyk, 4 x uchar" in refused(tmp_path / "print.jpg")
    Image.fromarray(values(1).astype(np.float32)).save(tmp_path / "heights.tif")
    assert "b-w, 1 x float" in refused(tmp_path / "heights.tif")
    Image.fromarray(values(3)).save(tmp_path / "old.bmp")
    assert "save it as one of these" in refused(tmp_path / "old.bmp")
    (tmp_path / "empty.tif").write_bytes(b"")
    assert "empty" in refused(tmp_path / "empty.tif")
    (tmp_path / "page.png").write_bytes(b"<html>")
    assert "whatever it is called" in refused(tmp_path / "page.png")
    assert "cannot be read" in refused(tmp_path / "gone.png")


def test_without_the_reader_a_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    data = bytearray(claims(20_000, 20_000))
    path.write_bytes(data)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(ImageError, match=r"pip install 'reco-assist\[huge\]'"):
        next(read_rows(path, [20_000]))
    path.write_bytes(claims(30_000, 30_000))
    with pytest.raises(ImageError, match="more than the 500,000,000 allowed"):
        size_of(path)


def claims(width, height):
    """The head of a PNG file of a size."""
    from zlib import crc32

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


READ = """
import resource, sys
from pathlib import Path
from reco_assist.images import read_rows
import pyvips
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for part in read_rows(Path(sys.argv[1]), [*range(1000, 10001, 1000)]):
    pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_a_huge_image_takes_little_memory(tmp_path):
    path = tmp_path / "plain.tif"
    pyvips.Image.black(10_000, 10_000, bands=3).tiffsave(str(path), compression="deflate", tile=True)
    done = subprocess.run(
        [sys.executable, "-c", READ, path], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert int(done.stdout) < 200e6  # of 300 MB of pixels
