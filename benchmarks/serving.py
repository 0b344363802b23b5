"""How the machine-learning backend bears twenty requests at once, with the real encoder.

    python benchmarks/serving.py

Prints the waiting times of twenty parallel predictions against as many one after the other, and those of
/health and /setup meanwhile. Loopback only.
"""

import socket
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import uvicorn

from reco_assist.archive import Archive
from reco_assist.concepts import learn_concept
from reco_assist.encoders import load_encoder
from reco_assist.export import label_config
from reco_assist.serving import ImageStore, Teacher, create_app

SAMPLES = Path(__file__).parents[1] / "reco_assist" / "samples"
REQUESTS = 20


def row(name: str, seconds: list[float]) -> str:
    """A line of the table."""
    ordered = sorted(seconds)
    last = ordered[int(0.95 * (len(ordered) - 1))]
    return f"| {name} | {len(ordered)} | {statistics.median(ordered):.3f} | {last:.3f} | {ordered[-1]:.3f} |"


def main() -> None:
    """Serve, ask, print."""
    encoder = load_encoder("offline", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.create(Path(folder) / "samples.reco", encoder=encoder)
        archive.add(SAMPLES / "archive", progress=False)
        concept = learn_concept(archive, "mug", k=12)
    teacher = Teacher([concept], ImageStore((SAMPLES / "targets",)), encoder=encoder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(create_app(teacher), host="127.0.0.1", port=port, log_level="warning")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    url = f"http://127.0.0.1:{port}"
    names = sorted(path.name for path in (SAMPLES / "targets").glob("*.jpg"))[:REQUESTS]

    def predict(name: str) -> float:
        begun = time.perf_counter()
        task = {"id": 1, "data": {"image": f"/data/local-files/?d={name}"}}
        content = {"project": "1", "label_config": label_config(["mug"]), "tasks": [task]}
        httpx.post(f"{url}/predict", json=content, timeout=100).raise_for_status()
        return time.perf_counter() - begun

    predict(names[0])  # loads what is loaded late
    begun = time.perf_counter()
    alone = [predict(name) for name in names]
    one_by_one = time.perf_counter() - begun
    health, setup = [], []
    begun = time.perf_counter()
    with ThreadPoolExecutor(REQUESTS) as pool:
        answers = [pool.submit(predict, name) for name in names]
        while not all(answer.done() for answer in answers):
            for path, waits in (("/health", health), ("/setup", setup)):
                asked = time.perf_counter()
                if path == "/health":
                    httpx.get(f"{url}{path}", timeout=1).raise_for_status()
                else:
                    httpx.post(f"{url}{path}", json={"project": "1"}, timeout=3).raise_for_status()
                waits.append(time.perf_counter() - asked)
            time.sleep(0.02)
        together = [answer.result() for answer in answers]
    at_once = time.perf_counter() - begun
    server.should_exit = True
    thread.join()
    print("| request | number | median s | 95 % | longest |\n| --- | --- | --- | --- | --- |")
    print(row("/predict, one after the other", alone))
    print(row(f"/predict, {REQUESTS} at once", together))
    print(row("/health meanwhile", health))
    print(row("/setup meanwhile", setup))
    print(f"\nall: {at_once:.2f} s at once, {one_by_one:.2f} s one by one ({at_once / one_by_one:.2f} of it)")


if __name__ == "__main__":
    main()
