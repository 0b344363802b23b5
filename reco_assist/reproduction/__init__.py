"""The paper's benchmarks, end to end: published folders, its protocol, its numbers beside ours."""

from reco_assist.reproduction.datasets import BENCHMARKS, Benchmark
from reco_assist.reproduction.protocol import Reproduction, ScoreLog

__all__ = ["BENCHMARKS", "Benchmark", "Reproduction", "ScoreLog"]
