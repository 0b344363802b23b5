import subprocess
import sys

HEAVY = ("torch", "timm", "open_clip", "transformers", "sentence_transformers", "faiss", "lance", "IPython")


PACKAGES = (
    "formats",
    "evaluation",
    "datasets",
    "label_studio",
    "annotations",
    "masks",
    "images",
    "image_files",
    "json_files",
    "files",
    "errors",
)


def test_a_fresh_interpreter_loads_no_torch():
    """What all of them together do not load, none of them does."""
    code = (
        "import importlib, sys\n"
        f"for package in {PACKAGES}:\n"
        "    importlib.import_module(f'reco_assist.{package}')\n"
        f"    print(*[f'{{package}}: {{name}}' for name in {HEAVY} if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_the_names_of_the_package_lead_there_without_torch():
    code = "import sys, reco_assist as r; r.to_coco, r.to_label_studio; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
