"""What each step of the method is worth: masks and decisions against the truth of a group of data sets.

    python benchmarks/quality.py GROUP --cache DIR [--archive ARCHIVE] [--concepts "mug,pug"] [--json]

GROUP has concepts.json, SET/images and SET/masks (see `reco_assist.formats.read_group`). All its images
are the archive. Targets are a sample of each concept's images and of those without it, exemplars are others
of its images, and nothing is ever learnt from a target's mask. Features of images are kept in DIR.

IoU is the mean over concepts of the mean over their sampled images, at full size: `all` gives every image a
mask, `gated` only those where the concept is judged present (the product's default), `slider` takes the best
threshold of each image, `small` are objects below 3 % of the image. `false` is the share of images without
the concept that have a mask of more than .5 %. Intervals are 95 % bootstraps over images, and those of
differences over concepts draw the concepts too.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from reco_assist.archive import Archive
from reco_assist.concepts import Concept, ConceptBuilder, CoSegmentation, begin_concept, learn_concept
from reco_assist.concepts.corrections import correct, read_correction
from reco_assist.encoders import Encoder, Features, load_encoder
from reco_assist.evaluation import (
    FALSE_MASK,
    ConceptTruth,
    Labelled,
    Truth,
    average_precision,
    bootstrap,
    hits,
    overlap,
    precision_at,
    reliability,
    truth_of,
)
from reco_assist.files import write_bytes
from reco_assist.folders import make_output_folder
from reco_assist.formats import read_group
from reco_assist.masks import label, rle
from reco_assist.retrieval import Exemplar, box_exemplar, mask_exemplar
from reco_assist.segmenter import LOOKS, ProbabilityMaps, Segmenter, Target

Record = tuple[float, bool, float, float]
"""Of a predicted mask: score, whether it is right, probability of presence, mean level of the map."""

K = 20
SMALL = 0.03  # share of the image below which an object is small
SHOWN = 0.02  # share of the image that an exemplar covers at least, where there are such images
EXEMPLARS = (1, 3, 5)
PAIRS = (  # (row, row that it is compared with)
    ("+ language guidance", "co-segmentation only"),
    ("+ context elimination", "+ language guidance"),
    ("x text saliency", "+ context elimination"),
    ("+ CRF: the paper's method", "x text saliency"),
    ("assist, CRF alone", "assist without CRF"),
    ("assist", "assist, CRF alone"),
    ("assist", "+ CRF: the paper's method"),
    ("assist, ideal prune", "assist"),
    ("assist, 3 corrected masks", "assist"),
    ("3 exemplar boxes", "assist"),
    ("3 exemplar masks", "assist"),
    ("3 exemplar masks", "3 exemplar boxes"),
    ("3 exemplar masks", "1 exemplar mask"),
    ("5 exemplar masks", "3 exemplar masks"),
)


class Remembered:
    """An encoder whose features of an image are kept on disk in half precision, by the image's pixels."""

    def __init__(self, encoder: Encoder, folder: Path) -> None:
        self._encoder, self._folder = encoder, make_output_folder(folder)

    def __getattr__(self, name: str) -> object:
        return getattr(self._encoder, name)

    def encode(self, pixels: torch.Tensor) -> Features:
        """Features of pixels (B, 3, S, S) uint8, computed once."""
        paths = [self._folder / f"{sha256(one.numpy().tobytes()).hexdigest()}.npz" for one in pixels]
        missing = [i for i, path in enumerate(paths) if not path.exists()]
        if missing:
            new = self._encoder.encode(pixels[missing])
            for row, i in enumerate(missing):
                parts = {part: getattr(new, part)[row].half().numpy() for part in Features.__slots__}
                with paths[i].open("wb") as file:
                    np.savez(file, **parts)
        kept = [np.load(path) for path in paths]
        return Features(
            **{
                part: torch.from_numpy(np.stack([k[part] for k in kept])).float()
                for part in Features.__slots__
            }
        )


