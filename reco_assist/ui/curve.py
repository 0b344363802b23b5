"""The curves of a training run, drawn under the cell while it runs."""

import time
from collections.abc import Iterable, Sequence

import ipywidgets as w
from IPython.display import display
from tqdm import tqdm

from reco_assist.student import Moment

_WIDTH, _HEIGHT = 320, 150  # pixels of one chart
_LEFT, _RIGHT, _TOP, _FOOT = 40, 12, 24, 22  # around its lines
_PAUSE = 0.5  # seconds between two drawings
_SMOOTH = 0.9  # of the exponential mean of the loss


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
    last = moments[-1]
    losses, mean = [], moments[0].loss
    for one in moments:
        mean = _SMOOTH * mean + (1 - _SMOOTH) * one.loss
        losses.append((one.step, mean))
    scores = [(one.step, one.score) for one in moments if one.looked and one.score is not None]
    first = moments[0].step - 1
    charts = _chart("loss", losses, first, last, dots=False)
    if scores:
        charts += _chart("mean IoU on held-out images", scores, first, last, dots=True)
    return f'<div role="img" aria-label="{_state(last)}"><p>{_state(last)}</p>{charts}</div>'


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


def _chart(title: str, points: Sequence[tuple[int, float]], first: int, last: Moment, *, dots: bool) -> str:
    """One chart as SVG. Points are (step, value), values not negative."""
    highest = max((value for _, value in points), default=0.0) or 1.0
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _FOOT
    span = max(1, last.iterations - first)

    def place(step: int, value: float) -> tuple[float, float]:
        x = _LEFT + (right - _LEFT) * (step - first) / span
        return round(x, 1), round(bottom - (bottom - _TOP) * value / highest, 1)

    path = " ".join(f"{x},{y}" for x, y in (place(*point) for point in points))
    line = (
        f'<polyline points="{path}" fill="none" stroke="var(--jp-brand-color1, #1976d2)" stroke-width="2"/>'
    )
    marks = "".join(
        f'<circle cx="{x}" cy="{y}" r="3" fill="var(--jp-brand-color1, #1976d2)"/>'
        for x, y in (place(*point) for point in points)
    )
    words = 'fill="var(--jp-ui-font-color1, #333)"'
    family = "var(--jp-ui-font-family, sans-serif)"
    frame = f'stroke="var(--jp-border-color1, #999)" d="M{_LEFT},{_TOP} V{bottom} H{right}" fill="none"'
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" font-size="11" font-family="{family}" aria-hidden="true">'
        f'<text x="{_LEFT}" y="14" {words} font-weight="600">{title}</text>'
        f"<path {frame}/>{line}{marks if dots else ''}"
        f'<text x="{_LEFT - 6}" y="{_TOP + 4}" text-anchor="end" {words}>{highest:.2f}</text>'
        f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end" {words}>0</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 6}" {words}>{first:,}</text>'
        f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end" {words}>{last.iterations:,} steps</text>'
        "</svg>"
    )
