"""Where the browser modules are: in the wheel beside this file, in a checkout under `widgets/dist`.

They are made of `widgets/src` and committed, so that neither users nor `make demo` need Node.
"""

from pathlib import Path

_WHEEL = Path(__file__).parent / "static"
_CHECKOUT = Path(__file__).parents[2] / "widgets" / "dist"


def asset(name: str) -> Path:
    """Path of a browser module or style sheet.

    Args:
        name: File name, such as `mask_canvas.js`.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    # The checkout comes first: an old build of the wheel in it must not hide an edit.
    for folder in (_CHECKOUT, _WHEEL):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{name} is missing from reco-assist, which ships it; install reco-assist again.")