@dataclass(frozen=True)
class Case:
    """One concept: its truth, the targets drawn for it and the images that serve as exemplars."""

    truth: ConceptTruth
    folder: Path
    targets: tuple[str, ...]
    negatives: tuple[str, ...]
    exemplars: tuple[str, ...]

    @classmethod
    def draw(
        cls, truth: ConceptTruth, group: Path, images: frozenset[str], options: argparse.Namespace
    ) -> "Case":
        """Sample a concept; the draw depends on the seed and the concept's name alone."""
        random = np.random.default_rng([options.seed, *truth.name.encode()])
        positives = sorted(truth.positives)
        random.shuffle(positives)
        # A curator shows an object one can see; stable sort: large enough ones first, in random order.
        by_size = sorted(positives, key=lambda file: truth.positives[file]().mask.mean() < SHOWN)
        exemplars = by_size[: max(EXEMPLARS)]
        targets = [file for file in positives if file not in exemplars][: options.positives]
        others = sorted(images - set(positives) - truth.ignored)
        random.shuffle(others)
        return cls(truth, group, tuple(targets), tuple(others[: options.negatives]), tuple(exemplars))

    def shown(self, count: int, kind: str) -> list[Exemplar]:
        """The first exemplars, as masks or as the box of the largest connected part."""
        made = []
        for file in self.exemplars[:count]:
            mask = self.truth.positives[file]().mask
            if kind == "mask":
                made.append(mask_exemplar(self.folder / file, mask, source=file))
                continue
            parts = label(mask)
            largest = rle.encode(parts == 1 + np.bincount(parts.ravel())[1:].argmax())
            made.append(box_exemplar(self.folder / file, *rle.bbox(largest)))
        return made


@dataclass
class Scores:
    """What one row gives for one concept: lists over its targets, and of masks and verdicts of all images."""

    all: list[float] = field(default_factory=list)
    gated: list[float] = field(default_factory=list)
    slider: list[float] = field(default_factory=list)
    area: list[float] = field(default_factory=list)
    false: list[bool] = field(default_factory=list)
    masks: list[Record] = field(default_factory=list)
    verdicts: list[tuple[float, bool]] = field(default_factory=list)


def rows(archive: Archive, case: Case) -> Iterator[tuple[str, Callable[[], Concept], str]]:
    """Name, concept and refinement of every row; the steps of the paper are its concept with parts undone."""
    word = case.truth.category

    @cache
    def guided() -> ConceptBuilder:
        return begin_concept(archive, word, k=K, contexts=(), method="paper")

    @cache
    def paper() -> Concept:
        return learn_concept(archive, word, k=K, method="paper")

    @cache
    def assist() -> ConceptBuilder:
        return begin_concept(archive, word, k=K)

    def unguided() -> Concept:
        made = guided().kept
        weights = torch.ones_like(made.prior)  # (k, h, w)
        made = CoSegmentation.build(made.images, made.features, made.prior, weights, method="paper")
        return replace(guided().build(), foreground=made.reference, text=None)

    def saliency() -> Concept:
        concept = guided().build()
        return replace(concept, foreground=torch.zeros_like(concept.foreground))

    def pruned() -> Concept:
        positives = {(case.folder / file).resolve() for file in case.truth.positives}
        images = assist().kept.images
        wrong = [one.content_hash for one in images if one.path.resolve() not in positives]
        return (assist().drop(wrong) if len(wrong) < len(images) else assist()).build()

    def corrected() -> Concept:
        made = [
            read_correction(
                archive.encoder, case.folder / file, case.truth.positives[file]().mask, source=file
            )
            for file in case.exemplars[:3]
        ]
        return correct(assist().build(), made, reference_cells=archive.encoder.reference_cells)

    def shown(count: int, kind: str) -> Concept:
        return learn_concept(archive, word, k=K, exemplars=case.shown(count, kind))

    yield "text saliency only", saliency, "none"
    yield "co-segmentation only", unguided, "none"
    yield "+ language guidance", lambda: replace(guided().build(), text=None), "none"
    yield "+ context elimination", lambda: replace(paper(), text=None), "none"
    yield "x text saliency", paper, "none"
    yield "+ CRF: the paper's method", paper, "crf"
    yield "assist without CRF", lambda: assist().build(), "none"
    yield "assist, CRF alone", lambda: assist().build(), "crf"
    yield "assist", lambda: assist().build(), "saliency"
    yield "assist, ideal prune", pruned, "saliency"
    yield "assist, 3 corrected masks", corrected, "saliency"
    for kind, plural in (("box", "boxes"), ("mask", "masks")):
        for count in EXEMPLARS:
            yield (
                f"{count} exemplar {kind if count == 1 else plural}",
                partial(shown, count, kind),
                "saliency",
            )


