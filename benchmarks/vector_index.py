"""The archive's index of vectors against one of Lance's own, on the same table.

    python benchmarks/vector_index.py [--images 100000] [--kinds IVF_PQ,IVF_HNSW_SQ]

Set OMP_NUM_THREADS and LANCE_CPU_THREADS to 1 for one thread. The vectors are those of `synthetic.py`. Ours
looks up 512 candidates and ranks them by the table's own vectors, as a search does; Lance ranks ten times
as many as it returns (`refine_factor`). Recall is of the exact 50 nearest.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import faiss
import lance
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from synthetic import LANGUAGE, queries, resident, subjects, table

from reco_assist.archive.ivf import VectorIndex

K, CANDIDATES, ROWS = 50, 512, 16384


def vectors(count: int) -> Iterator[NDArray[np.float32]]:
    """Unit vectors (n, LANGUAGE), noisy views of some subjects."""
    random, centres = np.random.default_rng(1), subjects(LANGUAGE).numpy()
    for start in range(0, count, ROWS):
        rows = min(ROWS, count - start)
        noise = random.standard_normal((rows, LANGUAGE), np.float32) / LANGUAGE**0.5
        made = centres[random.integers(0, len(centres), rows)] + 1.5 * noise
        yield (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def row(
    name: str,
    build: float,
    disk: int,
    find: Callable[[NDArray[np.float32]], list[int]],
    truth: NDArray[np.int64],
) -> list[str]:
    """What a way to search costs, and how much of the truth it finds."""
    words = queries(len(truth)).numpy()
    find(words[0])  # what is loaded once
    cpu, hits = [], []
    for word, wanted in zip(words, truth, strict=True):
        begun = time.process_time()
        found = find(word)
        cpu.append(1000 * (time.process_time() - begun))
        hits.append(len(set(found) & set(wanted.tolist())) / K)
    figures = [f"{build:.1f}", f"{disk / 1e6:.0f}", f"{statistics.median(cpu):.1f}", f"{np.mean(hits):.3f}"]
    return [name, *figures, f"{resident() / 1e6:.0f}"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--kinds", default="IVF_PQ")
    options = parser.parse_args()
    exact = faiss.IndexFlatIP(LANGUAGE)
    for part in vectors(options.images):
        exact.add(part)
    truth = exact.search(queries(32).numpy(), K)[1]
    del exact
    with tempfile.TemporaryDirectory() as scratch:
        rows = list(measured(Path(scratch), options.images, options.kinds.split(","), truth))
    head = ["index", "build, CPU s", "MB on disk", "CPU ms a search", "recall@50", "MB resident"]
    print(table(head, rows))
    return 0


def measured(folder: Path, images: int, kinds: list[str], truth: NDArray[np.int64]) -> Iterator[list[str]]:
    place = folder / "v.lance"
    schema = pa.schema([pa.field("v", pa.list_(pa.float16(), LANGUAGE))])
    columns = (pa.array(part.astype(np.float16).ravel()) for part in vectors(images))
    lists = (pa.FixedSizeListArray.from_arrays(column, LANGUAGE) for column in columns)
    lance.write_dataset((pa.record_batch([one], schema=schema) for one in lists), place, schema=schema)
    data = lance.dataset(place)

    begun = time.process_time()
    index = VectorIndex.empty("bytes", LANGUAGE, next(vectors(images))[:4096], images)
    for part in vectors(images):
        index.add(index.encode(part))
    faiss.write_index(index.codes, str(folder / "codes.faiss"))
    spent = time.process_time() - begun

    def ours(word: NDArray[np.float32]) -> list[int]:
        near = np.sort(index.search(word[None], CANDIDATES, None)[1][0])
        column = data.take(near.tolist())["v"].combine_chunks().flatten().to_numpy()
        scores = column.astype(np.float32).reshape(-1, LANGUAGE) @ word
        best: list[int] = near[np.argsort(-scores)[:K]].tolist()
        return best

    yield row("ours (FAISS)", spent, (folder / "codes.faiss").stat().st_size, ours, truth)
    for kind in kinds:
        before, begun = size(place), time.process_time()
        parts = max(4, round(images**0.5 / 2))
        more = {"num_sub_vectors": 64} if "PQ" in kind else {}
        indexed = data.create_index("v", kind, metric="dot", num_partitions=parts, replace=True, **more)
        spent, disk = time.process_time() - begun, size(place) - before
        for probes in (16, 64):
            yield row(f"{kind}, {probes} probes", spent, disk, partial(theirs, indexed, probes), truth)


def theirs(data: lance.LanceDataset, probes: int, word: NDArray[np.float32]) -> list[int]:
    """Rows of the table that Lance's index finds."""
    near = {"column": "v", "q": word.astype(np.float16), "k": K, "nprobes": probes, "refine_factor": 10}
    found: list[int] = data.to_table(columns=[], with_row_id=True, nearest=near)["_rowid"].to_pylist()
    return found


if __name__ == "__main__":
    sys.exit(main())
