"""Seeded textures and surface materials of the sample scenes, as Mitsuba dictionaries."""

from typing import Any

import mitsuba as mi
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Array = npt.NDArray[np.float64]
Rng = np.random.Generator
Colour = tuple[float, float, float]  # sRGB in [0, 1]
Material = dict[str, Any]

RED: Colour = (0.74, 0.07, 0.07)
BRIGHT: list[Colour] = [
    (0.75, 0.1, 0.1), (0.15, 0.35, 0.6), (0.9, 0.7, 0.2), (0.2, 0.5, 0.35), (0.9, 0.88, 0.82),
    (0.25, 0.25, 0.28), (0.85, 0.45, 0.2), (0.45, 0.3, 0.5), (0.55, 0.7, 0.75),
]  # fmt: skip


def linear(colour: Colour | Array) -> Array:
    """Convert sRGB in [0, 1] to linear reflectance."""
    c = np.asarray(colour, dtype=float)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def jitter(rng: Rng, colour: Colour, amount: float = 0.04) -> Colour:
    """Shift a colour a little, clipped to [0, 1]."""
    r, g, b = np.clip(np.asarray(colour) + rng.normal(0, amount, 3), 0.01, 0.97)
    return float(r), float(g), float(b)


def any_colour(rng: Rng) -> Colour:
    """Draw a colour for household things."""
    return jitter(rng, BRIGHT[int(rng.integers(len(BRIGHT)))], 0.03)


def noise(rng: Rng, size: tuple[int, int], power: float = 1.5, stretch: float = 1.0) -> Array:
    """Return tileable 1/f^power noise in [0, 1], (h, w) float64; stretch > 1 draws it out along w."""
    h, w = size
    fy, fx = np.fft.fftfreq(h)[:, None] * h, np.fft.rfftfreq(w)[None] * w
    f = np.hypot(fy, fx * stretch)
    f[0, 0] = np.inf
    spectrum = (rng.normal(size=f.shape) + 1j * rng.normal(size=f.shape)) / f**power
    field = np.fft.irfft2(spectrum, s=size)
    low, high = np.percentile(field, [1, 99])
    return np.clip((field - low) / (high - low), 0, 1)


def blend(field: Array, dark: Colour, light: Colour) -> Array:
    """Map a field in [0, 1] onto a colour ramp, (h, w, 3)."""
    return field[..., None] * np.asarray(light) + (1 - field[..., None]) * np.asarray(dark)


def wood(rng: Rng, dark: Colour, light: Colour, planks: int = 5, size: int = 768) -> Array:
    """Planks along u with grain and darker joints."""
    rows = []
    for _ in range(planks):
        h = size // planks
        warp = noise(rng, (h, size), 1.8, 7.0)
        fibre = noise(rng, (h, size), 0.7, 40.0)
        rings = 0.5 + 0.5 * np.sin(2 * np.pi * (warp * rng.uniform(3, 7) + rng.uniform()))
        tone = rng.uniform(-0.14, 0.14)
        plank = blend(np.clip(0.45 * rings + 0.55 * fibre + tone, 0, 1), dark, light)
        plank[:2] *= 0.45
        cut = int(rng.integers(size))
        plank[:, cut : cut + 2] *= 0.5
        rows.append(plank)
    return np.concatenate(rows)


