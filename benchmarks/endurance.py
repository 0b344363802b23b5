"""Index many files under a memory cap, killed at random; then compare the archive with the files themselves.

    python benchmarks/endurance.py [--images 20000] [--kills 3] [--seed 0] [--json]

The cap is on the address space (`ulimit -v`): what indexing the first 500 files took at most, and 10 %. The
process is ended by SIGKILL after a random number of batches. The encoder is a quick stand-in, since it is
the files, the table and the memory that are tried; files are synthetic, some of them copies or damaged.
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
from synthetic import write_photographs

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes import FakeEncoder

from reco_assist import Archive
from reco_assist.archive import AddReport

_TRIAL = 500
_COPIES, _BAD = 20, 5


def index(archive: Path, photographs: Path, cap: int) -> None:
    """Index, say after each batch how many images are stored, and in the end how much memory it took."""
    if cap:
        resource.setrlimit(resource.RLIMIT_AS, (cap, cap))

    def tell(report: AddReport) -> None:
        print(report.added, flush=True)

    encoder = FakeEncoder()
    opened = Archive.open(archive, encoder=encoder) if archive.exists() else None
    (opened or Archive.create(archive, encoder=encoder)).add(photographs, progress=False, on_batch=tell)
    status = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in status if line.startswith("Vm")}
    print(json.dumps({"address_space": sizes["VmPeak"], "resident": sizes["VmHWM"]}))


def start(archive: Path, photographs: Path, cap: int = 0) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, "--child", str(archive), str(photographs), str(cap)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def last_line(child: "subprocess.Popen[str]") -> str:
    lines = child.communicate()[0].splitlines()
    if child.returncode:
        raise SystemExit(f"indexing ended with status {child.returncode}")
    return lines[-1]


def write_files(folder: Path, count: int) -> None:
    """Small photographs, and behind them copies and damaged files."""
    paths = write_photographs(folder, count, width=160, height=120)
    for number in range(_COPIES):
        (folder / f"copy {number}.jpg").write_bytes(paths[number * count // _COPIES].read_bytes())
    for number in range(_BAD):
        (folder / f"bad {number}.jpg").write_bytes(paths[number].read_bytes()[:200])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one object instead of the sentences")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        index(Path(options.child[0]), Path(options.child[1]), int(options.child[2]))
        return 0
    random = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as place:
        folder, archive = Path(place) / "photographs", Path(place) / "x.reco"
        write_photographs(Path(place) / "trial", _TRIAL, width=160, height=120)
        trial = json.loads(last_line(start(Path(place) / "trial.reco", Path(place) / "trial")))
        cap = int(1.1 * trial["address_space"])
        write_files(folder, options.images)
        begun, kept = time.perf_counter(), []
        for left in range(options.kills, 0, -1):
            remaining = (options.images - (kept[-1] if kept else 0)) // 32
            child = start(archive, folder, cap)
            for _ in range(int(random.integers(1, max(2, 2 * remaining // (left + 1))))):
                child.stdout.readline()
            time.sleep(random.uniform(0, 0.05))
            child.send_signal(signal.SIGKILL)
            child.communicate()
            kept.append(len(Archive.open(archive)))
        end = json.loads(last_line(start(archive, folder, cap)))
        seconds = time.perf_counter() - begun
        opened = Archive.open(archive)
        stored = [entry.content_hash for entry in opened.images()]
        bad = {path.name for path, _ in opened.statistics().rejected}
        expected = {
            sha256(path.read_bytes()).hexdigest()
            for path in folder.iterdir()
            if not path.name.startswith("bad")
        }
    result = {
        "files": options.images + _COPIES + _BAD,
        "stored_at_each_kill": kept,
        "stored": len(stored),
        "doubled": len(stored) - len(set(stored)),
        "lost": len(expected - set(stored)),
        "bad_named": len(bad),
        "cap": cap,
        "trial": trial,
        "end": end,
        "seconds": seconds,
    }
    if options.json:
        print(json.dumps(result))
    else:
        megabytes = {
            name: f"{one['address_space'] / 1e6:,.0f} MB ({one['resident'] / 1e6:,.0f} resident)"
            for name, one in (("trial", trial), ("end", end))
        }
        print(
            f"{result['files']:,} files, killed with {', '.join(f'{n:,}' for n in kept)} images stored.\n"
            f"In the end: {len(stored):,} images, {result['lost']} lost, {result['doubled']} doubled, "
            f"{len(bad)} of {_BAD} damaged files named, {seconds:.0f} s.\n"
            f"Address space: cap {cap / 1e6:,.0f} MB, {_TRIAL} files took {megabytes['trial']}, "
            f"all of them {megabytes['end']}."
        )
    return int(bool(result["lost"] or result["doubled"] or len(bad) != _BAD))


if __name__ == "__main__":
    sys.exit(main())
