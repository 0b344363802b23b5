import zlib
from dataclasses import replace

import numpy as np
import pytest

from reco_assist.errors import InputError, StorageError
from reco_assist.masks.edits import apply_edits, pack_edits, unpack_edits
from reco_assist.ui import ConceptLayer, Decision, Frame, MaskCanvas

SHAPE = (5, 7)


class Wire:
    """A canvas and everything that it sends."""

    def __init__(self):
        self.canvas = MaskCanvas()
        self.sent = []
        self.frames = []
        self.outcome = ""
        self.canvas.send = self._hear

    def _hear(self, content, buffers=None):
        self.sent.append((content, buffers or []))
        if content["type"] == "frame":
            self.frames.append(content)

    def receive(self, *buffers, **message):
        """What the browser says of the frame that is shown; gives what is sent before the answer."""
        self.sent.clear()
        told = {"token": "t", "revision": self.revision, **message}
        self.canvas._handle_custom_msg(told, [memoryview(buffer) for buffer in buffers])
        [*sent, (answer, _)] = self.sent
        assert (answer["type"], answer["token"]) == ("answer", "t")
        self.outcome = answer["outcome"]
        return sent

    @property
    def revision(self):
        """Of the last frame that was sent."""
        return self.frames[-1]["revision"] if self.frames else 0


def make_frame(count=2, **changes):
    scores = np.arange(count * 35, dtype=np.uint8).reshape(count, *SHAPE)
    layers = tuple(ConceptLayer(f"concept {k}", scores[k], 100 + k, presence=0.5) for k in range(count))
    return replace(Frame("hash", "<a>.jpg", b"jpeg", layers, index=3, uncertainty=0.25), **changes)


@pytest.fixture
def wire():
    wire = Wire()
    wire.canvas.frame = make_frame()
    return wire


def test_a_frame_travels_whole_in_one_message(wire):
    [(header, buffers)] = wire.sent
    assert (header["type"], header["id"], header["label"], header["index"]) == ("frame", "hash", "<a>.jpg", 3)
    assert (header["width"], header["height"]) == (7, 5)
    assert [concept["threshold"] for concept in header["concepts"]] == [100, 101]
    assert len({concept["colour"] for concept in header["concepts"]}) == 2
    assert buffers[0] == b"jpeg"
    assert zlib.decompress(buffers[1]) == bytes(range(35))
    assert zlib.decompress(buffers[4]) == pack_edits(np.zeros(SHAPE, np.uint8))
    assert len(buffers) == 5


def test_scores_that_are_not_contiguous_arrive_row_by_row(wire):
    scores = np.arange(70, dtype=np.uint8).reshape(5, 14)[:, ::2]
    wire.sent.clear()
    wire.canvas.frame = make_frame(1, layers=(ConceptLayer("x", scores, 9),))
    assert zlib.decompress(wire.sent[0][1][1]) == bytes(scores.ravel())


def test_nothing_to_show_is_said(wire):
    wire.sent.clear()
    wire.canvas.frame = None
    assert wire.sent == [({"type": "empty"}, [])]
    assert wire.canvas.edits == {}


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ((), "no layer"),
        ((ConceptLayer("x", np.zeros(SHAPE, np.float32), 9),), "float32"),
        ((ConceptLayer("x", np.zeros(35, np.uint8), 9),), "1-dimensional"),
        (
            (
                ConceptLayer("x", np.zeros(SHAPE, np.uint8), 9),
                ConceptLayer("y", np.zeros((7, 5), np.uint8), 9),
            ),
            "sizes",
        ),
        ((ConceptLayer("x", np.zeros(SHAPE, np.uint8), 9, edits=np.zeros((1, 1), np.uint8)),), "sizes"),
        ((ConceptLayer("x", np.zeros(SHAPE, np.uint8), 0),), "threshold of 0"),
        ((ConceptLayer("x", np.zeros(SHAPE, np.uint8), 9),) * 2, "each concept once"),
    ],
    ids=["none", "float", "flat", "two sizes", "edits' size", "threshold", "two of a name"],
)
def test_frames_that_cannot_be_shown_are_refused(wire, layers, reason):
    with pytest.raises(InputError, match=reason):
        wire.canvas.frame = make_frame(layers=layers)
    assert wire.canvas.frame.label == "<a>.jpg"


def test_a_stroke_is_kept_reported_and_shown_to_a_later_view(wire):
    heard = []
    wire.canvas.on_edit(heard.append)
    cells = np.array([[1, 2, 0], [2, 2, 1]], np.uint8)
    wire.receive(pack_edits(cells), type="edit", concept="concept 1", rect=[4, 2, 3, 2])
    [edit] = heard
    assert (edit.id, edit.concept, edit.x, edit.y) == ("hash", "concept 1", 4, 2)
    assert np.array_equal(edit.cells, cells)
    expected = np.zeros(SHAPE, np.uint8)
    expected[2:4, 4:7] = cells
    assert np.array_equal(wire.canvas.edits["concept 1"], expected)
    assert not wire.canvas.edits["concept 0"].any()
    [(_, buffers)] = wire.receive(type="ready")
    assert np.array_equal(unpack_edits(zlib.decompress(buffers[4]), SHAPE), expected)


def test_what_is_drawn_while_the_image_moves_in_the_queue_is_kept(wire):
    """A worker's thread may bring results, and so another place, at any moment."""
    wire.canvas.on_edit(lambda _: wire.canvas.move(1))
    wire.canvas.on_threshold(lambda *_: wire.canvas.move(2))
    wire.receive(pack_edits(np.ones((1, 1), np.uint8)), type="edit", concept="concept 0", rect=[0, 0, 1, 1])
    wire.receive(type="threshold", concept="concept 1", value=7)
    [(header, buffers)] = wire.receive(type="ready")
    assert unpack_edits(zlib.decompress(buffers[3]), SHAPE).sum() == 1
    assert [concept["threshold"] for concept in header["concepts"]] == [100, 7]