def tiles(
    rng: Rng, colours: list[Colour], grout: Colour, *, count: int = 4, brick: bool = False, size: int = 512
) -> Array:
    """Square tiles (or running-bond bricks, three times as wide as high) with grout between."""
    rows, columns = (count * 3, count) if brick else (count, count)
    h, w = size // rows, size // columns
    out = np.empty((rows * h, columns * w, 3))
    grain = noise(rng, out.shape[:2], 0.9)[..., None] * 0.16 - 0.08
    gap = max(2, size // 140)
    for i in range(rows):
        row = np.empty((h, columns * w, 3))
        for j in range(columns):
            pick = (i + j) % len(colours) if not brick else int(rng.integers(len(colours)))
            shade = np.clip(np.asarray(colours[pick]) * rng.normal(1, 0.035), 0, 1)
            row[:, j * w : (j + 1) * w] = shade
            row[:, j * w : j * w + gap] = grout
        row[:gap] = grout
        out[i * h : (i + 1) * h] = np.roll(row, (w // 2) * (i % 2) if brick else 0, axis=1)
    return np.clip(out + grain * (0.6 if brick else 0.25), 0, 1)


def marble(rng: Rng, base: Colour, vein: Colour, size: int = 640) -> Array:
    """Stone with thin veins."""
    field = noise(rng, (size, size), 1.7)
    lines = np.exp(-(((field - 0.5) / 0.02) ** 2)) + 0.6 * np.exp(
        -(((noise(rng, (size, size), 1.5) - 0.4) / 0.015) ** 2)
    )
    cloud = noise(rng, (size, size), 1.9) * 0.35
    return blend(np.clip(lines * 0.7 + cloud, 0, 1), base, vein)


def mottled(rng: Rng, base: Colour, amount: float = 0.1, power: float = 1.2, size: int = 512) -> Array:
    """Plaster, concrete, felt: one colour with soft unevenness."""
    field = noise(rng, (size, size), power) - 0.5
    field = 0.6 * field + 0.4 * (noise(rng, (size, size), 0.3) - 0.5)  # a fine grain over the clouds
    return np.clip(np.asarray(base) + amount * 2 * field[..., None], 0, 1)


def speckled(rng: Rng, base: Colour, dots: Colour, share: float = 0.1, size: int = 512) -> Array:
    """Terrazzo or glaze speckle."""
    field = noise(rng, (size, size), 0.75)
    return blend((field > np.quantile(field, 1 - share)).astype(float), base, dots)


def stripes(colours: list[Colour], weights: list[float], size: int = 256) -> Array:
    """Bands of colour from the bottom (v = 0) upwards."""
    edges = np.r_[0, np.cumsum(weights)] / np.sum(weights) * size
    out = np.empty((size, 8, 3))
    for colour, low, high in zip(colours, edges[:-1], edges[1:], strict=True):
        out[round(low) : round(high)] = colour
    return out[::-1]


def extinguisher_label(rng: Rng, kind: int) -> Array:
    """Draw an instruction label: a headline, pictogram boxes and lines of small print."""
    paper, ink, band = [
        ((246, 244, 236), (40, 40, 44), (190, 20, 24)),
        ((250, 214, 64), (34, 30, 24), (30, 30, 30)),
        ((238, 240, 244), (24, 40, 92), (28, 64, 150)),
        ((240, 236, 220), (50, 36, 30), (228, 190, 60)),
    ][kind % 4]
    image = Image.new("RGB", (320, 360), paper)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 320, 84), fill=band)
    title = ["FIRE", "POWDER", "CO2", "FOAM"][kind % 4]
    draw.text((160, 42), title, (250, 250, 244), ImageFont.load_default(60), anchor="mm")
    for i in range(3):
        x = 20 + i * 98
        draw.rectangle((x, 104, x + 84, 188), outline=ink, width=4)
        draw.ellipse((x + 22, 118, x + 50, 146), fill=band)
        draw.line((x + 20, 176, x + 40, 150, x + 70, 160), fill=ink, width=7)
    for i in range(8):
        draw.line((20, 212 + i * 17, 20 + int(rng.integers(170, 280)), 212 + i * 17), fill=ink, width=5)
    return np.asarray(image, dtype=float) / 255


def gauge_face() -> Array:
    """Draw a pressure gauge: green arc, red ends, needle."""
    image = Image.new("RGB", (128, 128), (244, 244, 240))
    draw = ImageDraw.Draw(image)
    for low, high, colour in (
        (150, 225, (205, 40, 34)),
        (225, 315, (40, 150, 60)),
        (315, 390, (205, 40, 34)),
    ):
        draw.arc((14, 14, 114, 114), low, high, fill=colour, width=20)
    draw.line((64, 70, 84, 30), fill=(20, 20, 20), width=6)
    return np.asarray(image, dtype=float) / 255


def cover(rng: Rng, base: Colour) -> Array:
    """Draw a carton, book or poster front: a field, a bar, a few lines."""
    image = Image.new("RGB", (200, 260), tuple(int(255 * c) for c in base))
    draw = ImageDraw.Draw(image)
    ink = tuple(int(v) for v in rng.integers(20, 240, 3))
    top = int(rng.integers(20, 120))
    draw.rectangle((18, top, 182, top + 40), fill=ink)
    for _ in range(int(rng.integers(1, 4))):
        x, y, r = rng.integers(30, 170), rng.integers(90, 230), rng.integers(12, 50)
        colour = tuple(int(v) for v in rng.integers(30, 240, 3))
        draw.ellipse((int(x - r), int(y - r), int(x + r), int(y + r)), fill=colour)
    for i in range(3):
        draw.line((24, 216 + 12 * i, int(rng.integers(80, 176)), 216 + 12 * i), fill=ink, width=4)
    return np.asarray(image, dtype=float) / 255


def sky(rng: Rng, size: tuple[int, int] = (192, 256)) -> Array:
    """Draw the blurred view from a window: bright sky over hazy greens."""
    h = size[0]
    horizon = rng.uniform(0.5, 0.75)
    y = np.linspace(0, 1, h)[:, None] + 0.12 * (noise(rng, size, 1.8) - 0.5)
    top = blend(np.clip(np.broadcast_to(y / horizon, size), 0, 1), (0.62, 0.78, 0.95), (0.96, 0.97, 0.98))
    ground = blend(noise(rng, size, 1.5), (0.22, 0.36, 0.18), (0.6, 0.68, 0.42))
    mix = (1 / (1 + np.exp(-(y - horizon) * 60)))[..., None]
    return top * (1 - mix) + ground * mix


def texture(image: Array) -> dict[str, Any]:
    """Wrap an sRGB image (h, w, 3) in [0, 1] as a repeating texture."""
    pixels = np.ascontiguousarray(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8))
    return {"type": "bitmap", "bitmap": mi.Bitmap(pixels), "wrap_mode": "repeat"}


