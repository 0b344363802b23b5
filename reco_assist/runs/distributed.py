"""Segmenting on a Ray cluster: whole batches go out, their masks come back in order."""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from reco_assist.cluster import Cluster, worker_errors
from reco_assist.concepts import Concept
from reco_assist.encoders import Encoder
from reco_assist.images import Note, allow_stores, allowed_stores, hint, note
from reco_assist.runs.batches import Batch, make_batch
from reco_assist.segmenter import Segmenter, Target

_WINDOW = 4096  # batches in memory at once
_Columns = dict[str, Any]


def make_batches(
    cluster: Cluster, segmenter: Segmenter, batches: Iterator[Sequence[Target]]
) -> Generator[Batch]:
    """Segment batches on a cluster; they come in their order, and equal those made here."""
    ray = cluster.connect()
    _, options = cluster.workers(ray)
    make = cluster.factory(segmenter.encoder.name, segmenter.encoder.weights)
    while window := list(islice(batches, _WINDOW)):
        rows = [{"targets": json.dumps([_row(target) for target in batch])} for batch in window]
        data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Segmenting,
            fn_constructor_args=(make, segmenter.concepts, segmenter.options, allowed_stores()),
            batch_size=1,
            batch_format="numpy",
            **options,
        )
        made = (record for block in data.iter_batches(batch_size=None) for record in block["batch"])
        with worker_errors(ray):
            for _, record in zip(window, made, strict=True):
                yield Batch.of(json.loads(str(record)))


class Segmenting:
    """A worker that holds the encoder and the concepts.

    Args:
        make: Makes the encoder.
        concepts: What is looked for.
        options: Of the `Segmenter`.
        stores: What may be opened; see `allow_stores`.
    """

    def __init__(
        self,
        make: Callable[[], Encoder],
        concepts: Sequence[Concept],
        options: dict[str, Any],
        stores: Sequence[str],
    ) -> None:
        allow_stores(*stores)
        self._segmenter = Segmenter(concepts, encoder=make(), **options)

    def __call__(self, columns: _Columns) -> _Columns:
        """Segment the batches of some rows."""
        batches = [[_target(*row) for row in json.loads(str(targets))] for targets in columns["targets"]]
        records = [json.dumps(make_batch(self._segmenter, batch).record()) for batch in batches]
        return {"batch": np.array(records)}


def _row(target: Target) -> list[object]:
    try:
        known = hint(target.path)
    except OSError:
        known = None  # the worker says what is wrong
    return [str(target.path), target.file_name, None if known is None else astuple(known)]


def _target(path: str, name: str, known: list[Any] | None) -> Target:
    if known is not None:
        note(Path(path), Note(*known))
    return Target(Path(path), name)
