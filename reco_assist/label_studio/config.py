"""What a labelling configuration asks for, and whether predictions fit it."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from reco_assist.errors import FormatError, ServerError, short
from reco_assist.formats.label_studio import Names, Shape

_TOOLS = {
    "BrushLabels": "brush",
    "PolygonLabels": "polygon",
    "RectangleLabels": "box",
    "EllipseLabels": "ellipse",
}
_LONGEST = 1 << 20  # letters of a configuration
_VARIABLE = re.compile(r"\$([A-Za-z_][\w.]*)")
_OURS = {"key", "file_name", "width", "height"}


@dataclass(frozen=True, slots=True)
class Control:
    """A labelling tag.

    Attributes:
        tool: brush, polygon, box or ellipse.
        name: Its name.
        image: Name of the image tag that it is for.
        labels: The values of its labels, in their order.
    """

    tool: str
    name: str
    image: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """A project's labelling configuration.

    Attributes:
        images: Data variable by name of the image tag.
        controls: Labelling tags for regions of images.
        variables: Everything that a task's data must have.
    """

    images: dict[str, str]
    controls: tuple[Control, ...]
    variables: frozenset[str]

    @classmethod
    def parse(cls, xml: str) -> "Config":
        """Read a configuration.

        Raises:
            FormatError: It is no XML, or longer than any that people write.
        """
        if len(xml) > _LONGEST:
            raise FormatError(
                f"The project's labelling configuration has {len(xml):,} letters, and at most "
                f"{_LONGEST:,} are read; shorten it."
            )
        try:
            root = ET.fromstring(xml)  # noqa: S314  (bounded above; expat bounds what entities make of it)
        except (ET.ParseError, ValueError, LookupError) as error:  # the latter about encodings that it names
            raise FormatError(
                f"The project's labelling configuration is no XML ({short(error)}); mend it."
            ) from None
        images: dict[str, str] = {}
        controls = []
        variables: set[str] = set()
        for element in root.iter():
            for attribute in ("value", "valueList"):
                variables.update(_VARIABLE.findall(element.get(attribute, "")))
            variable = _VARIABLE.fullmatch(element.get("value", ""))
            if element.tag == "Image" and variable:
                images[element.get("name", "")] = variable[1]
            elif element.tag in _TOOLS:
                labels = tuple(one.get("value", "") for one in element.iter("Label"))
                tool, name = _TOOLS[element.tag], element.get("name", "")
                controls.append(Control(tool, name, element.get("toName", ""), labels))
        return cls(images, tuple(controls), frozenset(variables))

    @property
    def blank(self) -> bool:
        """Whether nothing was configured yet."""
        return not self.controls and not self.images

    @property
    def concepts(self) -> tuple[str, ...]:
        """Every label once, in the order of the configuration."""
        return tuple(dict.fromkeys(label for control in self.controls for label in control.labels))

    def names(self, shape: Shape, concepts: Sequence[str]) -> Names | None:
        """How tasks with regions of a shape refer to things; None if no tag takes all of these concepts."""
        for control in self.controls:
            if (
                control.tool == shape
                and control.image in self.images
                and set(concepts) <= set(control.labels)
            ):
                return Names(control.name, control.image, self.images[control.image])
        return None

    def check(self, shape: Shape, concepts: Sequence[str], title: str) -> Names:
        """How tasks refer to things in this configuration.

        Raises:
            ServerError: Tasks with such regions do not fit it.
        """
        names = self.names(shape, concepts)
        if names is None:
            raise ServerError(f"The project {title!r} does not fit: {self._lack(shape, concepts)}.")
        if unknown := sorted(self.variables - _OURS - {names.data}):
            raise ServerError(
                f"The project {title!r} does not fit: its tasks need ${short(unknown[0])}, which we do not "
                "have; push to another project."
            )
        return names

    def _lack(self, shape: Shape, concepts: Sequence[str]) -> str:
        tag = {tool: tag for tag, tool in _TOOLS.items()}[shape]
        if not self.images:
            return "it has no Image tag; push to another project"
        known = [set(one.labels) for one in self.controls if one.tool == shape and one.image in self.images]
        if not known:
            tools = ", ".join(sorted({one.tool for one in self.controls})) or "none"
            return f"it has no {tag} tag for an image (its tools: {tools}); add one, or choose another shape"
        best = min((set(concepts) - labels for labels in known), key=len)
        missing = short(", ".join(repr(one) for one in sorted(best)))
        return f"its {tag} lack {missing}; add the label there, or push to another project"
