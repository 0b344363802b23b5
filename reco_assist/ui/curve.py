"""The curves of a training run, drawn under the cell while it runs."""

import io
import re
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import ipywidgets as w
from IPython.display import display
from tqdm import tqdm

from reco_assist.student import Moment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAUSE = 1.0  # seconds between two drawings
_SMOOTH = 0.9  # of the exponential mean of the loss
# Colours that stand in the drawing for those of the notebook, which follow its theme.
_THEME = {
    "#010101": "var(--jp-ui-font-color1, #333)",
    "#020202": "var(--jp-border-color1, #999)",
    "#030303": "var(--jp-brand-color1, #1976d2)",
}
_WORDS, _FRAME, _LINE = _THEME


def watch(moments: Iterable[Moment]) -> Moment | None:
    """Show a training run until it ends: its loss, and its mean IoU on the images that are held out.

    The run is as stoppable as without: interrupt the kernel, run the cell again, and it goes on.

    Args:
        moments: Of `reco_assist.student.train`.

    Returns:
        The last moment; None if the run had ended before.
    """
    view = w.HTML("<p>Training begins …</p>")
    display(view)  # type: ignore[no-untyped-call]
    seen: list[Moment] = []
    drawn = 0.0
    try:
        for moment in moments:
            seen.append(moment)
            if moment.looked or time.monotonic() - drawn > _PAUSE:
                view.value, drawn = curves(seen), time.monotonic()
    finally:
        view.value = curves(seen) if seen else "<p>This run had ended before: there is nothing to train.</p>"
    return seen[-1] if seen else None


def curves(moments: Sequence[Moment]) -> str:
    """HTML of the two curves of at least one moment, in the notebook's colours."""
    said = _state(moments[-1])
    return f'<div role="img" aria-label="{said}"><p>{said}</p>{_svg(_draw(moments))}</div>'


def _state(last: Moment) -> str:
    said = [f"step {last.step:,} of {last.iterations:,}", f"loss {last.loss:.3f}"]
    if last.score is not None and last.best is not None:
        said.append(f"held-out IoU {last.score:.3f}, best {last.best:.3f}")
    if last.stopped:
        said.append("stopped, since it no longer improves")
    elif last.step == last.iterations:
        said.append("done")
    else:
        said.append(f"{tqdm.format_interval(last.seconds)} left")
    return " · ".join(said)


def _draw(moments: Sequence[Moment]) -> "Figure":
    """The loss, smoothed, and beside it the held-out IoU once there is one."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (an extra)

    scores = [(one.step, one.score) for one in moments if one.looked and one.score is not None]
    losses, mean = [], moments[0].loss
    for one in moments:
        mean = _SMOOTH * mean + (1 - _SMOOTH) * one.loss
        losses.append((one.step, mean))
    charts = [("loss", losses, ""), ("mean IoU on held-out images", scores, "o")][: 1 + bool(scores)]
    figure = Figure(figsize=(3.4 * len(charts), 1.8), layout="constrained", facecolor="none")
    row = figure.subplots(1, len(charts), squeeze=False)[0]
    for axes, (title, points, marker) in zip(row, charts, strict=True):
        axes.plot(*zip(*points, strict=True), color=_LINE, marker=marker, markersize=4, clip_on=False)
        axes.set_title(title, loc="left", color=_WORDS, fontsize=9)
        axes.set_xlabel("step", color=_WORDS, fontsize=8)
        axes.set_xlim(moments[0].step - 1, moments[-1].iterations)
        axes.set_ylim(bottom=0)
        axes.set_facecolor("none")
        axes.tick_params(color=_FRAME, labelcolor=_WORDS, labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_FRAME)
    return figure


def _svg(figure: "Figure") -> str:
    """A drawing as a part of the page: text stays text, colours follow the theme, the page's style stays."""
    import matplotlib as mpl  # noqa: PLC0415  (an extra)

    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "reco-assist"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    svg = file.getvalue()
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL
    )
    for colour, name in _THEME.items():
        svg = svg.replace(colour, name)
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
