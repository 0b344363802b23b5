"""Search in a large archive against FAISS's exact inner-product index.

    python benchmarks/search.py [--images 1280000 --single] [--folder KEPT] [--json]

The archive is synthetic: noisy views of 1,000 subjects, 512 dimensions, 8 language and 12 dense cells an
image (`--single`: one of each). Baseline and ours run in processes of their own, one after the other, on the
same vectors and queries. `top 50 of embeddings` is the same question to both; `a word` also looks at the
cells, which the baseline does not, and its recall is against a brute-force scan of the whole table by the
formula. `memory` is what loading and searching added to the process, mapped pages of files
included. CPU milliseconds (median) are what a quiet machine's clock would show; p50 and p95 are the wall's.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import lance
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from synthetic import LANGUAGE, in_own_process, queries, resident, table, write_archive

from reco_assist.archive import Archive, Query
from reco_assist.archive.header import Header
from reco_assist.archive.index import SearchIndex, centred
from reco_assist.archive.table import Table, fixed_lists
from reco_assist.encoders.compact import rotate

K = 50
_CANDIDATES = 512


def stream(archive: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    return lance.dataset(str(archive / "images.lance")).to_batches(columns=columns, scan_in_order=True)


def timed(search: Callable[[NDArray[np.float32]], list[int]], words: torch.Tensor) -> dict[str, Any]:
    """Positions found for each word, and milliseconds of each search by the wall clock and by the CPU's."""
    search(words[0].numpy())  # what is loaded once
    found, times, cpu = [], [], []
    for word in words.numpy():
        begun, cpu_begun = time.perf_counter(), time.process_time()
        found.append(search(word))
        cpu.append(1000 * (time.process_time() - cpu_begun))
        times.append(1000 * (time.perf_counter() - begun))
    ordered = sorted(times)
    p95 = ordered[round(0.95 * (len(times) - 1))]
    return {
        "cpu_ms": statistics.median(cpu),
        "p50_ms": statistics.median(times),
        "p95_ms": p95,
        "found": found,
    }


def flat(archive: Path, words: torch.Tensor) -> dict[str, Any]:
    """FAISS's exact index over the embeddings."""
    mean = Header.load(archive).mean
    before, begun = resident(), time.perf_counter()
    index = faiss.IndexFlatIP(LANGUAGE)
    for batch in stream(archive, ["embedding"]):
        index.add(centred(fixed_lists(batch["embedding"]), mean))
    opened = time.perf_counter() - begun

    def search(word: NDArray[np.float32]) -> list[int]:
        found: list[int] = index.search(word[None], K)[1][0].tolist()
        return found

    return {**timed(search, words), "open_seconds": opened, "memory": resident() - before}


def embeddings(archive: Path, words: torch.Tensor) -> dict[str, Any]:
    """Our index over the embeddings alone, re-scored from the table."""
    before, begun = resident(), time.perf_counter()
    header = Header.load(archive)
    rows = Table(archive / "images.lance", header.shape)
    index = SearchIndex.open(archive / "index", rows, shape=header.shape, mean=header.mean)
    opened = time.perf_counter() - begun

    def search(word: NDArray[np.float32]) -> list[int]:
        positions, _ = index.best("embedding", word[None], _CANDIDATES)[0]
        exact = centred(fixed_lists(rows.take(positions.tolist(), ["embedding"])["embedding"]), header.mean)
        best: list[int] = positions[np.argsort(-(exact @ word), kind="stable")[:K]].tolist()
        return best

    return {**timed(search, words), "open_seconds": opened, "memory": resident() - before}


def word(archive: Path, words: torch.Tensor) -> dict[str, Any]:
    """The search of the product: embeddings and cells."""
    rotate(words[0])  # the rotation of cells is made once in a process, and the encoder makes it anyway
    before, begun = resident(), time.perf_counter()
    opened_archive = Archive.open(archive)
    opened_archive.search(language=words[0], k=1)
    opened = time.perf_counter() - begun

    def search(one: NDArray[np.float32]) -> list[int]:
        return [int(hit.path.stem) for hit in opened_archive.search(language=torch.from_numpy(one), k=K)]

    figures = {**timed(search, words), "open_seconds": opened, "memory": resident() - before}
    begun = time.process_time()
    opened_archive.search_many([Query(language=one) for one in words], k=K)
    figures["many_ms"] = 1000 * (time.process_time() - begun) / len(words)
    return figures


