import subprocess
import sys

import pytest

from reco_assist.cli.lab import TUTORIALS, copy_tutorials, lab
from reco_assist.errors import InputError, StorageError

pytestmark = pytest.mark.slow


def test_tutorials_are_copied_once_and_never_overwritten(tmp_path):
    first = copy_tutorials(tmp_path)
    assert first == tmp_path / TUTORIALS / "quickstart.ipynb"
    assert {path.name for path in first.parent.iterdir()} == {
        "label_studio_round_trip.ipynb",
        "out_of_vocabulary.ipynb",
        "quickstart.ipynb",
        "reco_plus.ipynb",
        "your_own_photos.ipynb",
    }
    first.write_text("mine")
    (first.parent / "your_own_photos.ipynb").unlink()
    copy_tutorials(tmp_path)
    assert first.read_text() == "mine"
    assert (first.parent / "your_own_photos.ipynb").is_file()


def test_lab_opens_the_first_notebook_in_the_folder(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(
        subprocess, "run", lambda command, check: called.append(command) or subprocess.CompletedProcess([], 7)
    )
    with pytest.raises(SystemExit, match="7"):
        lab(tmp_path)
    [command] = called
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert command[-1] == str(tmp_path / TUTORIALS / "quickstart.ipynb")


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        lab(tmp_path / "none")
    (tmp_path / TUTORIALS).write_text("a file is in the way")
    with pytest.raises(StorageError):
        copy_tutorials(tmp_path)