def score(concept: Concept, refine: str, case: Case, encoder: Encoder, looks: int) -> Scores:
    """Segment the targets and, where a row decides on presence, the images without the concept."""
    scores = Scores()
    everywhere = Segmenter([concept], encoder=encoder, refine=refine, presence="off", looks=looks)
    for batch in batches(case, case.targets):
        for target, segmented in zip(batch, everywhere.segment(batch), strict=True):
            shown = case.truth.positives[target.file_name]()
            masks, records = judged(everywhere, segmented, shown)
            verdict = segmented.verdicts[0]
            united = np.logical_or.reduce([np.zeros_like(shown.mask), *masks])
            iou = overlap(united, shown.mask, valid=shown.valid).iou
            scores.all.append(iou)
            scores.gated.append(iou if verdict.present else 0.0)
            scores.slider.append(best_iou(segmented.maps[0], shown.mask, shown.valid))
            scores.area.append(float(shown.mask.mean()))
            scores.verdicts.append((verdict.probability, True))
            scores.masks += records if verdict.present else []
    if concept.method == "paper" or refine == "none":
        return scores
    gated = Segmenter([concept], encoder=encoder, refine=refine, looks=looks)
    for batch in batches(case, case.negatives):
        for segmented in gated.segment(batch):
            masks, records = judged(gated, segmented, None)
            scores.false.append(bool(sum(mask.mean() for mask in masks) > FALSE_MASK))
            scores.verdicts.append((segmented.verdicts[0].probability, False))
            scores.masks += records
    return scores


def judged(
    segmenter: Segmenter, segmented: ProbabilityMaps, shown: Labelled | None
) -> tuple[list[np.ndarray], list[Record]]:
    """The masks of an image, and each held against what the image shows, if anything."""
    presence, levels = segmented.verdicts[0].probability, segmented.maps[0]
    masks, records = [], []
    for region in segmenter.decide(segmented).regions:
        mask = rle.decode(region.mask)
        right = shown is not None and hits(mask, shown.mask, valid=shown.valid)
        masks.append(mask)
        records.append((region.score, right, presence, float(levels[mask].mean() / 255)))
    return masks, records


def batches(case: Case, files: Sequence[str]) -> Iterator[list[Target]]:
    for start in range(0, len(files), 16):
        yield [Target(case.folder / file, file) for file in files[start : start + 16]]