def test_a_message_is_looked_at_and_obeyed_under_one_lock():
    held = []

    class Lock:
        def __enter__(self):
            held.append("lock")

        def __exit__(self, *_):
            held.append("free")

    canvas = MaskCanvas(lock=Lock())
    canvas.send = lambda content, buffers=None: held.append(content["type"])
    canvas.frame = make_frame()
    canvas.on_threshold(lambda *_: held.append("threshold"))
    held.clear()
    message = {"type": "threshold", "concept": "concept 0", "value": 7, "token": "t", "revision": 1}
    canvas._handle_custom_msg(message, [])
    assert held == ["lock", "threshold", "answer", "free"]


def test_the_owners_arrays_are_not_written_into():
    edits = np.zeros(SHAPE, np.uint8)
    wire = Wire()
    wire.canvas.frame = make_frame(layers=(ConceptLayer("x", np.zeros(SHAPE, np.uint8), 9, edits=edits),))
    wire.receive(pack_edits(np.ones((1, 1), np.uint8)), type="edit", concept="x", rect=[0, 0, 1, 1])
    assert not edits.any()
    assert wire.canvas.edits["x"].sum() == 1
    assert apply_edits(np.zeros(SHAPE, np.uint8), 9, wire.canvas.edits["x"]).sum() == 1


LATE = [
    pytest.param({"type": "edit", "concept": "concept 0", "rect": [0, 0, 1, 1]}, id="edit"),
    pytest.param({"type": "threshold", "concept": "concept 0", "value": 7}, id="threshold"),
    pytest.param(
        {"type": "decision", "action": "accept", "concept": "concept 0", "thresholds": {"concept 0": 7}},
        id="decision",
    ),
]


@pytest.mark.parametrize("message", LATE)
@pytest.mark.parametrize("frame", [make_frame(1), None], ids=["another frame", "no frame"])
def test_a_late_message_is_answered_and_not_applied(wire, message, frame):
    heard = []
    for listen in (wire.canvas.on_edit, wire.canvas.on_decision, wire.canvas.on_threshold):
        listen(lambda *given: heard.append(given))
    old = wire.revision
    # The same image, with one concept less: a position would now be another concept's.
    wire.canvas.frame = frame
    before = wire.canvas.thresholds, wire.canvas.edits
    wire.receive(pack_edits(np.ones((1, 1), np.uint8)), revision=old, **message)
    assert wire.outcome == "stale"
    assert heard == []
    assert (wire.canvas.thresholds, str(wire.canvas.edits)) == (before[0], str(before[1]))
    assert wire.canvas.error == ""


def test_every_frame_has_a_revision_of_its_own_and_keeps_it_for_later_views(wire):
    wire.canvas.frame = wire.canvas.frame
    wire.receive(type="ready")
    revisions = [frame["revision"] for frame in wire.frames]
    assert revisions[0] < revisions[1] == revisions[2]


def test_decisions_carry_the_thresholds_that_were_seen(wire):
    heard = []
    wire.canvas.on_decision(heard.append)
    wire.receive(type="threshold", concept="concept 1", value=7)
    thresholds = {"concept 0": 100, "concept 1": 7}
    wire.receive(type="decision", action="accept", concept="concept 1", thresholds=thresholds)
    assert heard == [Decision("hash", "accept", "concept 1", thresholds)]
    assert wire.canvas.thresholds == thresholds
    assert wire.outcome == "applied"


def test_the_answer_comes_after_the_frame_that_a_decision_brings(wire):
    wire.canvas.on_decision(lambda _: setattr(wire.canvas, "frame", make_frame(id="next")))
    [(frame, _)] = wire.receive(type="decision", action="skip", concept="concept 0", thresholds={})
    assert (frame["type"], frame["id"]) == ("frame", "next")
    assert wire.outcome == "applied"


def test_navigation_and_commands_reach_their_owner(wire):
    heard = []
    wire.canvas.on_navigate(lambda *given: heard.append(given))
    wire.canvas.on_command(lambda *given: heard.append(given))
    wire.receive(type="navigate", where="unsure", index=3)
    wire.receive(type="command", name="undo")
    assert heard == [("unsure", 3), ("undo",)]


def test_a_failure_is_told_in_the_panel(wire):
    def fail(decision):
        raise StorageError("The disk is full; free some space.")

    wire.canvas.on_decision(fail)
    wire.receive(type="decision", action="accept", concept="concept 0", thresholds={})
    assert wire.outcome == "failed"
    assert wire.canvas.error == "The disk is full; free some space."


@pytest.mark.parametrize("message", LATE[:2])
def test_what_could_not_be_kept_is_taken_from_the_screen(wire, message):
    def fail(*_):
        raise StorageError("The disk is full; free some space.")

    wire.canvas.on_edit(fail)
    wire.canvas.on_threshold(fail)
    before = wire.canvas.thresholds, str(wire.canvas.edits)
    [(frame, buffers)] = wire.receive(pack_edits(np.ones((1, 1), np.uint8)), **message)
    assert wire.outcome == "failed"
    assert (wire.canvas.thresholds, str(wire.canvas.edits)) == before
    assert [concept["threshold"] for concept in frame["concepts"]] == list(before[0].values())
    assert not unpack_edits(zlib.decompress(buffers[3]), SHAPE).any()


def test_nothing_heavy_is_kept_in_a_saved_notebook(wire):
    state = {name: value for name, value in wire.canvas.get_state().items() if name not in {"_esm", "_css"}}
    assert len(repr(state)) < 2000