def _reflectance(colour: Colour | Array) -> dict[str, Any]:
    if np.ndim(colour) == 3:
        return texture(np.asarray(colour))
    return {"type": "rgb", "value": [float(c) for c in linear(colour)]}


def glossy(colour: Colour | Array, roughness: float = 0.1) -> Material:
    """Glazed ceramic, enamel, paint, plastic: a diffuse base under a clear coat."""
    coat = {"type": "roughplastic", "distribution": "ggx", "alpha": roughness, "nonlinear": False}
    return {"type": "twosided", "bsdf": {**coat, "diffuse_reflectance": _reflectance(colour)}}


def matt(colour: Colour | Array) -> Material:
    """Plaster, paper, cloth."""
    return {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": _reflectance(colour)}}


def metal(kind: str = "Al", roughness: float = 0.2) -> Material:
    """Bare metal: Al, Cu, Au or Cr."""
    inner = {"type": "roughconductor", "material": kind, "distribution": "ggx", "alpha": roughness}
    return {"type": "twosided", "bsdf": inner}


def corroded(colour: Array, relief: Array) -> Material:
    """Rough old metal: a dull coat over a colour image, with a relief (h, w) in [0, 1]."""
    height = np.repeat((relief * 255).astype(np.uint8)[..., None], 3, 2)
    bumps = {"type": "bitmap", "bitmap": mi.Bitmap(np.ascontiguousarray(height)), "raw": True}
    return {
        "type": "twosided",
        "bsdf": {"type": "bumpmap", "relief": bumps, "scale": 0.01, "bsdf": glossy(colour, 0.35)["bsdf"]},
    }


def glass() -> Material:
    """A thin clear wall."""
    return {"type": "thindielectric", "int_ior": 1.5}
