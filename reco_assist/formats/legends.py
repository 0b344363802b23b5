"""What the numbers of label maps mean, as our exports and VOC-style data sets say it.

The numbers are named by a file in the maps' folder or the one above it:

- `legend.json`, ours: a list of {"id", "name"}
- `labelmap.txt`, of CVAT and Roboflow: `name:r,g,b:parts:actions`, numbered in order; maps may be in colour
- `class_names.txt`, of labelme: a name a line, numbered in order; `__ignore__` before the first is void
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reco_assist.errors import FormatError, reason
from reco_assist.json_files import parse_json
from reco_assist.text_files import read_text

LEGEND = "legend.json"
"""Name of our own file of names."""

VOID = (255,)
"""Ids of label maps that stand for "not known"."""

VOC_CLASSES = "SegmentationClass"
"""Folder of a VOC-style data set with its maps of classes."""

VOC_OBJECTS = "SegmentationObject"
"""Folder of a VOC-style data set with its maps of single objects."""

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class LabelNames:
    """What the numbers of label maps mean.

    Attributes:
        names: Of each number; 0 is the background.
        colours: The number of each (r, g, b), for maps in colour.
    """

    names: Mapping[int, str]
    colours: Mapping[Colour, int] = field(default_factory=dict)


def mask_folder(folder: Path) -> Path:
    """The folder of the class maps: the one given, or `SegmentationClass` in a VOC-style data set."""
    inner = folder / VOC_CLASSES
    return inner if inner.is_dir() else folder


def read_names(folder: Path) -> LabelNames | None:
    """What names the numbers of a folder of label maps; None where no file does.

    Raises:
        FormatError: The file that names them is damaged.
    """
    readers = {LEGEND: _legend, "labelmap.txt": _colour_table, "class_names.txt": _name_list}
    for place in (folder, folder.parent):
        for name, reader in readers.items():
            path = place / name
            if not path.is_file():
                continue
            text = read_text(path)
            try:
                return reader(text)
            except (
                ValueError,
                KeyError,
                TypeError,
                IndexError,
                AttributeError,
                OverflowError,
            ) as error:
                raise FormatError(f"{path} does not name classes ({reason(error)}): write it anew") from error
    return None


def _legend(text: str) -> LabelNames:
    return LabelNames({int(one["id"]): str(one["name"]) for one in parse_json(text, LEGEND)})


def _colour_table(text: str) -> LabelNames:
    rows = [line.split(":") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    names = {number: row[0].strip() for number, row in enumerate(rows)}
    colours: dict[Colour, int] = {}
    for number, row in enumerate(rows):
        red, green, blue = (int(value) for value in row[1].split(","))
        colours[red, green, blue] = number
    return LabelNames(names, colours)


def _name_list(text: str) -> LabelNames:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = -1 if lines[0] == "__ignore__" else 0
    return LabelNames({number: name for number, name in enumerate(lines, start=first) if number >= 0})
