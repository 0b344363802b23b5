"""How long a start takes: import, help, and the Annotator on an existing archive.

    python benchmarks/startup.py [--repeats 3] [--json]

Medians of fresh processes. CPU seconds stand beside the wall clock because other work on the machine disturbs
them less. The encoder goes on loading in the background when the Annotator is shown.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples" / "archive"
ANNOTATOR = """
import os, sys
from reco_assist import Annotator
annotator = Annotator(sys.argv[1], session=sys.argv[2], resume=False)
annotator._repr_mimebundle_()
os._exit(0)
"""


def start(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    before, begun = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - begun, cpu


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one object instead of the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive, session = f"{folder}/x.reco", f"{folder}/x.session"
        index = ["-m", "reco_assist.cli", "index", archive, str(SAMPLES), "--quiet"]
        subprocess.run([sys.executable, *index], check=True)
        rows = {
            "python alone": (["-c", "pass"], None),
            "import reco_assist": (["-c", "import reco_assist"], 0.2),
            "reco-assist --help": (["-m", "reco_assist.cli", "--help"], 0.5),
            "Annotator shown": (["-c", ANNOTATOR, archive, session], 3.0),
        }
        table = {}
        for name, (command, target) in rows.items():
            times = [start(command) for _ in range(options.repeats)]
            wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
            table[name] = {"wall_seconds": wall, "cpu_seconds": cpu, "target": target}
    if options.json:
        print(json.dumps(table))
        return 0
    print("| what | wall s | CPU s | target s |\n| --- | --- | --- | --- |")
    for name, row in table.items():
        print(f"| {name} | {row['wall_seconds']:.2f} | {row['cpu_seconds']:.2f} | {row['target'] or ''} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
