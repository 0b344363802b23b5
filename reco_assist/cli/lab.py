"""`reco-assist lab`."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from reco_assist.errors import InputError


def lab(
    folder: Annotated[Path, typer.Argument(help="The folder to work in.")] = Path(),
) -> None:
    """Open JupyterLab.

    Example: reco-assist lab ~/annotation
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: name the folder to work in")
    # The interpreter that runs this has reco-assist; a 'jupyter' found on the path may not.
    sys.exit(subprocess.run([sys.executable, "-m", "jupyterlab", str(folder)], check=False).returncode)  # noqa: S603
