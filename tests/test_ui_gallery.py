import base64
import json

import numpy as np
import pytest

from reco_assist.errors import ArchiveError, InputError
from reco_assist.ui import ExemplarGallery, GalleryItem
from reco_assist.ui.gallery import _RECORD


class Pictures:
    """A source whose pictures are their ids."""

    def thumbnails(self, ids):
        return [b"" if name == "broken" else b"thumb " + name.encode() for name in ids]

    def preview(self, image_id):
        return b"large " + image_id.encode()

    def heat_map(self, image_id):
        return None if image_id == "b" else np.arange(6, dtype=np.uint8).reshape(2, 3)


class Wire:
    """A gallery and everything that it sends."""

    def __init__(self):
        self.gallery = ExemplarGallery(Pictures())
        self.sent = []
        self.gallery.send = lambda content, buffers=None: self.sent.append((content, buffers or []))

    def receive(self, **message):
        self.sent.clear()
        self.gallery._handle_custom_msg(message, [])
        return self.sent

    def state(self):
        """What the browser would show: ids in order with their records."""
        rows = records = None
        self.receive(type="ready")
        for content, buffers in self.sent:
            rows = content.get("rows", rows)
            if content["type"] == "state":
                records = np.frombuffer(buffers[0], _RECORD)
        return [(rows[record["row"]][0], record) for record in records]


@pytest.fixture
def wire():
    wire = Wire()
    wire.gallery.items = [
        GalleryItem("a", "a.jpg", 0.75, support=0.5, seed=(0.25, 0.125), outlier=True, feedback=-1),
        GalleryItem("b", "<b>.jpg", 0.5, kept=False, duplicates=3, marks=((0.0, 0.5, 0.25, 0.5),)),
        GalleryItem("c", "c.jpg", 0.25),
    ]
    return wire


def test_records_hold_every_field(wire):
    (first, a), (second, b), _ = wire.state()
    assert (first, second) == ("a", "b")
    assert (a["score"], a["support"], a["x"], a["y"], a["flags"], a["feedback"]) == (
        0.75,
        0.5,
        0.25,
        0.125,
        3,
        -1,
    )
    assert b["flags"] == 0
    assert np.isnan([b["support"], b["x"], b["y"]]).all()
    assert _RECORD.itemsize == 24  # as the browser reads it
    assert wire.sent[0][0]["rows"][1] == ("b", "<b>.jpg", 3, ((0.0, 0.5, 0.25, 0.5),))


def test_names_travel_only_when_they_change(wire):
    items = wire.gallery.items
    wire.sent.clear()
    wire.gallery.items = items[::-1]
    assert [content["type"] for content, _ in wire.sent] == ["state"]
    assert [name for name, _ in wire.state()] == ["c", "b", "a"]
    wire.sent.clear()
    wire.gallery.items = [*items, GalleryItem("d", "d.jpg", 0.1)]
    assert [content["type"] for content, _ in wire.sent] == ["rows", "state"]


def test_an_id_is_given_once(wire):
    with pytest.raises(InputError, match="2 gallery items have 1 different"):
        wire.gallery.items = [GalleryItem("a", "a", 1.0), GalleryItem("a", "b", 1.0)]


def test_pictures_travel_as_binary_buffers(wire):
    wire.gallery.items = [GalleryItem(name, name, 0.5) for name in ("a", "b", "broken")]
    thumbs, heats = wire.receive(type="need", thumbs=["a", "broken", "gone"], heats=["a", "b"])
    assert thumbs == ({"type": "thumbs", "ids": ["a", "broken"]}, [b"thumb a", b""])
    assert heats == ({"type": "heats", "ids": ["a", "b"], "shapes": [(2, 3), (0, 0)]}, [bytes(range(6)), b""])
    [preview] = wire.receive(type="preview", id="a")
    assert preview == ({"type": "preview", "id": "a"}, [b"large a"])
    for content, _ in [thumbs, heats, preview]:
        assert base64.b64encode(b"thumb a").decode()[:8] not in json.dumps(content)


def test_nothing_heavy_is_kept_in_a_saved_notebook(wire):
    wire.gallery.items = [GalleryItem(f"{index:064x}", "x" * 80, 0.5) for index in range(1000)]
    state = {name: value for name, value in wire.gallery.get_state().items() if name not in {"_esm", "_css"}}
    assert len(repr(state)) < 2000


def test_a_decision_is_applied_reported_and_acknowledged_last(wire):
    heard = []
    wire.gallery.on_decision(lambda ids, kept: heard.append((ids, kept)))
    sent = wire.receive(type="keep", ids=["a", "c"], kept=False, token="t1")
    assert heard == [(("a", "c"), False)]
    assert [item.kept for item in wire.gallery.items] == [False, False, False]
    assert sent[-1][0] == {"type": "ack", "token": "t1"}
    assert sent[-2][0] == {"type": "state"}


def test_a_failed_decision_is_taken_back_and_told(wire):
    def refuse(ids, kept):
        raise ArchiveError("The archive is busy; try again.")

    wire.gallery.on_decision(refuse)
    sent = wire.receive(type="keep", ids=["a"], kept=False, token="t1")
    assert wire.gallery.items[0].kept
    assert wire.gallery.error == "The archive is busy; try again."
    assert sent[-1][0] == {"type": "ack", "token": "t1"}


def test_other_errors_are_not_swallowed(wire):
    def fail(name):
        raise ZeroDivisionError

    wire.gallery.on_command(fail)
    with pytest.raises(ZeroDivisionError):
        wire.gallery._receive(wire.gallery, {"type": "command", "name": "undo"}, [])


def test_feedback_exemplars_and_commands_reach_their_owner(wire):
    heard = []
    wire.gallery.on_feedback(lambda *given: heard.append(given))
    wire.gallery.on_exemplar(lambda *given: heard.append(given))
    wire.gallery.on_command(lambda *given: heard.append(given))
    wire.gallery.on_absent(lambda *given: heard.append(given))
    wire.receive(type="absent", ids=["a", "gone", "c"])
    wire.receive(type="feedback", id="a", sign=-1)
    wire.receive(type="exemplar", id="b", box=[0, 0.25, 0.5, 1])
    wire.receive(type="command", name="load_more")
    assert heard == [(("a", "c"),), ("a", -1), ("b", (0.0, 0.25, 0.5, 1.0)), ("load_more",)]
