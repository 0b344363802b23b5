"""Whether the product's scores mean what they say, and the constants that would make them.

    python benchmarks/calibration.py CACHE/scores.json [--plot reliability.png] [--json]

Reads what `benchmarks/quality.py` kept of the rows that decide on presence. Verdicts are refitted as
sigmoid(slope logit(p) + offset), masks as sigmoid(a logit(p) + b logit(level) + c), where p is the
probability of presence and level the mean of the refined map over the mask. `after` is fitted without the
concept that it is measured on: where it gains nothing over `before`, the product's constants may stay. The
plot shows what the product's score gains over the level alone.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from reco_assist.evaluation import fit_logistic, plot_reliability, reliability

ROWS = ("assist", "1 exemplar mask", "3 exemplar boxes", "3 exemplar masks", "5 exemplar masks")
CLIP = 0.005  # maps and probabilities are rounded


def logit(values: np.ndarray) -> np.ndarray:
    clipped = np.clip(values, CLIP, 1 - CLIP)
    return np.log(clipped / (1 - clipped))


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def refit(
    features: np.ndarray, stated: np.ndarray, right: np.ndarray, concepts: np.ndarray
) -> dict[str, object]:
    """Constants fitted on everything, and reliability before and after."""
    slopes, offset = fit_logistic(features, right)
    after = np.empty(len(right))
    for concept in np.unique(concepts):
        mine = concepts == concept
        s, o = fit_logistic(features[~mine], right[~mine])
        after[mine] = sigmoid(features[mine] @ s + o)
    return {
        "slopes": slopes.tolist(),
        "offset": offset,
        "before": reliability(stated, right),
        "after": reliability(after, right),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scores", type=Path)
    parser.add_argument("--plot", type=Path, help="draw the reliability of mask scores, as a PNG")
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    options = parser.parse_args()
    table = json.loads(options.scores.read_text())["rows"]
    kept = [(name, scores) for row in ROWS for name, scores in table.get(row, {}).items()]
    verdicts = [(*one, name) for name, scores in kept for one in scores["verdicts"]]
    masks = [(*one, name) for name, scores in kept for one in scores["masks"]]
    p, present, concepts = (np.array(column) for column in zip(*verdicts, strict=True))
    fits = {"presence": refit(logit(p)[:, None], p, present, concepts)}
    score, right, p, level, concepts = (np.array(column) for column in zip(*masks, strict=True))
    fits["masks"] = refit(np.c_[logit(p), logit(level)], score, right, concepts)
    if options.plot:
        curves = {
            "level of the map, raw": reliability(level, right),
            "score, as shipped": fits["masks"]["before"],
        }
        plot_reliability(options.plot, curves, title="Scores of masks")
    rows = {
        name: {
            "slopes": [round(slope, 3) for slope in fit["slopes"]],
            "offset": round(fit["offset"], 3),
            "count": int(fit["before"].counts.sum()),
            **{
                f"{figure} {when}": round(float(getattr(fit[when], figure)), 4)
                for figure in ("error", "brier")
                for when in ("before", "after")
            },
        }
        for name, fit in fits.items()
    }
    if options.json:
        print(json.dumps(rows))
        return 0
    print("| scores | slopes | offset | count | ECE before | after | Brier before | after |")
    print("| --- " * 8 + "|")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(str(value) for value in row.values())} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
