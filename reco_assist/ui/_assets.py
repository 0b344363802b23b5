"""Where the browser modules are: in the wheel beside this file, in a checkout under `widgets/src`."""

from pathlib import Path

_WHEEL = Path(__file__).parent / "static"
_CHECKOUT = Path(__file__).parents[2] / "widgets" / "src"


def asset(name: str) -> Path:
    """Path of a browser module or style sheet.

    Args:
        name: File name, such as `mask_canvas.js`.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    # The checkout comes first: a stale build beside the sources must not hide an edit.
    for folder in (_CHECKOUT, _WHEEL):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{name} is missing from reco-assist, which ships it; install reco-assist again.")