def word_by_formula(archive: Path, words: torch.Tensor) -> dict[str, Any]:
    """Brute force: cos(embedding, word) + the best cell's estimate, over every row of the table."""
    mean = Header.load(archive).mean
    turned = np.stack([rotate(one) for one in words]).T  # (D, q)
    scores = []
    for batch in stream(archive, ["embedding", "language_bits", "language_factors"]):
        factors = fixed_lists(batch["language_factors"]).astype(np.float32)  # (n, cells)
        bits = fixed_lists(batch["language_bits"]).reshape(*factors.shape, -1)  # (n, cells, bytes)
        signs = np.unpackbits(bits, axis=-1, count=LANGUAGE).astype(np.float32) * 2 - 1  # (n, cells, D)
        cells = ((signs @ turned) * factors[..., None]).max(1)  # (n, q)
        scores.append(centred(fixed_lists(batch["embedding"]), mean) @ words.numpy().T + cells)
    found = np.argsort(-np.concatenate(scores), axis=0, kind="stable")[:K].T  # (q, K)
    return {"found": found.tolist()}


STEPS = {"flat": flat, "embeddings": embeddings, "word": word, "word_by_formula": word_by_formula}


def recall(found: list[list[int]], exact: list[list[int]]) -> float:
    return statistics.mean(len(set(a) & set(b)) / K for a, b in zip(found, exact, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the archive here, and use the one that is there")
    parser.add_argument("--single", action="store_true", help="one cell of each kind, for very large ones")
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    faiss.omp_set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    if options.step:
        print(json.dumps(STEPS[options.step](options.folder, queries(options.queries))))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        archive = options.folder or Path(scratch) / "synthetic.reco"
        if not archive.exists():
            write_archive(archive, options.images, single=options.single)
        begun = time.perf_counter()
        header = Header.load(archive)
        rows = Table(archive / "images.lance", Header.load(archive).shape)
        SearchIndex.open(archive / "index", rows, shape=header.shape, mean=header.mean)
        built = time.perf_counter() - begun
        figures = {
            step: in_own_process(
                __file__,
                f"--step={step}",
                f"--folder={archive}",
                f"--queries={options.queries}",
                f"--threads={options.threads}",
            )
            for step in STEPS
        }
    figures["embeddings"]["recall"] = recall(figures["embeddings"]["found"], figures["flat"]["found"])
    figures["word"]["recall"] = recall(figures["word"]["found"], figures.pop("word_by_formula")["found"])
    for one in figures.values():
        del one["found"]
    if options.json:
        print(json.dumps({"images": len(rows), "index_seconds": built, "rows": figures}))
        return 0
    base = figures["flat"]
    names = {
        "flat": "top 50 of embeddings, faiss IndexFlatIP",
        "embeddings": "top 50 of embeddings, ours",
        "word": "a word: embeddings and cells, ours",
    }
    print(f"{len(rows):,} images, {options.queries} queries one by one, {options.threads} thread(s)\n")
    head = [
        "what",
        "CPU ms",
        "of baseline",
        "p50 ms",
        "p95 ms",
        "recall@50",
        "memory MB",
        "of baseline",
        "open s",
    ]
    cells = [
        [
            names[step],
            f"{one['cpu_ms']:.1f}",
            f"{one['cpu_ms'] / base['cpu_ms']:.2f}",
            f"{one['p50_ms']:.1f}",
            f"{one['p95_ms']:.1f}",
            f"{one['recall']:.4f}" if "recall" in one else "1",
            f"{one['memory'] / 1e6:.0f}",
            f"{one['memory'] / base['memory']:.2f}",
            f"{one['open_seconds']:.3f}",
        ]
        for step, one in figures.items()
    ]
    print(table(head, cells))
    print(
        f"\nSeveral words at once: {figures['word']['many_ms']:.1f} CPU ms a word. "
        f"The index was made, once, in {built:.0f} s."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
