"""Small pieces that the Annotator's pages are made of."""

from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import TypeVar

import ipywidgets as w

from reco_assist.ui.guard import Guard

Widget = TypeVar("Widget", bound=w.DOMWidget)


def text(content: str = "", *kinds: str) -> w.HTML:
    """A line of text, shown as it is and never as HTML; none takes no room. Kinds: label, soft, hint."""
    line = with_classes(w.HTML(escape(content)), *(f"ra-{kind}" for kind in kinds))
    show(line, visible=bool(content))
    return line


def say(line: w.HTML, content: str) -> None:
    """Change a line made by `text`."""
    line.value = escape(content)
    show(line, visible=bool(content))


def show(widget: w.DOMWidget, *, visible: bool) -> None:
    """Show or hide a widget; what is hidden takes no room."""
    wanted = None if visible else "none"
    if widget.layout.display != wanted:
        widget.layout.display = wanted


def button(
    guard: Guard, label: str, action: Callable[[], object], *kinds: str, tooltip: str = ""
) -> w.Button:
    """A button. Kinds: primary, large, chip, suggested."""
    made = w.Button(description=label, tooltip=tooltip or label)
    made.on_click(guard(lambda _: action()))
    return with_classes(made, *(f"ra-{kind}" for kind in kinds))


def on_enter(guard: Guard, line: w.Text, action: Callable[[], object]) -> None:
    """Do something when Enter is pressed in a line of text, and only then."""
    line.on_msg(guard(lambda _, message, __: action() if message.get("event") == "submit" else None))


def on_change(guard: Guard, widget: w.Widget, trait: str, action: Callable[..., object]) -> None:
    """Do something with the new value whenever a trait of a widget changes."""
    widget.observe(guard(lambda change: action(change["new"])), trait)


def row(*children: w.Widget, kinds: Iterable[str] = ()) -> w.Box:
    """Children side by side, wrapping where it gets narrow."""
    return with_classes(w.Box(children), "ra-controls", *(f"ra-{kind}" for kind in kinds))


def field(label: str, *children: w.Widget) -> w.VBox:
    """A labelled group of controls. Screen readers hear the label of each that has no name of its own."""
    for one in _leaves(children):
        if isinstance(one, (w.Text, w.Dropdown, w.BoundedIntText)) and not one.description:
            one.description = label
    return with_classes(w.VBox([text(label, "label"), *children]), "ra-field")


def page(*children: w.Widget) -> w.VBox:
    """One page of the Annotator."""
    return with_classes(w.VBox(children), "ra-page")


def part(*children: w.Widget) -> w.VBox:
    """Children of a page that come and go together."""
    return with_classes(w.VBox(children), "ra-part")


def chips(
    guard: Guard,
    names: Iterable[str],
    remove: Callable[[str], None],
    suggestions: Iterable[str],
    add: Callable[[str], None],
) -> list[w.Button]:
    """Removable chips, then those that can be added."""
    chosen = [
        button(guard, f"{name}  ✕", _bound(remove, name), "chip", tooltip=f"Remove {name}") for name in names
    ]
    offered = [
        button(guard, f"+ {name}", _bound(add, name), "chip", "suggested", tooltip=f"Add {name}")
        for name in suggestions
    ]
    return [*chosen, *offered]


def with_classes(widget: Widget, *names: str) -> Widget:
    """The widget with CSS classes."""
    for name in names:
        widget.add_class(name)
    return widget


def _leaves(widgets: Iterable[w.Widget]) -> Iterator[w.Widget]:
    for one in widgets:
        yield from _leaves(one.children) if isinstance(one, w.Box) else (one,)


def _bound(action: Callable[[str], None], name: str) -> Callable[[], None]:
    return lambda: action(name)
