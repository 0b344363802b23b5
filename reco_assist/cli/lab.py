"""`reco-assist lab`."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from reco_assist.errors import InputError
from reco_assist.files import write_bytes
from reco_assist.folders import make_folder

TUTORIALS = "reco-assist-tutorials"
"""Folder of the copied notebooks in the folder to work in."""

_FIRST = "quickstart.ipynb"
_WHEEL = Path(__file__).parents[1] / "notebooks"
_CHECKOUT = Path(__file__).parents[2] / "notebooks"


def lab(
    folder: Annotated[Path, typer.Argument(help="The folder to work in.")] = Path(),
) -> None:
    """Open JupyterLab with the tutorial notebooks, which are copied to the folder once.

    Example: reco-assist lab ~/annotation
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: name the folder to work in")
    first = copy_tutorials(folder.absolute())
    # The interpreter that runs this has reco-assist; a 'jupyter' found on the path may not.
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.absolute()}", str(first)]
    sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603  (what it runs is ours)


def copy_tutorials(folder: Path) -> Path:
    """Put the notebooks into a folder; those that are there stay as they are, with what was done in them.

    Returns:
        The notebook to begin with.

    Raises:
        StorageError: The folder cannot be written.
    """
    source = _CHECKOUT if (_CHECKOUT / _FIRST).is_file() else _WHEEL
    place = make_folder(folder / TUTORIALS)
    for notebook in sorted(source.glob("*.ipynb")):
        if not (place / notebook.name).exists():
            write_bytes(place / notebook.name, notebook.read_bytes())
    return place / _FIRST