def best_iou(levels: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> float:
    """The IoU at the best of all thresholds of an 8-bit map."""
    inside, outside = (
        np.bincount(levels[side & valid], minlength=256)[::-1].cumsum() for side in (truth, ~truth)
    )
    return float((inside / np.maximum(inside[-1] + outside, 1))[:-1].max())


def retrieval(archive: Archive, case: Case) -> dict[str, float]:
    """How well the word finds the concept's images among all; ignored ones are left out."""
    found = archive.search(language=archive.encoder.encode_text(case.truth.category).vector, k=len(archive))
    positives = {(case.folder / file).resolve() for file in case.truth.positives}
    ignored = {(case.folder / file).resolve() for file in case.truth.ignored}
    kept = [
        (hit.score, hit.path.resolve() in positives) for hit in found if hit.path.resolve() not in ignored
    ]
    relevant = [right for _, right in kept]
    return {"map": average_precision([s for s, _ in kept], relevant), "precision": precision_at(relevant, K)}


def summary(table: dict[str, dict[str, Scores]]) -> dict[str, dict[str, object]]:
    """The figures of every row; a row maps concepts to scores."""
    figures: dict[str, dict[str, object]] = {}
    for name, by_concept in table.items():
        scores = list(by_concept.values())
        row: dict[str, object] = {
            "all": interval([s.all for s in scores]),
            "slider": mean(s.slider for s in scores),
        }
        row["small"] = mean([i for i, a in zip(s.all, s.area, strict=True) if a < SMALL] for s in scores)
        if any(s.false for s in scores):
            row["gated"] = interval([s.gated for s in scores])
            row["small gated"] = mean(
                [i for i, a in zip(s.gated, s.area, strict=True) if a < SMALL] for s in scores
            )
            row["false"] = mean(s.false for s in scores)
            row["mask ECE"] = reliability(*split([m[:2] for s in scores for m in s.masks])).error
            row["presence ECE"] = reliability(*split([v for s in scores for v in s.verdicts])).error
        figures[name] = row
    return figures


def differences(table: dict[str, dict[str, Scores]]) -> dict[str, dict[str, object]]:
    """Paired differences of IoU (of `all`), over images and over concepts too, and of the gate."""
    pairs = [(a, b, "all", "all") for a, b in PAIRS if a in table and b in table]
    pairs += [(a, a, "gated", "all") for a in ("assist", "3 exemplar masks") if a in table]
    found = {}
    for a, b, left, right in pairs:
        groups = [
            np.subtract(getattr(table[a][name], left), getattr(table[b][name], right)) for name in table[a]
        ]
        better = float(np.mean([group.mean() > 0 for group in groups if group.size]))
        wide = bootstrap(groups, resample_groups=True)
        name = f"{a}, gate on against off" if a == b else f"{a} against {b}"
        found[name] = {"images": interval(groups), "concepts": [wide.low, wide.high], "better": better}
    return found


def interval(groups: Sequence[Sequence[float]]) -> list[float]:
    one = bootstrap(groups)
    return [one.mean, one.low, one.high]


def mean(groups: Iterator[Sequence[float]]) -> float:
    """Mean over concepts of the mean over what each has; NaN where none has any."""
    means = [float(np.mean(group)) for group in groups if len(group)]
    return float(np.mean(means)) if means else math.nan


def split(pairs: Sequence[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    return [score for score, _ in pairs], [right for _, right in pairs]


def markdown(figures: dict[str, dict[str, object]], paired: dict[str, dict[str, object]]) -> str:
    columns = ("all", "gated", "false", "slider", "small", "small gated", "mask ECE", "presence ECE")

    def cell(value: object) -> str:
        if isinstance(value, list):
            return f"{value[0]:.3f} ({value[1]:.3f} to {value[2]:.3f})"
        return "" if value is None or math.isnan(value) else f"{value:.3f}"

    lines = [f"| row | {' | '.join(columns)} |", "| --- " * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(cell(row.get(c)) for c in columns)} |" for name, row in figures.items()
    ]
    lines += ["", "| paired difference of IoU | over images | over concepts | concepts where better |"]
    lines += ["| --- | --- | --- | --- |"]
    for name, row in paired.items():
        low, high = row["concepts"]
        middle, *ends = row["images"]
        over = f"{middle:+.3f} ({ends[0]:+.3f} to {ends[1]:+.3f})"
        lines.append(f"| {name} | {over} | {low:+.3f} to {high:+.3f} | {row['better']:.0%} |")
    return "\n".join(lines)


def opened(group: Path, options: argparse.Namespace) -> tuple[Truth, Archive]:
    """The truth of the concepts asked for, and an archive of the group's images, whose features are kept."""
    truth = truth_of(read_group(group))
    if options.concepts:
        truth = truth.only(options.concepts.split(","))
    encoder = Remembered(load_encoder(), options.cache / "features")
    path = options.archive or options.cache / "archive.reco"
    archive = Archive.open(path, encoder=encoder) if path.exists() else Archive.create(path, encoder=encoder)
    if options.archive is None:
        archive.add(sorted(group.glob("*/images")))
    return truth, archive


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("group", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder for features and results")
    parser.add_argument(
        "--archive", type=Path, help="of all images of the group; made in the cache if left out"
    )
    parser.add_argument("--concepts", help="names, separated by commas; all if left out")
    parser.add_argument("--positives", type=int, default=15, help="targets of each concept")
    parser.add_argument("--negatives", type=int, default=60, help="images without it")
    parser.add_argument("--rows", help="names, separated by semicolons; all if left out")
    parser.add_argument("--looks", type=int, default=LOOKS, help="further looks at parts of an image")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one object instead of the tables")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    group = options.group.absolute()
    truth, archive = opened(group, options)
    encoder = archive.encoder
    wanted = options.rows.split(";") if options.rows else []
    table: dict[str, dict[str, Scores]] = {}
    found: dict[str, dict[str, float]] = {}
    for concept in tqdm(truth.concepts, unit="concept"):
        case = Case.draw(concept, group, truth.images, options)
        found[concept.name] = retrieval(archive, case)
        for name, learn, refine in rows(archive, case):
            if not wanted or name in wanted:
                table.setdefault(name, {})[concept.name] = score(
                    learn(), refine, case, encoder, options.looks
                )
        kept = {name: {c: vars(s) for c, s in row.items()} for name, row in table.items()}
        write_bytes(options.cache / "scores.json", json.dumps({"rows": kept, "retrieval": found}).encode())
    figures, paired = summary(table), differences(table)
    means = {key: float(np.mean([one[key] for one in found.values()])) for key in ("map", "precision")}
    if options.json:
        print(json.dumps({"rows": figures, "paired": paired, "retrieval": means, "concepts": found}))
        return 0
    print(f"{len(truth.concepts)} concepts, {len(archive)} images, k = {K}, seed {options.seed}\n")
    print(markdown(figures, paired))
    print(f"\nretrieval by word: mAP {means['map']:.3f}, precision@{K} {means['precision']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
