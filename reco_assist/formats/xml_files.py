"""XML of strangers: parsed without document types, which could name other files or grow without end."""

import xml.etree.ElementTree as ET
from pathlib import Path

from reco_assist.errors import FormatError, InputError, reason
from reco_assist.files import read_bounded

_MOST = 1 << 30  # bytes; CVAT writes some 200 for a box


def parse_xml(path: Path) -> ET.Element:
    """The root of an XML file.

    Raises:
        InputError: It cannot be read.
        FormatError: It is no XML, too large, or has a document type.
    """
    try:
        data = read_bounded(path, _MOST)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({reason(error)}): name an XML file") from error
    if b"<!DOCTYPE" in data.replace(b"\0", b""):  # UTF-16 has zeros between its letters
        raise FormatError(f"{path} has a document type, which no annotation tool writes: leave that line out")
    try:
        return ET.fromstring(data)  # noqa: S314  (without a document type there are no entities)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise FormatError(f"{path} is no valid XML ({reason(error)}): export it anew") from None
