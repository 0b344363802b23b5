"""What the numbers of label maps mean, as our exports and VOC-style data sets say it.

The numbers are named by a file in the maps' folder or the one above it:

- `legend.json`, ours: a list of {"id", "name"}
- `labelmap.txt`, of VOC-style tools (CVAT, datumaro): `name:r,g,b:parts:actions`, the background 0 and the
  others from 1 in their order; without colours they have those of VOC's colour map
- `class_names.txt`, of labelme: a name a line, numbered in order; `__ignore__` before the first is void
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reco_assist.errors import FormatError
from reco_assist.formats.document import named
from reco_assist.formats.fields import cut, field_of, whole
from reco_assist.json_files import parse_json
from reco_assist.masks.colours import Colour, voc_colour
from reco_assist.text_files import read_text

LEGEND = "legend.json"
"""Name of our own file of names."""

VOID = (255,)
"""Ids of label maps that stand for "not known"."""

VOC_CLASSES = "SegmentationClass"
"""Folder of a VOC-style data set with its maps of classes."""

VOC_OBJECTS = "SegmentationObject"
"""Folder of a VOC-style data set with its maps of single objects."""

VOC_IMAGES = "JPEGImages"
"""Folder of a VOC-style data set with its photographs."""

_COLOUR_TABLE = "labelmap.txt"
_BACKGROUND = {"background", "_background_", "__background__"}
# Of VOC2007 to 2012, numbered from 1.
_VOC_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable"),
    *("dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


@dataclass(frozen=True, slots=True)
class LabelNames:
    """What the numbers of label maps mean.

    Attributes:
        names: Of each number; 0 is the background.
        colours: The number of each (r, g, b), for maps in colour.
        source: What names them, as messages say it.
        indexed: Whether these are the numbers of maps without colours, too.
    """

    names: Mapping[int, str]
    colours: Mapping[Colour, int] = field(default_factory=dict)
    source: str = "nothing"
    indexed: bool = True


def mask_folder(folder: Path) -> Path:
    """The folder of the class maps: the one given, or `SegmentationClass` in a VOC-style data set."""
    inner = folder / VOC_CLASSES
    return inner if inner.is_dir() else folder


def read_names(folder: Path) -> LabelNames | None:
    """What names the numbers of a folder of label maps; None where no file does.

    Raises:
        FormatError: The file that names them is damaged, in a sentence that names it.
    """
    for place in (folder, folder.parent):
        for name, reader in LABEL_NAMES.items():
            path = place / name
            if not path.is_file():
                continue
            with named(str(path)):
                return reader(read_text(path))
    return None


def voc_names(concepts: Collection[str]) -> Mapping[int, str] | None:
    """The names of the numbers in VOC's own release, where a data set has its concepts and no others."""
    if not concepts or not set(concepts) <= set(_VOC_NAMES):
        return None
    return dict(enumerate(_VOC_NAMES, start=1))


def with_voc_colours(names: Mapping[int, str]) -> LabelNames:
    """Names whose maps may be in the colours of VOC's colour map."""
    colours = {voc_colour(number): number for number in (0, *names, *VOID) if number < 256}
    return LabelNames(names, colours, "VOC's colour map")


def _legend(text: str) -> LabelNames:
    records = parse_json(text, LEGEND)
    if not isinstance(records, list) or not all(isinstance(one, Mapping) for one in records):
        raise FormatError("is no legend: give a list of records with id and name")
    name = field_of("categories", "name")
    found = {}
    for one in records:
        if "id" not in one:
            raise FormatError("has a record that has no id: give a whole number")
        found[whole(one["id"])] = str(name.of(one))
    return LabelNames(found)


def _colour_table(text: str) -> LabelNames:
    lines = [(at, line) for at, line in enumerate(text.splitlines(), start=1) if line.strip()]
    rows = [_Row.of(at, line) for at, line in lines if not line.startswith("#")]
    if not rows:
        raise FormatError("names no class: give lines of name:r,g,b::")
    background = _background(rows)
    classes = [row for row in rows if row is not background]
    coloured = any(row.colour is not None for row in rows)
    if not coloured and background is not rows[0]:
        raise FormatError("has no colours, and its first line is not the background: put background::: there")
    colours: dict[Colour, int] = {}
    for number, row in enumerate(([] if background is None else [background]) + classes, background is None):
        colour = row.colour if coloured else voc_colour(number)
        if colour is not None and colours.setdefault(colour, number) != number:
            raise FormatError(f"line {row.line} has the colour of another line, {colour}: give each its own")
    colours.setdefault(voc_colour(0), 0)
    for number in VOID:
        colours.setdefault(voc_colour(number), number)
    names = dict(enumerate((row.name for row in classes), start=1))
    return LabelNames(names, colours, _COLOUR_TABLE, indexed=background is rows[0])


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of labelmap.txt."""

    line: int
    name: str
    colour: Colour | None

    @classmethod
    def of(cls, line: int, text: str) -> "_Row":
        name, *others = (part.strip() for part in text.split(":"))
        if not others:
            raise FormatError(f"line {line} is {cut(text.strip())}: write name:r,g,b::")
        if not name:
            raise FormatError(f"line {line} names nothing: write name:r,g,b::")
        if not others[0]:
            return cls(line, name, None)
        values = [int(one) if one.strip().isdecimal() else 256 for one in others[0].split(",")]
        if len(values) != 3 or max(values) > 255:
            raise FormatError(f"line {line} has the colour {cut(others[0])}: give r,g,b from 0 to 255")
        return cls(line, name, (values[0], values[1], values[2]))


def _background(rows: Sequence[_Row]) -> _Row | None:
    """The line of what is no class: the one that says so, or else the first where it is black."""
    named_so = [row for row in rows if row.name.casefold() in _BACKGROUND]
    return next(iter([*named_so, *(row for row in rows[:1] if row.colour == voc_colour(0))]), None)


def _name_list(text: str) -> LabelNames:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise FormatError("names no class: give a name a line")
    first = -1 if lines[0] == "__ignore__" else 0
    return LabelNames({number: name for number, name in enumerate(lines, start=first) if number >= 0})


LABEL_NAMES: Mapping[str, Callable[[str], LabelNames]] = {
    LEGEND: _legend,
    _COLOUR_TABLE: _colour_table,
    "class_names.txt": _name_list,
}
"""The files that name the numbers of label maps, and what reads their text."""
