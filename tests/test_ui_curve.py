"""The curves of a training run: what they show, and that an interrupt leaves them."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from reco_assist.student import Moment
from reco_assist.ui import curve, watch


def moment(step, loss, score=None, **more):
    return Moment(
        step, 10, loss, score, score, seconds=float(60 * (10 - step)), looked=score is not None, **more
    )


RUN = [moment(1, 1.0), moment(2, 0.5, 0.25), moment(3, 0.4), moment(4, 0.3, 0.5)]


def points(markup, number):
    """(x, y) of the line of a chart."""
    chart = ET.fromstring(markup).findall("svg")[number]
    return [tuple(map(float, pair.split(","))) for pair in chart.find("polyline").get("points").split()]


def test_curves_grow_to_the_right_and_stay_in_their_charts():
    loss, score = points(curve.curves(RUN), 0), points(curve.curves(RUN), 1)
    assert len(loss) == 4
    assert len(score) == 2
    for line in (loss, score):
        assert line == sorted(line)
        assert all(40 <= x <= 308 and 24 <= y <= 128 for x, y in line)
    assert score[1][1] < score[0][1]  # the better one lies higher
    assert loss[3][1] > loss[0][1]


def test_a_resumed_run_fills_its_chart():
    """A run that goes on at step 4 of 10 begins at the left and ends at the right."""
    line = points(curve.curves([moment(step, 1.0) for step in range(5, 11)]), 0)
    assert line[0][0] < 90
    assert line[-1][0] == 308


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (RUN[3], "step 4 of 10 · loss 0.300 · held-out IoU 0.500, best 0.500 · 06:00 left"),
        (RUN[0], "step 1 of 10 · loss 1.000 · 09:00 left"),  # nothing is held out yet
        (moment(10, 0.1), "step 10 of 10 · loss 0.100 · done"),
        (replace(RUN[3], stopped=True), "stopped, since it no longer improves"),
    ],
)
def test_it_says_how_far_it_is(last, said):
    assert said in curve.curves([last])


def test_colours_follow_the_theme():
    """Every colour is one of the notebook's, with another for pages that have none."""
    colours = re.findall(r'(?:fill|stroke)="([^"]*)"', curve.curves(RUN))
    assert colours
    assert all(one == "none" or one.startswith("var(--jp-") for one in colours)


def test_watching_shows_the_last_state_also_of_a_run_that_is_interrupted(monkeypatch):
    shown = []
    monkeypatch.setattr(curve, "display", shown.append)

    def interrupted():
        yield from RUN[:3]
        raise KeyboardInterrupt

    assert watch(iter(RUN)) == RUN[3]
    with pytest.raises(KeyboardInterrupt):
        watch(interrupted())
    assert watch(iter(())) is None
    assert "step 4 of 10" in shown[0].value
    assert "step 3 of 10" in shown[1].value
    assert "had ended before" in shown[2].value
