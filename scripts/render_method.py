"""Draw docs/method.jpg: what each step of the method sees, on rendered sample images.

python scripts/render_method.py docs/method.jpg
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from reco_assist.archive import Archive
from reco_assist.concepts import begin_concept
from reco_assist.cosegment import support
from reco_assist.encoders import load_encoder
from reco_assist.images import decode
from reco_assist.masks import rle
from reco_assist.masks.colours import palette
from reco_assist.masks.sheet import overlay
from reco_assist.segmenter import Segmenter, Target

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples"
SIDE, GAP, TOP = 200, 8, 26
STEPS = ("photograph", "word activation", "support and seeds", "score", "mask")
ROWS = 4


def heat(values: NDArray[np.float32], photo: Image.Image) -> Image.Image:
    """Values (h, w) from their 2nd to their 98th percentile as a veil, dark for low and orange for high."""
    low, high = np.percentile(values, [2, 98])
    share = np.clip((values - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    smooth = np.asarray(Image.fromarray(share).resize(photo.size, Image.Resampling.BICUBIC)).clip(0, 1)[
        ..., None
    ]
    ramp = smooth * np.array([255, 176, 32]) + (1 - smooth) * np.array([24, 28, 60])
    mixed = 0.35 * np.asarray(photo, np.float32) + 0.65 * ramp
    return Image.fromarray(mixed.round().astype(np.uint8))


def main() -> None:
    """Learn the mug on the samples and draw four images of its set."""
    encoder = load_encoder("offline", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.create(Path(folder) / "samples.reco", encoder=encoder)
        archive.add(SAMPLES / "archive", progress=False)
        builder = begin_concept(archive, "mug", k=12)
        made, concept = builder.kept, builder.build()
    height, width = made.matrix.grid
    agreed = support(made.matrix.match).view(len(made.images), height, width).numpy()
    segmenter = Segmenter([concept], encoder=encoder, presence="off", instances="none")
    page = Image.new(
        "RGB", (len(STEPS) * (SIDE + GAP) - GAP, TOP + ROWS * (SIDE + GAP) - GAP), (250, 250, 248)
    )
    draw = ImageDraw.Draw(page)
    for column, name in enumerate(STEPS):
        draw.text((column * (SIDE + GAP), 3), name, (32, 33, 36), ImageFont.load_default(15))
    for row, image in enumerate(made.images[:ROWS]):
        pixels = decode(image.path).pixels
        photo = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        seeds = heat(agreed[row], photo)
        dots = ImageDraw.Draw(seeds)
        for y, x in made.seeds[row].tolist():
            centre = ((x + 0.5) * SIDE / width, (y + 0.5) * SIDE / height)
            dots.circle(centre, 5, (255, 255, 255), (20, 20, 20), 2)
        prediction = next(segmenter.predict([Target(image.path, image.path.name)]))
        labels = np.zeros(pixels.shape[:2], np.uint8)
        for region in prediction.regions:
            labels[rle.decode(region.mask)] = 1
        mask = overlay(pixels, labels, palette(1), (640, 640)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        shown = (
            photo,
            heat(made.prior[row].numpy(), photo),
            seeds,
            heat(made.scores[row].numpy(), photo),
            mask,
        )
        for column, picture in enumerate(shown):
            page.paste(picture, (column * (SIDE + GAP), TOP + row * (SIDE + GAP)))
    page.save(sys.argv[1], quality=85)


if __name__ == "__main__":
    main()
