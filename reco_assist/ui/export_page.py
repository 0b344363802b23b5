"""Step 5: write what was reviewed."""

from pathlib import Path

import ipywidgets as w

from reco_assist.annotations.regions import Instances
from reco_assist.errors import InputError
from reco_assist.formats import Format
from reco_assist.session import Choice, export
from reco_assist.ui.controls import button, field, page, row, say, text
from reco_assist.ui.state import PanelState

EXPORT = 4
_FORMATS: tuple[tuple[Format, str], ...] = (
    ("coco", "COCO (coco.json)"),
    ("label-studio", "Label Studio tasks (label-studio.json)"),
    ("png", "Label maps (masks/*.png)"),
)


class ExportPage:
    """Which images, in which formats, to which folder."""

    def __init__(self, state: PanelState) -> None:
        self._state = state
        self.which = w.Dropdown(
            options=[("Accepted masks", "accepted"), ("All masks, also undecided ones", "all")],
            layout=w.Layout(width="280px"),
        )
        self.absent = _check("Images in which it was said to be absent, as empty", on=True)
        self.negatives = _check("Rejected images, as empty")
        self.formats = {name: _check(label, on=True) for name, label in _FORMATS}
        self.instances = w.Dropdown(
            description="Regions",
            options=[
                ("One region per connected part", "components"),
                ("Also part objects that touch", "split"),
                ("One region per image", "none"),
            ],
            layout=w.Layout(width="280px"),
        )
        self.validation = w.Dropdown(
            description="Validation split",
            options=[("No split", 0.0), ("10 % validation", 0.1), ("20 % validation", 0.2), ("30 %", 0.3)],
            layout=w.Layout(width="280px"),
        )
        default = state.session.folder.with_name(f"{state.session.folder.stem}-export")
        self.folder = w.Text(state.short(default), layout=w.Layout(width="420px"))
        self.export_button = button(state.guard, "Export", self.export, "primary", "large")
        self._counts = text("", "soft")
        self._summary, self._files = text("", "hint"), text("", "soft")
        self.widget = page(
            row(
                field("Which images", self.which, self.absent, self.negatives, self._counts),
                field("How", self.instances, self.validation, *self.formats.values()),
                kinds=["columns"],
            ),
            field("Where", row(self.folder, self.export_button)),
            self._summary,
            self._files,
        )

    def choice(self) -> Choice:
        """What the controls say."""
        instances: Instances = self.instances.value
        return Choice(
            undecided=self.which.value == "all",
            negatives=self.negatives.value,
            absent=self.absent.value,
            instances=instances,
            formats=tuple(name for name, box in self.formats.items() if box.value),
            validation=self.validation.value,
        )

    def export(self) -> None:
        """Write the files in the background, and say what was written."""
        place = self.folder.value.strip()
        if not place:
            raise InputError("No folder is named; type where the files shall go.")
        choice = self.choice()
        say(self._summary, "")
        say(self._files, "Writing …")
        self._state.learning.run(lambda: self._write(Path(place).expanduser(), choice))

    def _write(self, place: Path, choice: Choice) -> None:
        files = ""
        try:
            done = export(self._state.session, place, choice)
            say(self._summary, str(done))
            files = f"{self._state.short(done.folder)}: {', '.join(done.files)}"
        finally:
            say(self._files, files)

    def refresh(self) -> None:
        """Show what there is to export."""
        if self._state.step != EXPORT:
            return
        self.export_button.disabled = self._state.learning.busy
        counts = self._state.queue.progress.counts
        said = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
        old = len(self._state.queue.outdated)
        marked = f"; {old:,} with masks that are out of date, see Segment and review" if old else ""
        say(self._counts, said and f"So far: {said}{marked}")


def _check(label: str, *, on: bool = False) -> w.Checkbox:
    return w.Checkbox(on, description=label, indent=False)
