"""Does a student outgrow its teacher, and does our order of review pay?

    python benchmarks/student.py GROUP --concepts horse --out DIR [--seeds 0,1,2] [--json]

GROUP has concepts.json, SET/images and SET/masks (see `reco_assist.formats.read_group`). Of the images
with the concepts and of those without any, a sample is drawn and parted, near-duplicates on one side. The
teacher is a Concept learnt by its word from the training images; their truth is only used as the ten
corrected masks.

All scores are those of unseen images: IoU is the mean over concepts of the mean over images that show
them, as exported, presence decision and all; `false` is the share of images without a concept with a mask.

The review curve is simulated: after n reviews the n images that come first in an order have their true mask,
the others the student's; the score is the mean IoU over all training images with the concept and, where it is
absent, 1 for an empty mask and 0 for any other.

Students are trained as `reco-assist train --freeze` does: the encoder stays as it is.

A run that was stopped goes on; DIR keeps everything.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from reco_assist.annotations import ImageRef, Prediction, Region, Verdict
from reco_assist.archive import Archive
from reco_assist.concepts import learn_concept
from reco_assist.encoders import load_encoder
from reco_assist.evaluation import FALSE_MASK, Truth, overlap, truth_of
from reco_assist.files import write_bytes
from reco_assist.folders import make_folder
from reco_assist.formats import read_group, write_coco
from reco_assist.images import content_hash, decode, near_duplicate_groups, perceptual_hash
from reco_assist.masks import rle
from reco_assist.segmenter import Predictor, Segmenter, Skipped, Target
from reco_assist.session.order import disagreement, doubt, review_order
from reco_assist.student import (
    FROZEN,
    Design,
    Examples,
    Recipe,
    Student,
    StudentSegmenter,
    read_corrected_masks,
    train,
)

K = 20  # images that a concept is learnt from
CORRECTED = 10
SHARES = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1)  # of the training images reviewed


@dataclass(frozen=True)
class Job:
    """The sample of a group, and what is known about it."""

    folder: Path
    truth: Truth
    train: tuple[str, ...]
    test: tuple[str, ...]

    @classmethod
    def draw(cls, group: Path, options: argparse.Namespace) -> "Job":
        """Draw images and part them; copies and near-duplicates of an image are on its side."""
        truth = truth_of(read_group(group)).only(options.concepts.split(","))
        random = np.random.default_rng(options.draw)
        shown = {file for one in truth.concepts for file in one.positives}
        unsure = {file for one in truth.concepts for file in one.ignored}
        pools = ((shown - unsure, options.positives), (truth.images - shown - unsure, options.negatives))
        files: list[str] = []
        for pool, count in pools:
            files += list(random.permutation(sorted(pool))[:count])
        marks = [perceptual_hash(decode(group / file, reduce_to=64).pixels) for file in files]
        members: dict[int, list[str]] = {}
        for number, file in zip(near_duplicate_groups(marks), files, strict=True):
            members.setdefault(number, []).append(file)
        held: list[str] = []
        for number in random.permutation(sorted(members)):
            if len(held) + len(members[number]) <= options.test * len(files):
                held += members[number]
        return cls(group, truth, tuple(sorted(set(files) - set(held))), tuple(sorted(held)))

    @cached_property
    def names(self) -> list[str]:
        return [one.category for one in self.truth.concepts]

    def targets(self, files: Sequence[str]) -> list[Target]:
        return [Target(self.folder / file, file) for file in files]

    def score(self, predictor: Predictor, files: Sequence[str]) -> dict[str, float]:
        """IoU and false masks of a predictor."""
        ious: dict[str, list[float]] = {name: [] for name in self.names}
        false: list[bool] = []
        for file, masks in self.masks(predictor, files).items():
            for one in self.truth.concepts:
                mask = masks[one.category]
                if file in one.positives:
                    shown = one.positives[file]()
                    ious[one.category].append(overlap(mask, shown.mask, valid=shown.valid).iou)
                elif file not in one.ignored:
                    false.append(bool(mask.mean() > FALSE_MASK))
        return {"iou": float(np.mean([np.mean(v) for v in ious.values()])), "false": float(np.mean(false))}

    def masks(self, predictor: Predictor, files: Sequence[str]) -> dict[str, dict[str, NDArray[np.bool_]]]:
        found = {}
        for target in tqdm(self.targets(files), desc="masks", leave=False):
            (one,) = predictor.segment([target])
            if isinstance(one, Skipped):
                raise SystemExit(one.reason)
            masks = {name: np.zeros(one.maps.shape[1:], bool) for name in self.names}
            for region in predictor.decide(one).regions:
                masks[region.concept] |= rle.decode(region.mask)
            found[target.file_name] = masks
        return found

    def corrections(self, files: Sequence[str], path: Path) -> Path:
        """The truth of some images as a curator would export it."""
        predictions = []
        for file in sorted(files):
            data = (self.folder / file).read_bytes()
            size = decode(data)
            regions, verdicts = [], []
            for one in self.truth.concepts:
                present = file in one.positives
                verdicts.append(Verdict(one.category, present, float(present)))
                if present:
                    regions.append(Region(one.category, rle.encode(one.positives[file]().mask), 1.0))
            image = ImageRef(file, content_hash(data), size.width, size.height)
            predictions.append(Prediction(image, tuple(regions), tuple(verdicts)))
        write_coco(path, lambda: iter(predictions), self.names)
        return path


def taught(
    job: Job,
    teacher: Segmenter,
    out: Path,
    recipe: Recipe,
    side: int,
    *,
    corrected: Path | None = None,
    start: Student | None = None,
) -> tuple[Student, float]:
    """A trained student and the seconds of processor time that labelling and training took."""
    began = time.process_time()
    corrections = [] if corrected is None else [read_corrected_masks(corrected, job.names)]
    place = out if corrected is not None else out.parent
    examples = Examples(
        place / "examples", concepts=job.names, side=side, teacher=teacher.digests, corrections=corrections
    )
    for _ in examples.add(teacher, job.targets(job.train)):
        pass
    design = Design(tuple(job.names), side=side)
    for moment in train(examples, design, recipe, out, start=start, device="cpu"):
        if moment.looked:
            tqdm.write(f"{out.name}: {moment.step}/{moment.iterations} {moment.loss:.3f} {moment.score}")
    seconds_file = out / "seconds.json"
    earlier = json.loads(seconds_file.read_text()) if seconds_file.is_file() else 0.0
    seconds = earlier + time.process_time() - began
    write_bytes(seconds_file, json.dumps(seconds).encode())
    return Student.load(out / "model.student"), seconds


def our_order(job: Job, teacher: Predictor, student: Predictor) -> list[str]:
    """The training images in the order of `reco-assist rank`."""
    values, looks = [], []
    for target in tqdm(job.targets(job.train), desc="rank", leave=False):
        (first,), (second,) = teacher.segment([target]), student.segment([target])
        if isinstance(first, Skipped) or isinstance(second, Skipped):
            raise SystemExit(f"{target.file_name} cannot be read")
        looks.append(second.embedding)
        values.append(
            max(
                max(
                    doubt(second.maps[k], verdict.probability),
                    disagreement(first.maps[k] > 127, second.maps[k] > 127),
                )
                for k, verdict in enumerate(second.verdicts)
            )
        )
    return [job.train[i] for i in review_order(values, np.stack(looks))]


def agreement(job: Job, student: Predictor) -> dict[str, float]:
    """How right the student's masks of each training image are, 0 to 1."""
    right = {}
    for file, masks in job.masks(student, job.train).items():
        each = []
        for one in job.truth.concepts:
            if file in one.positives:
                shown = one.positives[file]()
                each.append(overlap(masks[one.category], shown.mask, valid=shown.valid).iou)
            else:
                each.append(float(masks[one.category].mean() <= FALSE_MASK))
        right[file] = float(np.mean(each))
    return right


