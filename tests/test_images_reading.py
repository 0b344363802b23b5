import contextlib
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from reco_assist.errors import ImageError, InputError
from reco_assist.images import content_hash, decode, read_bytes, squash, thumbnail


def gradient(height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture without symmetry: every flip and turn of it is another picture."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + 2 * y) * 80 // width], -1).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, -1).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"big_tiff": True}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 8),
        ("JPEG", {"quality": 98, "subsampling": 0}, 4),
        ("JPEG", {"progressive": True, "quality": 98, "subsampling": 0}, 4),
        ("MPO", {"quality": 98, "subsampling": 0}, 4),  # what some cameras and phones call .jpg
    ],
)
def test_formats(kind, options, tolerance):
    image = decode(encoded(gradient(), kind, **options))
    assert (image.width, image.height, image.pixels.dtype) == (64, 48, np.uint8)
    assert image.pixels.flags.c_contiguous
    assert np.abs(image.pixels.astype(int) - gradient()).max() <= tolerance


def test_first_frame_of_a_gif():
    red, blue = (Image.new("RGB", (9, 7), colour) for colour in ("red", "blue"))
    pixels = decode(encoded(red, "GIF", save_all=True, append_images=[blue])).pixels
    assert (pixels == (255, 0, 0)).all()


