"""A contact sheet: many images with their masks on one picture, to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from reco_assist.files import atomic_write
from reco_assist.masks.colours import palette

_TILE = (288, 216)  # width and height of a picture
_CAPTION = 26  # height of the line below it
_GAP = 14
_PAPER, _INK, _FAINT = (250, 250, 248), (32, 33, 36), (110, 112, 118)
_VEIL = 0.45  # share of the concept's colour inside a mask

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One picture of a sheet.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8, 0 where there is no concept, else the concept's number.
        caption: A short line; cut to fit.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    caption: str


def write_sheet(
    path: Path, tiles: Sequence[Tile], concepts: Sequence[str], *, title: str, columns: int = 5
) -> None:
    """Draw tiles in rows under a title and a legend, as a PNG.

    Args:
        path: The file.
        tiles: In reading order.
        concepts: Names, in the order of their numbers.
        title: The line on top.
        columns: Tiles in a row.

    Raises:
        StorageError: The file cannot be written.
    """
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns)
    width = columns * (_TILE[0] + _GAP) + _GAP
    top = 76
    sheet = Image.new("RGB", (width, top + rows * (_TILE[1] + _CAPTION + _GAP)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(22)
    draw.text((_GAP, 12), _fit(draw, title, font, width - 2 * _GAP), _INK, font)
    _legend(draw, concepts)
    for index, tile in enumerate(tiles):
        x = _GAP + index % columns * (_TILE[0] + _GAP)
        y = top + index // columns * (_TILE[1] + _CAPTION + _GAP)
        picture = overlay(tile.pixels, tile.labels, palette(len(concepts)), _TILE)
        sheet.paste(picture, (x + (_TILE[0] - picture.width) // 2, y + (_TILE[1] - picture.height) // 2))
        font = ImageFont.load_default(14)
        draw.text((x, y + _TILE[1] + 5), _fit(draw, tile.caption, font, _TILE[0]), _FAINT, font)
    with atomic_write(path) as file:
        sheet.save(file, "PNG", optimize=True)


def _legend(draw: ImageDraw.ImageDraw, concepts: Sequence[str]) -> None:
    x = _GAP
    font = ImageFont.load_default(15)
    for concept, colour in zip(concepts, palette(len(concepts)).tolist(), strict=True):
        draw.rounded_rectangle((x, 48, x + 14, 62), 3, tuple(colour))
        name = _fit(draw, concept, font, _TILE[0])
        draw.text((x + 20, 46), name, _INK, font)
        x += 44 + round(draw.textlength(name, font))


def overlay(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], colours: NDArray[np.uint8], room: tuple[int, int]
) -> Image.Image:
    """An image as large as a room allows, masks veiled and outlined in their concept's colour.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8, 0 where there is no concept, else the concept's number.
        colours: (n, 3) uint8 RGB of the concepts, in the order of their numbers.
        room: Width and height that the picture must fit into.
    """
    height, width = labels.shape
    scale = min(room[0] / width, room[1] / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), np.float32)
    labels = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    veiled = pixels.copy()
    for number in np.unique(labels[labels > 0]):
        mask, colour = labels == number, colours[number - 1]
        edge = mask & ~binary_erosion(mask, iterations=2)
        veiled[mask] = (1 - _VEIL) * pixels[mask] + _VEIL * colour
        veiled[edge] = colour
    return Image.fromarray(veiled.round().astype(np.uint8))


def _fit(draw: ImageDraw.ImageDraw, text: str, font: _Font, width: int) -> str:
    """The text, without its middle where it is wider than that: names of files often differ at their ends."""
    kept, fitted = len(text), text
    while kept and draw.textlength(fitted, font) > width:
        kept -= 1
        fitted = text[: kept // 2] + "…" + text[len(text) - (kept - kept // 2) :]
    return fitted