def curve(right: dict[str, float], order: Sequence[str]) -> list[float]:
    """Mean agreement after each share of the images is reviewed in an order."""
    values = np.array([right[file] for file in order])
    return [
        float((n + values[n:].sum()) / len(values)) for n in (round(share * len(order)) for share in SHARES)
    ]


def seed_rows(job: Job, teacher: Segmenter, options: argparse.Namespace, seed: int) -> dict[str, object]:
    """Everything that is measured with one seed."""
    base = options.out / f"seed{seed}"
    recipe = replace(FROZEN, iterations=options.iterations, check_every=options.check_every, seed=seed)
    student, seconds = taught(job, teacher, base, recipe, options.side)
    applied = StudentSegmenter(student, device="cpu")
    row: dict[str, object] = {"student": job.score(applied, job.test), "seconds": seconds}
    order = our_order(job, teacher, applied)
    shuffled = [str(file) for file in np.random.default_rng(seed).permutation(job.train)]
    right = agreement(job, applied)
    row["curve"] = {"our order": curve(right, order), "random order": curve(right, shuffled)}
    again = replace(
        recipe, iterations=options.again, check_every=options.again, rate=recipe.rate / 2, validation=0
    )
    for name, files in (("our order", order[:CORRECTED]), ("random order", shuffled[:CORRECTED])):
        place = make_folder(base.with_name(f"{base.name}-{name.split()[0]}"))
        path = job.corrections(files, place / "corrected.json")
        better, _ = taught(job, teacher, place, again, options.side, corrected=path, start=student)
        row[f"10 corrected, {name}"] = job.score(StudentSegmenter(better, device="cpu"), job.test)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("group", type=Path)
    parser.add_argument("--concepts", required=True, help="separated by commas")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--positives", type=int, default=130)
    parser.add_argument("--negatives", type=int, default=40)
    parser.add_argument("--test", type=float, default=0.4, help="share of the images")
    parser.add_argument("--draw", type=int, default=0, help="seed of the sample")
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--iterations", type=int, default=FROZEN.iterations)
    parser.add_argument("--check-every", type=int, default=FROZEN.check_every)
    parser.add_argument("--again", type=int, default=100, help="iterations with corrected masks")
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    make_folder(options.out)
    job = Job.draw(options.group, options)
    encoder = load_encoder("offline", device="cpu")
    place = options.out / "archive.reco"
    archive = (Archive.open if place.exists() else Archive.create)(place, encoder=encoder)
    archive.add([job.folder / file for file in job.train], progress=False)
    teacher = Segmenter([learn_concept(archive, name, k=K) for name in job.names], encoder=encoder)
    kept = options.out / "teacher.json"
    if not kept.is_file():
        write_bytes(kept, json.dumps(job.score(teacher, job.test)).encode())
    rows: dict[int, dict[str, object]] = {}
    for seed in map(int, options.seeds.split(",")):
        path = options.out / f"rows{seed}.json"
        if not path.is_file():
            write_bytes(path, json.dumps(seed_rows(job, teacher, options, seed)).encode())
        rows[seed] = json.loads(path.read_text())
    result = {
        "train": len(job.train),
        "test": len(job.test),
        "teacher": json.loads(kept.read_text()),
        "seeds": rows,
    }
    print(json.dumps(result) if options.json else table(result))
    return 0


def table(result: dict[str, object]) -> str:
    """The results as Markdown."""
    rows = list(result["seeds"].values())
    teacher = result["teacher"]
    lines = [
        f"{result['train']} training images, {result['test']} unseen; {len(rows)} seeds: mean (range)\n",
        "| | IoU | false |",
        "| --- | --- | --- |",
        f"| teacher | {teacher['iou']:.3f} | {teacher['false']:.3f} |",
    ]
    for name in ("student", "10 corrected, random order", "10 corrected, our order"):
        cells = []
        for key in ("iou", "false"):
            found = [row[name][key] for row in rows]
            cells.append(f"{np.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})")
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    seconds = [row["seconds"] for row in rows]
    lines.append(f"\nlabelling and training a student: {max(seconds):.0f} s of processor time at most\n")
    lines += [
        "| reviewed | " + " | ".join(f"{share:.0%}" for share in SHARES) + " |",
        "| --- |" + " --- |" * len(SHARES),
    ]
    for name in ("our order", "random order"):
        values = np.array([row["curve"][name] for row in rows])  # (seeds, shares)
        cells = [f"{v:.3f} ± {s:.3f}" for v, s in zip(values.mean(0), values.std(0), strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
