"""The paper's benchmarks, end to end: published folders, its protocol, its numbers beside ours."""

from reco_assist.reproduction.datasets import BENCHMARKS, Benchmark, Sample
from reco_assist.reproduction.protocol import Journal, References, Run

__all__ = ["BENCHMARKS", "Benchmark", "Journal", "References", "Run", "Sample"]
