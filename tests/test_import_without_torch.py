import subprocess
import sys

import pytest

HEAVY = ("torch", "timm", "open_clip", "transformers", "sentence_transformers", "faiss", "lance", "IPython")


@pytest.mark.parametrize(
    "package",
    [
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
    ],
)
def test_a_fresh_interpreter_loads_no_torch(package):
    code = f"import sys, reco_assist.{package}; print(*[name for name in {HEAVY} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_the_names_of_the_package_lead_there_without_torch():
    code = "import sys, reco_assist as r; r.to_coco, r.to_label_studio; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
