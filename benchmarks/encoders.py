"""The whole job with the presets that need a network, here with random weights from local files.

    python benchmarks/encoders.py [clip] [paper] [--images FOLDER] [--json]

Weight files of the real architectures are written to a temporary folder (3 GB for the paper's), then
`reco-assist index`, `learn` and `segment` run as a user would run them, each in a process of its own. Masks
of random weights mean nothing; times and memory do not depend on the weights. Every command loads the models
and takes their means over 8 bundled images, which the row of two images shows. Then DINOv2-S, the dense model
of `clip`, runs alone in half precision and compiled, against single precision in the same run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from reco_assist.encoders.names import ModelName, join
from reco_assist.encoders.presets import PRESETS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from weights import lively, save, timm_model  # noqa: E402

COUNT = 20  # images of the job


def weight_file(model: ModelName, folder: Path) -> Path:
    """Random weights as they would have been downloaded."""
    import open_clip  # noqa: PLC0415  (loads for seconds)

    path = folder / f"{model.model}.safetensors"
    if path.exists():
        return path
    if model.kind == "clip":
        torch.manual_seed(0)
        return save(lively(open_clip.create_model(model.model, pretrained_text=False)), path)
    architecture, _, tag = model.model.partition(".")
    if tag != "sin":
        return save(timm_model(architecture), path)
    path = path.with_suffix(".pth")  # as its authors publish it
    torch.save({"model": timm_model(architecture).state_dict()}, path)
    return path


def run(*arguments: object) -> dict[str, float]:
    """Wall and processor seconds and peak memory of a command."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "reco_assist.cli", *map(str, arguments), "--quiet"]
    process = subprocess.Popen(command, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return {
        "seconds": time.perf_counter() - begun,
        "processor": usage.ru_utime + usage.ru_stime,
        "gigabytes": usage.ru_maxrss / 1e6,
    }


def measure(preset: str, images: list[Path], folder: Path) -> dict[str, dict[str, float]]:
    """The rows of one preset."""
    models = [ModelName.parse(name) for name in PRESETS[preset].models]
    name = join(tuple(replace(one, tag=None, path=str(weight_file(one, folder))) for one in models))
    for count in (2, len(images)):
        (folder / str(count)).mkdir(exist_ok=True)
        for path in images[:count]:
            (folder / str(count) / path.name).symlink_to(path)
    method = "paper" if preset == "paper" else "assist"
    archive, concept = folder / "all.reco", folder / "mug.concept"
    few, everything = folder / "2", folder / str(len(images))
    found = {"index 2 images": run("index", folder / "two.reco", few, "--encoder", name)}
    found["index"] = run("index", archive, everything, "--encoder", name)
    found["learn, k = 10"] = run("learn", archive, "mug", "--out", concept, "-k", 10, "--method", method)
    found["segment"] = run(
        "segment", concept, "--images", everything, "--out", folder / "masks", "--presence", "off"
    )
    first, whole = found["index 2 images"], found["index"]
    each = (whole["processor"] - first["processor"]) / (len(images) - 2)
    found["index, each further image"] = {"processor": each}
    return found


def variants(rounds: int = 5) -> dict[str, float]:
    """Seconds for an image of DINOv2-S at 448 pixels on the processor, the quickest of some runs."""
    net = timm_model("vit_small_patch14_reg4_dinov2", img_size=448)
    x = torch.randn(1, 3, 448, 448)

    def quickest(forward: Callable[[torch.Tensor], object]) -> float:
        seconds = []
        for _ in range(rounds + 1):  # the first compiles and fills caches
            begun = time.perf_counter()
            forward(x)
            seconds.append(time.perf_counter() - begun)
        return min(seconds[1:])

    with torch.inference_mode():
        found = {"float32": quickest(net.forward_features)}
        with torch.autocast("cpu", torch.bfloat16):
            found["bfloat16"] = quickest(net.forward_features)
        found["float32, compiled"] = quickest(torch.compile(net.forward_features))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="*", default=["clip", "paper"], choices=["clip", "paper"])
    parser.add_argument("--images", type=Path, default=ROOT / "reco_assist" / "samples" / "archive")
    parser.add_argument("--json", action="store_true", help="print one object instead of tables")
    options = parser.parse_args()
    images = sorted(path.resolve() for path in options.images.glob("*.jpg"))[:COUNT]
    found = {}
    for preset in options.presets:
        with tempfile.TemporaryDirectory() as folder:
            found[preset] = measure(preset, images, Path(folder))
        if options.json:
            continue
        print(f"\n{preset}, {len(images)} images, random weights\n")
        print("| command | seconds | processor seconds | peak GB |\n| --- | --- | --- | --- |")
        for name, row in found[preset].items():
            cells = (f"{row[key]:.1f}" if key in row else "" for key in ("seconds", "processor", "gigabytes"))
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    forms = variants()
    if options.json:
        print(json.dumps({"presets": found, "variants": forms}))
        return
    print("\n| DINOv2-S, 448 pixels | seconds | of single precision |\n| --- | --- | --- |")
    for name, seconds in forms.items():
        print(f"| {name} | {seconds:.3f} | {seconds / forms['float32']:.2f} |")


if __name__ == "__main__":
    main()
