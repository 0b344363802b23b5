"""How the machine-learning backend bears twenty requests at once, with the real encoder.

    python benchmarks/serving.py

Prints the waiting times of twenty parallel predictions against as many one after the other, and those of
/health and /setup meanwhile. Loopback only.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from reco_assist.archive import Archive
from reco_assist.concepts import learn_concept
from reco_assist.encoders import load_encoder
from reco_assist.formats import label_config

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples"
REQUESTS = 20
TOKEN = "benchmark"
SHOWN = {"Authorization": f"Bearer {TOKEN}"}


def row(name: str, seconds: list[float]) -> str:
    """A line of the table."""
    ordered = sorted(seconds)
    last = ordered[int(0.95 * (len(ordered) - 1))]
    return f"| {name} | {len(ordered)} | {statistics.median(ordered):.3f} | {last:.3f} | {ordered[-1]:.3f} |"


def main() -> None:
    """Serve, ask, print."""
    encoder = load_encoder("offline", device="cpu")
    folder = Path(tempfile.mkdtemp())
    archive = Archive.create(folder / "samples.reco", encoder=encoder)
    archive.add(SAMPLES / "archive", progress=False)
    learn_concept(archive, "mug", k=12).save(folder / "mug.concept")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "reco_assist.cli", "serve", "--concept", str(folder / "mug.concept")]
    command += ["--files", str(SAMPLES / "targets"), "--state", str(folder / "state"), "--port", str(port)]
    environment = {**os.environ, "RECO_ASSIST_TOKEN": TOKEN}
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    try:
        while not answers(url):
            time.sleep(0.1)
        measure(url)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def answers(url: str) -> bool:
    """Whether the backend is up."""
    try:
        return httpx.get(f"{url}/health", timeout=1).is_success
    except httpx.HTTPError:
        return False


def measure(url: str) -> None:
    """Ask and print."""
    names = sorted(path.name for path in (SAMPLES / "targets").glob("*.jpg"))[:REQUESTS]

    def predict(name: str) -> float:
        begun = time.perf_counter()
        task = {"id": 1, "data": {"image": f"/data/local-files/?d={name}"}}
        content = {"project": "1", "label_config": label_config(["mug"]), "tasks": [task]}
        httpx.post(f"{url}/predict", json=content, timeout=100, headers=SHOWN).raise_for_status()
        return time.perf_counter() - begun

    predict(names[0])  # loads what is loaded late
    begun = time.perf_counter()
    alone = [predict(name) for name in names]
    one_by_one = time.perf_counter() - begun
    health, setup = [], []
    begun = time.perf_counter()
    with httpx.Client(headers=SHOWN) as client, ThreadPoolExecutor(REQUESTS) as pool:
        waiting = [pool.submit(predict, name) for name in names]
        while not all(answer.done() for answer in waiting):
            for path, waits in (("/health", health), ("/setup", setup)):
                asked = time.perf_counter()
                if path == "/health":
                    client.get(f"{url}{path}", timeout=1).raise_for_status()
                else:
                    client.post(f"{url}{path}", json={"project": "1"}, timeout=3).raise_for_status()
                waits.append(time.perf_counter() - asked)
            time.sleep(0.1)
        together = [answer.result() for answer in waiting]
    at_once = time.perf_counter() - begun
    print("| request | number | median s | 95 % | longest |\n| --- | --- | --- | --- | --- |")
    print(row("/predict, one after the other", alone))
    print(row(f"/predict, {REQUESTS} at once", together))
    print(row("/health meanwhile", health))
    print(row("/setup meanwhile", setup))
    print(f"\nall: {at_once:.2f} s at once, {one_by_one:.2f} s one by one ({at_once / one_by_one:.2f} of it)")


if __name__ == "__main__":
    main()
