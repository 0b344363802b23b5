"""What a concept says about itself before any mask, against the truth of a group of data sets.

    python benchmarks/trust.py GROUP --cache DIR [--archive ARCHIVE] [--concepts "mug,road"]

GROUP and the cache are those of benchmarks/quality.py. For each word it prints how well the encoder knows it,
the distinctiveness of its foreground with the flag, and how many images of the archive beyond the 20
retrieved show it: estimated as retrieved, estimated after all wrong ones were dropped, and true.
"""

import argparse
import math
import statistics
import sys
from pathlib import Path

import torch
from quality import K, opened

from reco_assist.archive import Archive
from reco_assist.concepts import begin_concept
from reco_assist.evaluation import ConceptTruth

_ROW = "{:<28}{:>12}{:>12}{:>6}{:>10}{:>10}{:>6}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("group", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder for features")
    parser.add_argument(
        "--archive", type=Path, help="of all images of the group; made in the cache if left out"
    )
    parser.add_argument("--concepts", help="names, separated by commas; all if left out")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    group = options.group.absolute()
    truth, archive = opened(group, options)
    print(_ROW.format("", "familiarity", "distinctive", "flag", "remaining", "pruned", "true"))
    off = {"remaining": [], "pruned": []}
    for concept in truth.concepts:
        facts = row(archive, concept, group)
        print(_ROW.format(concept.name, *facts), flush=True)
        for name, estimate in zip(off, facts[3:5], strict=True):
            # Five more on both sides, so that 3 for 1 is not as wrong as 300 for 100.
            off[name].append(abs(math.log2((estimate + 5) / (facts[5] + 5))))
    for name, factors in off.items():
        half, most = 2 ** statistics.median(factors), sum(one > 1 for one in factors)
        print(f"{name}: half within a factor of {half:.2f}, {most} of {len(factors)} off by more than 2")
    return 0


def row(archive: Archive, concept: ConceptTruth, group: Path) -> tuple[object, ...]:
    """Familiarity, distinctiveness, flag, both estimates and the truth."""
    positives = {(group / file).resolve() for file in concept.positives}
    builder = begin_concept(archive, concept.category, k=K)
    wrong = [one.content_hash for one in builder.kept.images if one.path.resolve() not in positives]
    pruned = builder.drop(wrong if len(wrong) < len(builder.kept.images) else wrong[1:])
    found = sum(one.path.resolve() in positives for one in builder.kept.images)
    first, second = builder.build().quality, pruned.build().quality
    flag = "yes" if first.ambiguous else ""
    familiarity = builder.found.word.familiarity
    return familiarity, first.distinctiveness, flag, first.remaining, second.remaining, len(positives) - found


if __name__ == "__main__":
    sys.exit(main())
