"""The care of data sets: merge, compare, part, report, choose examples. Loads without torch."""

from reco_assist.datasets.diffing import Diff, diff, write_diff_picture
from reco_assist.datasets.examples import example_masks
from reco_assist.datasets.merging import Merged, merge
from reco_assist.datasets.splitting import hold_out

__all__ = ["Diff", "Merged", "diff", "example_masks", "hold_out", "merge", "write_diff_picture"]
