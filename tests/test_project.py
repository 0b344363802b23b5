"""The project's own files agree with each other."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

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