def modes() -> list:
    levels = gradient()[..., 0]  # (H, W)
    deep = (np.arange(48 * 64).reshape(48, 64) * 65535 // (48 * 64 - 1)).astype(np.uint16)
    scaled = grey(np.rint(deep / 257))
    alpha = Image.fromarray(np.dstack([gradient(), np.tile([0, 255], (48, 32)).astype(np.uint8)]))
    over_grey = np.where(np.tile([False, True], (48, 32))[..., None], gradient(), 128)
    palette = Image.fromarray(gradient()).quantize(16)
    clear = palette.copy()
    clear.info["transparency"] = 0
    clear_pixels = np.where((np.asarray(palette) == 0)[..., None], 128, np.asarray(palette.convert("RGB")))
    bits = levels > 100
    cmyk = Image.fromarray(gradient()).convert("CMYK")
    return [
        pytest.param(Image.fromarray(levels), "PNG", grey(levels), id="8-bit grey"),
        pytest.param(Image.fromarray(bits), "PNG", grey(bits * 255), id="1 bit"),
        pytest.param(Image.fromarray(deep), "PNG", scaled, id="16-bit grey PNG"),
        pytest.param(Image.fromarray(deep), "TIFF", scaled, id="16-bit grey TIFF"),
        pytest.param(Image.fromarray(deep.astype(np.int32) - 9), "TIFF", scaled, id="32-bit integers"),
        pytest.param(Image.fromarray(deep.astype(np.float32) / 7), "TIFF", scaled, id="floats"),
        pytest.param(alpha, "PNG", over_grey, id="RGBA"),
        pytest.param(alpha.convert("LA"), "PNG", None, id="LA"),
        pytest.param(palette, "PNG", np.asarray(palette.convert("RGB")), id="palette"),
        pytest.param(clear, "PNG", clear_pixels, id="palette with a transparent entry"),
        pytest.param(cmyk, "TIFF", np.asarray(cmyk.convert("RGB")), id="CMYK"),
    ]


@pytest.mark.parametrize(("image", "kind", "expected"), modes())
def test_pixel_modes(image, kind, expected):
    pixels = decode(encoded(image, kind)).pixels
    assert pixels.shape == (48, 64, 3)
    if expected is None:  # LA: transparent columns are grey, the others Pillow's own luminance
        expected = np.where(np.tile([False, True], (48, 32)), np.asarray(image)[..., 0], 128)
        expected = grey(expected)
    np.testing.assert_array_equal(pixels, expected)


def test_cmyk_jpeg_is_not_inverted():
    white = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert decode(encoded(white, "JPEG")).pixels.min() > 250


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_png(channels):
    import cv2

    deep = np.random.default_rng(0).integers(0, 65536, (8, 9, channels), np.uint16)
    deep[..., 3:] = 65535
    ok, data = cv2.imencode(".png", deep)
    assert ok
    pixels = decode(data.tobytes()).pixels
    # Pillow keeps the high byte of each value, which is at most one level from the rounded quotient.
    assert np.abs(pixels - deep[..., 2::-1] / 257).max() < 1


def test_floats_without_any_finite_range_are_black():
    for values in ([np.nan, np.inf], [3, 3]):
        image = Image.fromarray(np.array([values], np.float32))
        assert (decode(encoded(image, "TIFF")).pixels == 0).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_exif_orientation_is_applied(kind, options, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(gradient(), kind, exif=exif, **options)
    with Image.open(BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    decoded = decode(data)
    np.testing.assert_array_equal(decoded.pixels, expected)
    assert (decoded.height, decoded.width) == expected.shape[:2]


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_do_not_exist_are_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode(encoded(gradient(), exif=exif)).pixels, gradient())


def test_an_orientation_in_xmp_alone_turns_nothing():
    """As Chromium shows it (tried): who draws on the photograph in a browser sees it unturned."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = encoded(gradient(), "JPEG", xmp=xmp)
    with Image.open(BytesIO(data)) as opened:
        assert opened.getexif()[0x0112] == 6  # what Pillow makes of it
    assert decode(data).pixels.shape == gradient().shape


def test_broken_exif_is_upright():
    data = encoded(gradient(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff broken")
    assert decode(data).pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("orientation", [1, 6])
def test_reduction_never_goes_below_the_side_and_keeps_the_frame(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(gradient(600, 1000), "JPEG", exif=exif)
    full = decode(data)
    for side, shrunk in ((75, 8), (76, 4), (150, 4), (151, 2), (300, 2), (301, 1), (5000, 1)):
        decoded = decode(data, reduce_to=side)
        assert (decoded.width, decoded.height) == ((1000, 600) if orientation == 1 else (600, 1000))
        assert sorted(decoded.pixels.shape[:2]) == [600 // shrunk, 1000 // shrunk]
        small, whole = (squash(d.pixels, 64).astype(int) for d in (decoded, full))
        assert np.abs(small - whole).mean() < 2


def test_reduction_leaves_other_formats_alone():
    decoded = decode(encoded(gradient()), reduce_to=8)
    np.testing.assert_array_equal(decoded.pixels, gradient())


def test_reduction_below_one_pixel_is_refused():
    with pytest.raises(InputError, match="at least 1 pixel"):
        decode(encoded(gradient()), reduce_to=0)


def bomb(kind: str) -> bytes:
    """A small file that says it has 400 million pixels."""
    if kind == "PNG":
        return encoded(Image.new("1", (20000, 20000)))
    tiny = bytearray(encoded(Image.new("L", (16, 16)), kind))
    if kind == "BMP":
        tiny[18:26] = (20000).to_bytes(4, "little") * 2
    else:
        start = tiny.index(b"\xff\xc0") + 5
        tiny[start : start + 4] = (20000).to_bytes(2, "big") * 2
    return bytes(tiny)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG"])
def test_bombs_are_refused_by_their_header(kind, monkeypatch):
    from PIL import ImageFile

    data = bomb(kind)

    def load(self: object) -> None:
        pytest.fail("the pixels were decoded")

    for reader in (ImageFile.ImageFile, *ImageFile.ImageFile.__subclasses__()):
        monkeypatch.setattr(reader, "load", load)
    with pytest.raises(ImageError, match=r"20000 x 20000 pixels, more than the 175,000,000 allowed"):
        decode(data)


def test_the_pixel_limit_is_ours_alone(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Image.open would refuse twice as many
    for kind in ("JPEG", "PNG", "BMP", "GIF"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert decode(encoded(gradient(), kind)).width == 64
    with pytest.raises(ImageError, match="64 x 48 pixels, more than the 3,071 allowed"):
        decode(encoded(gradient()), max_pixels=64 * 48 - 1)
    assert decode(encoded(gradient()), max_pixels=64 * 48).width == 64


JPEG, PNG, TIFF, WEBP, GIF = (encoded(gradient(), kind) for kind in ("JPEG", "PNG", "TIFF", "WEBP", "GIF"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "empty", id="zero bytes"),
        pytest.param(b"not an image at all\n" * 50, "is not a JPEG", id="text renamed .jpg"),
        pytest.param(b"%PDF-1.7\n", "is not a JPEG", id="PDF"),
        pytest.param(b"\0\0\0 ftypheic", "is damaged", id="HEIC"),
        pytest.param(b"RIFF\x10\0\0\0WAVEfmt ", "damaged", id="a sound in WebP's container"),
        *[
            pytest.param(data[: len(data) * share // 100], "damaged|not a", id=f"{name} cut at {share} %")
            for name, data in zip(["JPEG", "PNG", "TIFF", "WEBP"], (JPEG, PNG, TIFF, WEBP), strict=True)
            for share in (1, 30, 80)
        ],
        pytest.param(GIF[:20], "damaged", id="GIF cut in its header"),
        pytest.param(JPEG[:2] + b"\xff" + bytes(200), "damaged", id="JPEG start, then zeros"),
        pytest.param(PNG[:50] + bytes(len(PNG) - 50), "damaged", id="PNG with zeroed data"),
        pytest.param(TIFF[:4] + b"\xff\xff\xff\xff" + TIFF[8:], "damaged", id="TIFF pointing nowhere"),
    ],
)
def test_bad_files_are_one_sentence(data, words, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(ImageError, match=words) as caught:
            decode(source)
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith(".")
    assert str(path) in str(caught.value)


def test_random_damage_is_never_anything_but_an_image_error():
    rng = np.random.default_rng(0)
    for data in (JPEG, PNG, TIFF, WEBP, GIF):
        for _ in range(60):
            damaged = bytearray(data)
            for position in rng.integers(8, len(data), 5):
                damaged[position] = rng.integers(256)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with contextlib.suppress(ImageError):
                    decode(bytes(damaged))


def test_reading_files(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    assert read_bytes(path) == PNG
    assert decode(path).width == 64
    for missing in (tmp_path / "b.png", tmp_path):
        with pytest.raises(ImageError, match="cannot be read"):
            read_bytes(missing)
    monkeypatch.setattr("reco_assist.image_files.MAX_BYTES", len(PNG) - 1)
    with pytest.raises(ImageError, match="larger than"):
        read_bytes(path)


def test_content_hash_is_sha256():
    assert content_hash(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_squash_is_the_bicubic_square():
    expected = Image.fromarray(gradient()).resize((24, 24), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(squash(gradient(), 24), np.asarray(expected))


def test_thumbnail_keeps_the_aspect_drops_metadata_and_never_enlarges():
    for shape, size in (((480, 640), (192, 144)), ((640, 480), (144, 192)), ((20, 30), (30, 20))):
        with Image.open(BytesIO(thumbnail(gradient(*shape)))) as image:
            assert (image.format, image.size) == ("JPEG", size)
            assert not image.getexif()
            assert "icc_profile" not in image.info
    with Image.open(BytesIO(thumbnail(gradient(1, 1000)))) as sliver:
        assert sliver.size == (192, 1)


def test_decoding_is_the_same_for_paths_and_bytes(tmp_path):
    Path(tmp_path / "a.webp").write_bytes(WEBP)
    np.testing.assert_array_equal(decode(tmp_path / "a.webp").pixels, decode(WEBP).pixels)


def strange() -> list:
    """Files that are two things at once, lie about their size, or have several frames."""
    red, blue = (Image.new("RGB", (64, 48), colour) for colour in ("red", "blue"))
    frames = {"save_all": True, "append_images": [blue]}
    jpeg, gif = encoded(red, "JPEG"), encoded(red, "GIF")
    webp, tiff = encoded(red, "WEBP", lossless=True), encoded(red, "TIFF")
    directory = int.from_bytes(tiff[4:8], "little")
    many_tags = tiff[:directory] + b"\xff\xff" + tiff[directory + 2 :]
    exif = b"\xff\xe1\x00\x10Exif\0\0" + bytes(range(200, 208))
    return [
        pytest.param(jpeg + gif, True, id="GIF behind a JPEG"),
        pytest.param(gif + jpeg, True, id="JPEG behind a GIF"),
        pytest.param(jpeg + b"PK\x03\x04../../x", True, id="ZIP behind a JPEG"),
        pytest.param(jpeg[:2] + exif + jpeg[2:], True, id="EXIF garbage"),
        pytest.param(encoded(red, "WEBP", lossless=True, **frames), True, id="animated WebP"),
        pytest.param(encoded(red, "GIF", **frames), True, id="animated GIF"),
        pytest.param(many_tags, None, id="TIFF of 65,535 tags"),
        pytest.param(webp[: len(webp) // 2], False, id="half a WebP"),
        pytest.param(b"PK\x03\x04" + jpeg, False, id="JPEG behind a ZIP"),
    ]


@pytest.mark.parametrize(("data", "good"), strange())
def test_strange_files_are_a_picture_or_one_sentence(data, good):
    """None: either will do."""
    try:
        found = decode(data)
    except ImageError as error:
        found = str(error)
    if isinstance(found, str):
        assert good is not True, found
        assert found.endswith(".")
        assert "\n" not in found
    else:
        assert good is not False
        assert (found.width, found.height) == (64, 48)
        assert np.abs(found.pixels.astype(int) - (255, 0, 0)).max() < 4
