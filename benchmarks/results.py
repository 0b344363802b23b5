"""Run every benchmark and write what it prints to benchmarks/RESULTS.md; `make bench` does this.

    python benchmarks/results.py [--only NAME]... [--long]

`--only` renews the tables of some scripts and keeps the others; `--long` makes those that take longer, which
are kept otherwise.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "RESULTS.md"
COMMANDS = {
    "Co-segmentation": "cosegment.py",
    "Search": "search.py",
    "Indexing": "index.py --images 256 --rounds 2",
    "Segmenting": "segment.py",
    "Files under a memory cap, killed": "endurance.py --images 1000",
    "Growth": "scaling.py",
    "Start": "startup.py",
    "Interaction": "interaction.py",
    "Data sets": "datasets.py",
    "Folders of files": "folders.py",
    "Decisions in a large session": "session.py",
}
LONG = {
    "Search in 1.28 million images": "search.py --images 1280000 --single",
    "Search in 1.28 million images, all cells": "search.py --images 1280000",
    "Search in 5 million images": "search.py --images 5000000 --single",
    "20,000 files under a memory cap, killed": "endurance.py",
    "A folder of 100,000 files": "folders.py --images 100000",
    "Data sets of a million masks": "datasets.py --annotations 1000000 --without evaluate",
    "Encoders that need a network": "encoders.py clip paper",
}
ORDER = [*COMMANDS, *LONG]
HEAD = """# Results of the benchmarks

Written by `make bench`. Ratios are to the baseline of the same table, measured in the same run; absolute
times are those of one machine under the load that stands beside each table.
"""


def section(title: str, command: str) -> str:
    """What a benchmark prints, under its title."""
    print(f"{title}: python benchmarks/{command}", file=sys.stderr, flush=True)
    script, *arguments = command.split()
    load, begun = os.getloadavg()[0], time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    said = done.stdout.strip() or f"It ended with status {done.returncode}."
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    foot = f"{when}, {machine()}, load {load:.1f} at the start, {time.perf_counter() - begun:.0f} s."
    return f"## {title}\n\n    python benchmarks/{command}\n\n{said}\n\n{foot}\n"


def machine() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    name = found[1] if found else platform.processor()
    return f"{os.cpu_count()} x {name}, Python {platform.python_version()}, torch {torch.__version__}"


def written() -> dict[str, str]:
    """Sections that are there already, by title."""
    if not RESULTS.exists():
        return {}
    parts = re.split(r"(?m)^## (.*)\n", RESULTS.read_text())[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {title: f"## {title}\n{text.rstrip()}\n" for title, text in pairs}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    scripts = {command.split(".")[0]: title for title, command in COMMANDS.items()}
    parser.add_argument("--only", action="append", choices=scripts, help="the name of a script")
    parser.add_argument("--long", action="store_true", help="make the tables that take longer")
    options = parser.parse_args()
    chosen = LONG if options.long else COMMANDS
    if options.only:
        chosen = {scripts[name]: COMMANDS[scripts[name]] for name in options.only}
    for title, command in chosen.items():
        made = {title: section(title, command)}
        sections = {**written(), **made}
        RESULTS.write_text("\n".join([HEAD, *(sections[one] for one in ORDER if one in sections)]))


if __name__ == "__main__":
    main()
