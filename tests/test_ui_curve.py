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


def test_curves_show_the_loss_and_the_scores_from_the_first_step_to_the_last():
    loss, score = curve._draw(RUN).axes
    assert loss.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    assert loss.lines[0].get_ydata()[0] == 1
    assert sorted(loss.lines[0].get_ydata(), reverse=True) == loss.lines[0].get_ydata().tolist()
    assert score.lines[0].get_xydata().tolist() == [[2, 0.25], [4, 0.5]]
    for axes in (loss, score):
        assert axes.get_xlim() == (0, 10)
        assert axes.get_ylim()[0] == 0
    assert len(curve._draw(RUN[:1]).axes) == 1  # nothing is held out yet


def test_a_resumed_run_fills_its_chart():
    """A run that goes on at step 5 of 10 begins at the left and ends at the right."""
    (axes,) = curve._draw([moment(step, 1.0) for step in range(5, 11)]).axes
    assert axes.get_xlim() == (4, 10)


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


def test_colours_follow_the_theme_and_the_rest_of_the_page_stays_as_it_is():
    """Every colour is one of the notebook's, with another for pages that have none."""
    markup = curve.curves(RUN)
    colours = re.findall(r"(?:fill|stroke): ?([^;\"]*)", markup)
    assert {"none"} < set(colours)
    assert all(one == "none" or one.startswith("var(--jp-") for one in colours)
    drawing = ET.fromstring(markup).find("{http://www.w3.org/2000/svg}svg")
    assert not list(drawing.iter("{http://www.w3.org/2000/svg}style"))  # would hold for the whole page
    words = "".join(one.text for one in drawing.iter("{http://www.w3.org/2000/svg}text"))
    assert "mean IoU on held-out images" in words


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
