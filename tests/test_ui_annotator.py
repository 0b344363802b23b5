"""The Annotator without a browser: what the widgets would send is put into their callbacks."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer, current_thread, main_thread

import ipywidgets
import numpy as np
import pytest
from fakes import FakeEncoder, write_photos, write_student
from PIL import Image
from pycocotools import mask as coco

from reco_assist.archive import Archive
from reco_assist.concepts import Quality, first_look
from reco_assist.errors import ArchiveError
from reco_assist.masks.edits import pack_edits
from reco_assist.session import Session
from reco_assist.ui import Annotator, Decision
from reco_assist.ui.guard import Guarded

pytestmark = pytest.mark.usefixtures("coarse")

OLD = Path(__file__).parent / "old" / "session-0.1"  # made by release 0.1


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """Thirty photographs and their archive, and six targets."""
    folder = tmp_path_factory.mktemp("indexed")
    write_photos(folder / "photos", 30)
    write_photos(folder / "targets", 6, seed=9)
    archive = Archive.create(folder / "photos.reco", encoder=FakeEncoder())
    archive.add(folder / "photos", progress=False, workers=1)
    return folder


@pytest.fixture
def place(indexed, tmp_path):
    for name in ("photos.reco", "targets"):  # the archive's photographs stay where they are, for all
        shutil.copytree(indexed / name, tmp_path / name)
    return tmp_path


def start(place, **options):
    encoder = FakeEncoder(delay=options.pop("delay", 0))
    made = Annotator(
        Archive.open(place / "photos.reco", encoder=encoder), targets=place / "targets", **options
    )
    assert made.wait(60)
    return made


def find(annotator, word="mug", k=8):
    annotator.concept_page.word.value = word
    annotator.concept_page.k.value = k
    annotator.concept_page.find_button.click()
    assert annotator.wait(60)
    assert annotator.stepper.error == ""


def segment(annotator):
    annotator.state.open(3)
    annotator.review_page.start_button.click()
    assert annotator.wait(60)
    assert annotator.stepper.error == ""


def decide(annotator, action, concept=None):
    frame = annotator.review_page.canvas.frame
    concept = concept or frame.layers[0].name
    thresholds = annotator.review_page.canvas.thresholds
    annotator.review_page.review.decide(Decision(frame.id, action, concept, thresholds))
    return frame.id


def send(widget, *buffers, **message):
    if widget.__class__.__name__ == "MaskCanvas":
        message = {"token": "t", "revision": widget._revision, **message}
    widget._handle_custom_msg(message, [memoryview(buffer) for buffer in buffers])


def test_the_whole_loop(place):  # noqa: PLR0915  (it is the whole loop)
    annotator = start(place, resume=True, who="anna")
    assert [step[2] for step in annotator.stepper.steps] == [True, *[False] * 6]
    find(annotator)
    gallery = annotator.set_page.gallery
    assert annotator.stepper.active == 1
    assert len(gallery.items) == 8
    assert gallery.mode == "retrieve"
    assert all(item.seed is None for item in gallery.items)

    annotator.set_page.next.click()
    assert gallery.mode == "prune"
    before = {item.id: item for item in gallery.items}
    assert all(item.seed is not None for item in gallery.items)
    supports = [item.support for item in gallery.items]
    assert supports == sorted(supports, reverse=True)
    send(gallery, type="keep", ids=[item.id for item in gallery.items[:2]], kept=False, token="t")
    after = {item.id: item for item in gallery.items}
    assert sum(not item.kept for item in gallery.items) == 2
    assert any(before[digest].support != after[digest].support for digest in before if after[digest].kept)
    assert annotator.stepper.steps[2][1] == "6 of 8 kept"
    send(gallery, type="command", name="undo")
    assert {item.id: item for item in gallery.items} == before
    send(gallery, type="command", name="redo")
    assert {item.id: item for item in gallery.items} == after

    segment(annotator)
    canvas = annotator.review_page.canvas
    assert len(canvas.timeline) == 6
    shown = canvas.frame
    send(canvas, type="threshold", concept="mug", value=60)
    cells = np.ones((4, 5), np.uint8)
    send(canvas, pack_edits(cells), type="edit", concept="mug", rect=[2, 3, 5, 4])
    seen = annotator.session.masks.drawn(shown.id, "mug")
    assert np.array_equal(seen[3:7, 2:7], cells.astype(bool))
    send(canvas, type="decision", action="accept", concept="mug", thresholds={"mug": 60})
    assert annotator.session.review(shown.id, "mug").state == "accepted"
    assert canvas.frame.id != shown.id
    rejected = decide(annotator, "reject")
    absent = decide(annotator, "absent")
    assert bytes(canvas.timeline)[:3] == bytes([1, 2, 3])

    annotator.review_page.next.click()
    annotator.export_page.export_button.click()
    assert annotator.wait(60)
    assert annotator.stepper.error == ""
    assert "2 images" in annotator.export_page._summary.value
    document = json.loads((place / "photos-export" / "coco.json").read_text())
    by_hash = {image["reco_hash"]: image for image in document["images"]}
    assert set(by_hash) == {shown.id, absent}
    assert rejected not in by_hash
    mask = sum(coco.decode(one["segmentation"]) for one in document["annotations"])
    assert np.array_equal(mask, seen)
    log = [(line["who"], line["what"]) for line in annotator.session.store.log() if "who" in line]
    assert [what for _, what in log if what in {"accepted", "rejected", "absent"}] == [
        "accepted",
        "rejected",
        "absent",
    ]
    assert {who for who, _ in log} == {"anna"}


@pytest.mark.slow
def test_a_student_segments_in_place_of_the_concepts(place):
    student = write_student(place / "m.student", "mug", "spoon")
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    before = {one.image.content_hash: one.findings["mug"] for one in annotator.session.results()}
    annotator.review_page.student.value = str(place / "gone.student")
    annotator.review_page.start_button.click()
    assert "is not a file" in annotator.stepper.error
    annotator.review_page.student.value = str(place / "m.student")
    segment(annotator)
    assert annotator.session.concepts == ("mug", "spoon")
    for result in annotator.session.results():
        assert {finding.digest for finding in result.findings.values()} == {student.digest}
        assert result.look
    findings = [one.findings["mug"] for one in annotator.session.results()]
    assert any(one.disagreement for one in findings)
    assert not any(one.disagreement for one in before.values())
    page = annotator.review_page
    first = max(annotator.state.queue.items, key=lambda item: item.gain)
    page.order.value = "gain"
    assert annotator.session.order == "gain"
    assert page.canvas.frame.id == first.result.image.content_hash
    again = start(place, resume=True)  # all of it is kept
    assert again.review_page.order.value == "gain"
    assert again.review_page.student.value.endswith("m.student")


def test_a_student_needs_no_concept(place):
    write_student(place / "m.student", "mug")
    annotator = start(place, student=place / "m.student")
    assert annotator.stepper.steps[3][2]
    segment(annotator)
    assert len(annotator.session.results()) == 6
    assert annotator.stepper.steps[4][2]


def test_a_new_annotator_offers_to_go_on_and_loses_nothing(place):
    first = start(place, resume=True)
    find(first)
    dropped = first.set_page.gallery.items[0].id
    first.set_page.decide([dropped], kept=False)
    segment(first)
    decided = decide(first, "reject")

    second = start(place)
    assert "Go on" in [child.description for child in second._offered.children[-1].children]
    assert not any(step[2] for step in second.stepper.steps)
    second._offered.children[-1].children[0].click()
    assert second.wait(60)
    assert second.stepper.active == 3
    assert second.session.review(decided, "mug").state == "rejected"
    assert second.review_page.canvas.frame.id != decided
    second.state.open(2)
    kept = {item.id for item in second.set_page.gallery.items if item.kept}
    assert dropped not in kept
    assert len(kept) == 7
    # A restarted kernel's builder is the same to the bit, so nothing is segmented again.
    second.state.open(3)
    count = second.session.store.count
    second.review_page.start_button.click()
    assert second.wait(60)
    assert second.session.store.count == count


def test_starting_anew_keeps_the_old_session(place):
    first = start(place, resume=True)
    find(first)
    second = start(place)
    second._offered.children[-1].children[1].click()
    assert second.wait(60)
    assert second.session.concepts == ()
    [old] = place.glob("photos-*.session")
    assert Session.open(old).concepts == ("mug",)


def test_errors_are_said_in_the_panel(place, caplog):
    annotator = start(place, resume=True)
    annotator.concept_page.find_button.click()
    assert "no name" in annotator.stepper.error
    find(annotator, "mug", 4)
    annotator.set_page.next.click()
    gallery = annotator.set_page.gallery
    ids = [item.id for item in gallery.items]
    send(gallery, type="keep", ids=ids, kept=False, token="t")
    assert "keep at least one" in gallery.error
    assert all(item.kept for item in gallery.items)
    annotator.state.open(3)
    annotator.review_page.folder.value = str(place / "nowhere")
    annotator.review_page.start_button.click()
    assert "is not a folder" in annotator.stepper.error
    annotator.review_page.folder.value = str(place / "targets")
    annotator.state.archive.encoder.encode = None
    annotator.review_page.start_button.click()
    assert annotator.wait(60)
    assert "unexpected went wrong ('NoneType' object is not callable)" in annotator.stepper.error
    assert "unexpected error" in caplog.text
    send(annotator.stepper, type="dismiss")
    assert annotator.stepper.error == ""
    assert annotator.state.error == ""


def registered(widget):
    """(name, callback) of all that Python calls when something is done to a widget, or to one inside it."""
    for child in getattr(widget, "children", ()):
        yield from registered(child)
    name = f"{type(widget).__name__} {getattr(widget, 'description', '')}"
    ours = [*widget._msg_callbacks.callbacks]
    if isinstance(widget, ipywidgets.Button):
        ours += widget._click_handlers.callbacks
    for kinds in widget._trait_notifiers.values():
        ours += [one for kind in kinds.values() for one in kind]
    library = ("ipywidgets", "traitlets", "anywidget")
    yield from (
        (name, one) for one in ours if not str(getattr(one, "__module__", "traitlets")).startswith(library)
    )


def test_no_failure_of_a_callback_vanishes(place, monkeypatch):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    annotator.concept_page._browse.click()
    found = list(registered(annotator.panel))
    assert len(found) > 35
    assert [name for name, one in found if not isinstance(one, Guarded)] == []
    shown = [annotator.stepper, *(one for one in all_widgets(annotator.panel) if hasattr(one, "error"))]

    def fail(*_):
        raise OSError("the disk is on fire")

    for name, one in found:
        for widget in shown:
            widget.error = ""
        with monkeypatch.context() as patch:
            patch.setattr(one, "action", fail)
            one("anything", {"event": "submit"}, [])
        assert any("the disk is on fire" in widget.error for widget in shown), name


def all_widgets(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from all_widgets(child)


def test_a_page_that_cannot_be_shown_says_so_and_leaves_the_others(place, monkeypatch):
    annotator = start(place, resume=True)
    find(annotator)
    monkeypatch.setattr(annotator.set_page, "refresh", lambda: 1 / 0)
    annotator.state.open(2)
    assert "division by zero" in annotator.stepper.error
    annotator.state.learning.run(lambda: None)  # the threads live on
    assert annotator.wait(60)
    monkeypatch.undo()
    send(annotator.stepper, type="step", index=1)
    assert annotator.stepper.error == ""
    assert annotator.stepper.active == 1


def test_a_failure_stays_until_the_curator_goes_on(place):
    annotator = start(place, resume=True)
    find(annotator, "mug", 4)
    annotator.set_page.next.click()
    gallery = annotator.set_page.gallery
    ids = [item.id for item in gallery.items]
    send(gallery, type="keep", ids=ids, kept=False, token="t")
    annotator.state.changed()  # as the threads do
    assert "keep at least one" in gallery.error
    send(gallery, type="keep", ids=ids[:1], kept=False, token="t")
    assert gallery.error == ""


def test_an_export_of_nothing_is_refused_in_words(place):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    annotator.state.open(4)
    annotator.export_page.export_button.click()
    assert annotator.wait(60)
    assert "No image is ready" in annotator.stepper.error
    assert annotator.export_page._files.value == ""
    annotator.export_page.folder.value = " "
    annotator.export_page.export_button.click()
    assert "No folder is named" in annotator.stepper.error


def test_more_and_less_like_this_and_load_more(place):
    annotator = start(place, resume=True)
    find(annotator, k=6)
    annotator.set_page.next.click()
    gallery = annotator.set_page.gallery
    assert gallery.more
    send(gallery, type="feedback", id=gallery.items[0].id, sign=1)
    assert annotator.wait(60)
    assert len(gallery.items) == 12
    assert [item.feedback for item in gallery.items].count(1) == 1
    send(gallery, type="command", name="load_more")
    assert annotator.wait(60)
    assert len(gallery.items) == 30
    assert not gallery.more
    send(gallery, type="command", name="undo")
    assert len(gallery.items) == 12
    victim = gallery.items[3].id
    send(gallery, type="feedback", id=victim, sign=-1)
    gone = {item.id for item in gallery.items if not item.kept}
    assert victim in gone
    assert len(gone) < 12
    for _ in range(2):
        send(gallery, type="command", name="undo")
    assert len(gallery.items) == 6
    assert all(item.kept and not item.feedback for item in gallery.items)


def test_what_is_asked_while_images_are_added_is_done_in_order(place):
    annotator = start(place, resume=True)
    find(annotator, k=6)
    annotator.set_page.next.click()
    gallery = annotator.set_page.gallery
    first, second, third = (item.id for item in gallery.items[:3])
    gate = Event()
    annotator.state.learning.run(gate.wait)
    for digest in (first, second):
        send(gallery, type="feedback", id=digest, sign=1)
    send(gallery, type="keep", ids=[third], kept=False, token="t")
    shown = {item.id: item for item in gallery.items}  # at once, though nothing is done yet
    assert (shown[first].feedback, shown[second].feedback, shown[third].kept) == (1, 1, False)
    assert annotator.session.plan("mug").marks == ()
    gate.set()
    assert annotator.wait(60)
    plan = annotator.session.plan("mug")
    assert plan.marks == ((first, 1), (second, 1))
    assert len(plan.added) == 12
    assert plan.dropped == (third,)
    assert len(gallery.items) == 18
    sizes = []
    for _ in range(3):
        send(gallery, type="command", name="undo")
        sizes.append((len(gallery.items), sum(not item.kept for item in gallery.items)))
    assert sizes == [(18, 0), (12, 0), (6, 0)]


def test_a_drop_while_more_is_loaded_is_not_overwritten(place, monkeypatch):
    annotator = start(place, resume=True)
    find(annotator, k=6)
    annotator.set_page.next.click()
    gallery = annotator.set_page.gallery
    victim = gallery.items[2].id
    kind = type(annotator.state.builder)
    begun, gate, follow = Event(), Event(), kind.follow

    def late(builder, plan):
        if current_thread() is not main_thread():
            begun.set()
            gate.wait(60)
        return follow(builder, plan)

    monkeypatch.setattr(kind, "follow", late)
    send(gallery, type="command", name="load_more")
    assert begun.wait(60)
    Timer(0.5, gate.set).start()  # whether or not the drop waits for what is loaded
    send(gallery, type="keep", ids=[victim], kept=False, token="t")
    assert annotator.wait(60)
    assert annotator.session.plan("mug").dropped == (victim,)
    assert [item.id for item in gallery.items if not item.kept] == [victim]
    assert len(gallery.items) == 26


def test_less_like_this_waits_for_the_builder(place):
    annotator = start(place, resume=True)
    annotator.concept_page.word.value = "mug"
    annotator.concept_page.k.value = 6
    gate = Event()
    annotator.state.learning.run(gate.wait)
    annotator.concept_page.find_button.click()
    annotator.state.looks["mug"] = first_look(annotator.state.archive, annotator.session.plan("mug"))
    annotator.state.changed()
    gallery = annotator.set_page.gallery
    victim = gallery.items[1].id
    send(gallery, type="feedback", id=victim, sign=-1)
    assert gallery.error == ""
    assert [item.id for item in gallery.items if item.feedback == -1] == [victim]
    gate.set()
    assert annotator.wait(60)
    assert annotator.stepper.error == ""
    assert victim in annotator.session.plan("mug").dropped


def test_boxes_drawn_on_any_image_lead(place):
    annotator = start(place, resume=True)
    page = annotator.concept_page
    page._browse.click()
    assert len(page.gallery.items) == 30
    item = page.gallery.items[4]
    send(page.gallery, type="exemplar", id=item.id, box=[0.25, 0.5, 0.5, 0.25])
    assert page.plan.exemplars[0].box == (10, 15, 20, 8)
    assert page.gallery.items[4].marks == ((0.25, 0.5, 0.5, 8 / 30),)
    find(annotator, "thing")
    assert annotator.session.plan("thing").exemplars[0].content_hash == item.id
    assert annotator.state.builder.found.exemplars
    concept = annotator.state.concept("thing")
    assert concept.provenance.exemplars == ((item.id, "10,15,20,8"),)
    # Another box asks a new question: what was found stays until it is asked.
    annotator.state.open(2)
    gallery = annotator.set_page.gallery
    send(gallery, type="exemplar", id=gallery.items[0].id, box=[0, 0, 0.5, 0.5])
    assert annotator.set_page.again.layout.display is None
    annotator.set_page.again.click()
    assert annotator.wait(60)
    assert len(annotator.state.builder.found.exemplars) == 2


def test_examples_are_painted_too(place):
    annotator = start(place, resume=True)
    page = annotator.concept_page
    page._browse.click()
    item = page.gallery.items[4]
    painting = np.zeros((15, 20), bool)
    painting[3:9, 5:15] = True
    painting[5, 7:9] = False
    bits = np.packbits(painting)
    send(page.gallery, bits, type="painting", id=item.id, width=20, height=15)
    [example] = page.plan.exemplars
    assert example.box == (10, 6, 20, 12)  # the photographs have 40 x 30 pixels
    outer, hole = page.gallery.items[4].marks
    assert (min(outer[::2]), max(outer[::2]), min(outer[1::2]), max(outer[1::2])) == (0.25, 0.75, 0.2, 0.6)
    assert len(hole) >= 8
    find(annotator, "thing")
    [taught] = annotator.state.builder.found.exemplars
    expected = np.asarray(Image.fromarray(painting).resize((40, 30), Image.Resampling.NEAREST))
    assert (taught.mask != expected).mean() < 0.03
    assert taught.source == "painted within 10,6,20,12"
    again = Session.open(place / "photos.session").plan("thing")  # also from disk
    assert again.exemplars == (example,)


def test_examples_of_a_concept_without_a_name_survive_too(place):
    first = start(place, resume=True)
    first.concept_page._browse.click()
    item = first.concept_page.gallery.items[4]
    send(first.concept_page.gallery, type="exemplar", id=item.id, box=[0.25, 0.5, 0.5, 0.25])
    second = start(place)
    assert "no concept yet" in second._offered.children[1].value
    second._offered.children[-1].children[0].click()
    assert len(second.concept_page.plan.exemplars) == 1
    find(second, "thing")
    assert second.state.builder.found.exemplars
    assert second.session.draft.exemplars == ()


def test_an_empty_painting_is_refused_in_words(place):
    annotator = start(place, resume=True)
    page = annotator.concept_page
    page._browse.click()
    bits = np.zeros(38, np.uint8)
    send(page.gallery, bits, type="painting", id=page.gallery.items[0].id, width=20, height=15)
    assert "paint over the object" in page.gallery.error
    assert page.plan.exemplars == ()


def test_object_and_background_can_be_swapped(place):
    annotator = start(place, resume=True)
    find(annotator)
    page, state = annotator.set_page, annotator.state
    assert page.swap.layout.display == "none"  # there is nothing to see of it before the seeds are shown
    page.next.click()
    assert page.swap.layout.display is None
    assert f"about {state.quality.remaining} more" in page.gallery.status
    state._taught["mug"] = state.builder, replace(state.concept("mug"), quality=Quality(-0.1, 7))
    state.changed()
    assert "What is &#x27;mug&#x27; and what is around it may be" in page._doubt.value
    before, plain = {item.id: item.seed for item in page.gallery.items}, state.builder.build()
    page.swap.click()
    assert annotator.wait(60)
    assert page.swap.description == "Swap back"
    assert page._doubt.value == ""
    assert {item.id: item.seed for item in page.gallery.items} != before
    assert np.array_equal(state.concept("mug").foreground, plain.background)
    assert annotator.session.plan("mug").swapped
    second = start(place, resume=True)  # a restarted kernel
    second._open(2)
    assert second.wait(60)
    assert second.state.builder.kept.swapped
    send(second.set_page.gallery, type="command", name="undo")
    assert second.wait(60)
    assert not second.state.builder.kept.swapped
    assert {item.id: item.seed for item in second.set_page.gallery.items} == before


def test_what_is_suggested_for_dropping_comes_first(place, monkeypatch):
    annotator = start(place, resume=True)
    find(annotator)
    annotator.set_page.next.click()
    gallery = annotator.set_page.gallery
    odd = gallery.items[-1].id
    monkeypatch.setattr(type(annotator.state.builder), "outliers", lambda _: {odd})
    annotator.state.changed()
    assert (gallery.items[0].id, gallery.items[0].outlier) == (odd, True)
    supports = [item.support for item in gallery.items[1:]]
    assert supports == sorted(supports, reverse=True)


def test_contexts_are_chips(place):
    annotator = start(place, resume=True)
    page = annotator.concept_page
    offered = {chip.description: chip for chip in page._contexts.children[:-1]}
    offered["+ table"].click()
    assert page.plan.contexts == ("table",)
    page.context.value = " sea "
    send(page.context, event="submit")
    assert page.plan.contexts == ("table", "sea")
    chips = {chip.description: chip for chip in page._contexts.children[:-1]}
    assert "+ table" not in chips
    chips["table  ✕"].click()
    find(annotator)
    assert annotator.state.builder.found.names == ("sea",)


def test_two_concepts_share_the_images(place):
    annotator = start(place, resume=True)
    find(annotator, "mug")
    send(annotator.stepper, type="add")
    assert annotator.concept_page.word.value == ""
    find(annotator, "spoon")
    assert [name for name, _ in annotator.stepper.concepts] == ["mug", "spoon"]
    assert len({colour for _, colour in annotator.stepper.concepts}) == 2
    send(annotator.stepper, type="concept", index=0)
    assert annotator.state.name == "mug"
    segment(annotator)
    canvas = annotator.review_page.canvas
    frame = canvas.frame
    assert [layer.name for layer in frame.layers] == ["mug", "spoon"]
    assert frame.exclusive
    assert not ((frame.layers[0].scores > 0) & (frame.layers[1].scores > 0)).any()
    decide(annotator, "absent", concept="spoon")
    assert canvas.frame.id == frame.id
    assert canvas.frame.layers[1].absent
    decide(annotator, "reject")
    assert canvas.frame.id != frame.id
    assert annotator.session.review(frame.id, "mug").state == "rejected"
    assert annotator.session.review(frame.id, "spoon").state == "absent"
    send(canvas, type="command", name="undo")
    assert canvas.frame.id == frame.id
    assert annotator.session.review(frame.id, "mug").state == "pending"


def test_a_concept_can_be_removed(place):
    annotator = start(place, resume=True)
    page = annotator.concept_page
    assert page.remove_button.layout.display == "none"
    find(annotator, "mug")
    send(annotator.stepper, type="add")
    find(annotator, "spoon")
    segment(annotator)
    annotator.state.open(0)
    page.remove_button.click()
    assert annotator.session.concepts == ("mug", "spoon")  # it is asked first
    page.remove_button.click()
    assert annotator.session.concepts == ("mug",)
    assert (annotator.state.name, page.word.value) == ("mug", "mug")
    assert page.remove_button.description == "Remove this concept"
    annotator.state.open(3)
    annotator.review_page.review.navigate("go", 0)
    assert [layer.name for layer in annotator.review_page.canvas.frame.layers] == ["mug"]
    annotator.state.open(0)
    for _ in range(2):
        page.remove_button.click()
    assert (annotator.session.concepts, page.word.value) == ((), "")
    annotator.state.open(3)
    assert annotator.review_page.canvas.frame is None
    assert annotator.stepper.error == ""


def test_a_decision_keeps_the_thresholds_that_were_seen(place):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    frame = annotator.review_page.canvas.frame
    # The slider's own message may come after the key's.
    annotator.review_page.review.decide(Decision(frame.id, "accept", "mug", {"mug": 37}))
    assert annotator.session.masks.adjustment(frame.id, "mug").threshold == 37


def test_the_queue_can_be_walked(place):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    canvas = annotator.review_page.canvas
    order = [item.content_hash for item in annotator.state.queue.items]
    annotator.review_page.review.navigate("go", 2)
    assert (canvas.frame.id, canvas.frame.index) == (order[2], 2)
    annotator.review_page.review.navigate("next", 2)
    assert canvas.frame.id == order[3]
    annotator.review_page.review.navigate("previous", 0)
    assert canvas.frame.id == order[0]
    annotator.review_page.review.navigate("unsure", 0)
    assert canvas.frame.id == order[1]
    for _ in range(6):
        decide(annotator, "skip")
    assert set(canvas.timeline) == {4}
    assert "6 left" in annotator.review_page._figures.value


def test_cancelling_keeps_what_is_done(place):
    annotator = start(place, resume=True)
    find(annotator)
    annotator.state.open(3)
    encode = annotator.state.archive.encoder.encode

    def cancel(pixels):
        annotator.review_page.cancel_button.click()
        return encode(pixels)

    annotator.state.archive.encoder.encode = cancel
    annotator.review_page.start_button.click()
    assert annotator.wait(60)
    assert len(annotator.session.results()) == 4  # one batch
    assert "cancelled" in annotator.review_page._status.value
    annotator.state.archive.encoder.encode = encode
    annotator.review_page.start_button.click()
    assert annotator.wait(60)
    assert len(annotator.session.results()) == 6
    assert "6 of 6" in annotator.review_page._status.value


def add_concept(annotator, word, k=8):
    send(annotator.stepper, type="add")
    find(annotator, word, k)


def prune(annotator, count=3):
    """Drop images until the kept set differs."""
    annotator.state.open(2)
    gallery = annotator.set_page.gallery
    send(gallery, type="keep", ids=[item.id for item in gallery.items[:count]], kept=False, token="t")
    assert annotator.wait(60)


def layers(annotator):
    return [layer.name for layer in annotator.review_page.canvas.frame.layers]


def test_the_canvas_follows_when_a_concept_is_removed(place):
    annotator = start(place, resume=True)
    find(annotator, "mug")
    add_concept(annotator, "cat")
    segment(annotator)
    shown = annotator.review_page.canvas.frame.id
    assert layers(annotator) == ["mug", "cat"]
    annotator.state.remove("mug")
    annotator.state.open(3)
    assert (annotator.review_page.canvas.frame.id, layers(annotator)) == (shown, ["cat"])
    cells = np.ones((4, 5), np.uint8)
    send(annotator.review_page.canvas, pack_edits(cells), type="edit", concept="cat", rect=[2, 3, 5, 4])
    assert annotator.session.masks.strokes(shown, "cat").sum() == 20
    assert not annotator.session.masks.strokes(shown, "mug").any()


def test_the_canvas_follows_when_a_concept_is_added(place):
    annotator = start(place, resume=True)
    find(annotator, "mug")
    segment(annotator)
    shown = annotator.review_page.canvas.frame.id
    add_concept(annotator, "cat")
    segment(annotator)
    assert (annotator.review_page.canvas.frame.id, layers(annotator)) == (shown, ["mug", "cat"])
    canvas = annotator.review_page.canvas
    send(canvas, type="decision", action="accept", concept="mug", thresholds=canvas.thresholds)
    assert annotator.session.review(shown, "mug").decided
    assert annotator.session.review(shown, "cat").decided
    assert canvas.frame.id != shown


def test_the_canvas_follows_what_others_change_and_not_its_own_strokes(place):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    canvas = annotator.review_page.canvas
    frame = canvas.frame
    cells = np.ones((4, 5), np.uint8)
    send(canvas, pack_edits(cells), type="edit", concept="mug", rect=[2, 3, 5, 4])
    send(canvas, type="threshold", concept="mug", value=60)
    annotator.state.changed()
    assert canvas.frame is frame  # it shows them already, and a curator may be in the middle of the next
    annotator.session.masks.edit(frame.id, "mug", 0, 0, np.full((30, 40), 2, np.uint8))  # as a pull does
    annotator.state.changed()
    assert (canvas.frame.layers[0].edits == 2).all()
    assert canvas.frame.layers[0].threshold == 60


def test_accepting_the_rest_is_one_entry_of_the_history(place):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    first = decide(annotator, "reject")
    annotator.review_page.accept_rest.click()
    assert not set(annotator.review_page.canvas.timeline) & {0}
    send(annotator.review_page.canvas, type="command", name="undo")
    states = [item.state for item in annotator.state.queue.items]
    assert states == ["rejected", *["pending"] * 5]
    send(annotator.review_page.canvas, type="command", name="undo")
    assert annotator.session.review(first, "mug").state == "pending"


def test_masks_that_are_out_of_date_are_marked_and_made_anew(place):
    annotator = start(place, resume=True)
    find(annotator, k=12)
    segment(annotator)
    page, session = annotator.review_page, annotator.session
    assert page.again_open.layout.display == page.again_all.layout.display == "none"
    cells = pack_edits(np.ones((4, 5), np.uint8))
    send(page.canvas, cells, type="edit", concept="mug", rect=[2, 3, 5, 4])
    accepted = decide(annotator, "accept")
    before = session.result(accepted).findings["mug"]
    mask = session.masks.drawn(accepted, "mug")
    prune(annotator)
    annotator.set_page.next.click()
    assert annotator.stepper.active == 3
    assert "The masks of 6 images are not what “mug” would give now" in page._outdated.value
    assert page.canvas.status == "This image's masks are out of date."
    assert page.again_open.description == "Segment the 5 undecided anew"
    assert page.again_all.description == "Segment all 6 anew"
    page.view.click()
    assert all(item.label.endswith("· out of date") for item in page.grid.items)
    page.view.click()
    annotator.state.open(4)
    assert "6 with masks that are out of date" in annotator.export_page._counts.value

    annotator.state.open(3)
    page.again_open.click()
    assert annotator.wait(60)
    assert annotator.stepper.error == ""
    now = annotator.state.concept("mug").digest
    digests = {one.image.content_hash: one.findings["mug"].digest for one in session.results()}
    assert digests.pop(accepted) == before.digest
    assert set(digests.values()) == {now}
    assert np.array_equal(session.masks.drawn(accepted, "mug"), mask)
    assert page.again_open.layout.display == "none"
    assert page.again_all.description == "Segment all 1 anew"
    assert page.canvas.status == ""

    page.again_all.click()
    assert annotator.wait(60)
    assert session.result(accepted).findings["mug"].digest == now
    same = np.array_equal(session.masks.drawn(accepted, "mug"), mask)
    assert session.review(accepted, "mug").decided == same
    assert page._outdated.value == ""


def test_undoing_a_prune_makes_the_masks_current_again(place):
    annotator = start(place, resume=True)
    find(annotator, k=12)
    segment(annotator)
    prune(annotator)
    assert len(annotator.state.queue.outdated) == len(annotator.state.queue.items) == 6
    again = start(place, resume=True)  # a restarted kernel knows it too
    assert len(again.state.queue.outdated) == 6
    again.state.open(2)
    send(again.set_page.gallery, type="command", name="undo")
    assert again.wait(60)
    assert again.state.queue.outdated == {}


def test_the_chosen_concept_is_one_everywhere_and_survives(place):
    annotator = start(place, resume=True)
    find(annotator, "mug")
    add_concept(annotator, "cat")
    segment(annotator)
    assert annotator.stepper.concept == 1
    assert annotator.review_page.canvas.active == "cat"
    annotator.review_page.canvas.active = "mug"  # as the canvas does when it is chosen there
    assert annotator.stepper.concept == 0
    assert annotator.state.name == "mug"
    assert annotator.stepper.active == 3
    send(annotator.stepper, type="concept", index=1)
    assert annotator.review_page.canvas.active == "cat"
    again = start(place, resume=True)
    again.state.open(3)
    assert again.state.name == "cat"
    assert (again.stepper.concept, again.review_page.canvas.active) == (1, "cat")


def test_a_session_of_release_0_1_goes_on(place):
    shutil.copytree(OLD / "photos.session", place / "photos.session")
    shutil.copytree(OLD / "targets", place / "old targets")
    annotator = start(place, resume=True)
    session = annotator.session
    assert session.concepts == ("mug", "cat")
    by_state = {item.state: item.content_hash for item in annotator.state.queue.items}
    accepted, rejected = by_state["accepted"], by_state["rejected"]
    mask = session.mask(accepted, "mug")
    assert mask[3:7, 2:7].all()
    annotator.review_page.folder.value = str(place / "old targets")
    segment(annotator)
    assert len(session.results()) == 4
    assert np.array_equal(session.mask(accepted, "mug"), mask)
    assert session.review(rejected, "cat").state == "rejected"
    send(annotator.review_page.canvas, type="command", name="undo")
    assert session.review(rejected, "cat").state == "pending"
    find(annotator, "gone", 4)  # whose history was left behind when it was removed
    send(annotator.set_page.gallery, type="command", name="undo")
    assert session.plan("gone").k == 4
    assert session.undo(session.scope("mug")).what == "drop"


def test_the_grid_decides_about_many(place):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    annotator.review_page.view.click()
    grid = annotator.review_page.grid
    ids = [item.id for item in grid.items]
    assert len(ids) == 6
    assert all(picture.startswith(b"\xff\xd8") for picture in grid._source.thumbnails(ids))
    send(grid, type="keep", ids=ids[:3], kept=False, token="t")
    send(grid, type="keep", ids=ids[3:], kept=True, token="t")
    assert [item.id for item in grid.items] == ids  # nothing moves under the pointer
    states = {item.id: (item.kept, item.feedback) for item in grid.items}
    assert [states[digest][0] for digest in ids[:3]] == [False] * 3
    masked = [digest for digest in ids[3:] if annotator.session.masks.drawn(digest, "mug").any()]
    assert all(states[digest] == (True, 1) for digest in masked)
    send(grid, type="absent", ids=ids[:2])
    assert [annotator.session.review(digest, "mug").state for digest in ids[:2]] == ["absent"] * 2
    assert {item.id: (item.kept, item.feedback) for item in grid.items}[ids[0]] == (False, -1)
    send(grid, type="command", name="undo")  # one act
    assert [annotator.session.review(digest, "mug").state for digest in ids[:2]] == ["rejected"] * 2


def test_thumbnails_of_the_grid_follow_decisions(place, monkeypatch):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    annotator.review_page.view.click()
    grid, sent = annotator.review_page.grid, []
    ids = [item.id for item in grid.items]
    grid._source.thumbnails(ids)
    monkeypatch.setattr(
        grid, "_send_thumbnails", lambda ids: sent.extend(zip(ids, painted(ids), strict=True))
    )
    painted = grid._source.thumbnails
    one = ids[0]
    annotator.session.masks.edit(one, "mug", 5, 5, np.ones((20, 20), np.uint8))
    before = painted([one])[0]
    send(grid, type="keep", ids=[one], kept=False, token="t")  # a rejected mask is not shown
    send(grid, type="command", name="undo")
    assert [digest for digest, _ in sent] == [one, one]
    assert sent[0][1] != before == sent[1][1]


def test_of_two_searches_the_last_counts(place):
    annotator = start(place, resume=True, delay=0.05)
    page = annotator.concept_page
    page.word.value = "mug"
    for page.k.value in (8, 5):
        page.find_button.click()
    assert annotator.wait(60)
    assert len(annotator.state.builder.images) == 5
    assert not annotator.state.is_stale("mug")


def with_more_loaded(place):
    """An annotator whose set of mugs has more images than were asked for at first."""
    annotator = start(place, resume=True)
    find(annotator)
    annotator.state.open(2)
    send(annotator.set_page.gallery, type="command", name="load_more")
    assert annotator.wait(60)
    return annotator


def test_images_come_back_by_redo_after_a_restart(place):
    annotator = with_more_loaded(place)
    loaded, digest = len(annotator.state.builder.images), annotator.state.concept("mug").digest
    assert loaded > 8
    send(annotator.set_page.gallery, type="command", name="undo")
    assert annotator.wait(60)
    again = start(place, resume=True)
    again._open(2)
    assert again.wait(60)
    gallery = again.set_page.gallery
    assert len(gallery.items) == 8
    send(gallery, type="command", name="redo")
    send(gallery, type="keep", ids=[gallery.items[0].id], kept=False, token="t")  # before they are read
    assert again.wait(60)
    assert again.stepper.error == ""
    assert (len(gallery.items), len(again.state.builder.kept.images)) == (loaded, loaded - 1)
    send(gallery, type="command", name="undo")
    assert again.wait(60)
    assert again.state.concept("mug").digest == digest
    known = {value for _, value in again.session.store.items("learnt/")}
    assert len(known) == 3  # the first set, the larger one, and that without the dropped image


def test_images_that_cannot_come_back_by_redo_are_said(place):
    annotator = with_more_loaded(place)
    added = annotator.session.plan("mug").added
    lost = annotator.state.archive.entry(added[0]).path
    send(annotator.set_page.gallery, type="command", name="undo")
    assert annotator.wait(60)
    again = start(place, resume=True)
    again._open(2)
    assert again.wait(60)
    away = lost.rename(place / lost.name)
    try:
        send(again.set_page.gallery, type="command", name="redo")
        assert again.wait(60)
    finally:
        away.rename(lost)
    assert lost.name in again.stepper.error
    send(again.set_page.gallery, type="command", name="undo")
    assert again.wait(60)
    assert len(again.state.builder.kept.images) == 8


def test_of_two_searches_that_wait_only_the_last_is_made(place, monkeypatch):
    annotator = start(place, resume=True)
    find(annotator)
    kind, found = type(annotator.state.builder), []
    retrieve = kind.retrieve

    def counted(archive, plan):
        found.append(plan.k)
        return retrieve(archive, plan)

    monkeypatch.setattr(kind, "retrieve", counted)
    gate = Event()
    annotator.state.learning.run(gate.wait)
    for annotator.concept_page.k.value in (6, 5):
        annotator.concept_page.find_button.click()
    gate.set()
    assert annotator.wait(60)
    assert found == [5]


def test_a_stale_set_is_judged_as_it_is(place, monkeypatch):
    annotator = start(place, resume=True)
    find(annotator)
    state = annotator.state
    annotator.session.set_plan(replace(annotator.session.plan("mug"), k=5))
    known = annotator.session.store.items("learnt/")
    monkeypatch.setattr(type(state.builder), "follow", None)  # there is nothing to follow
    state.judge("mug")
    assert annotator.wait(60)
    assert annotator.stepper.error == ""
    assert state.is_stale("mug")
    assert annotator.session.store.items("learnt/") == known


def test_nothing_draws_between_the_steps_of_what_the_curator_does(place, monkeypatch):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    state, put, alone = annotator.state, annotator.session.store.put, []

    def free():
        taken = state.drawing.acquire(blocking=False)
        if taken:
            state.drawing.release()
        return taken

    def watched(*given, **options):
        if current_thread() is main_thread():
            with ThreadPoolExecutor(1) as pool:
                alone.append(not pool.submit(free).result())
        put(*given, **options)

    monkeypatch.setattr(annotator.session.store, "put", watched)
    gallery, canvas, page = annotator.set_page.gallery, annotator.review_page.canvas, annotator.concept_page
    send(canvas, type="threshold", concept="mug", value=60)
    send(canvas, type="decision", action="accept", concept="mug", thresholds=canvas.thresholds)
    annotator.review_page.view.click()
    ids = [item.id for item in annotator.review_page.grid.items]
    send(annotator.review_page.grid, type="keep", ids=ids, kept=True, token="t")
    send(annotator.review_page.grid, type="absent", ids=ids)
    annotator.review_page.order.value = "gain"
    state.open(2)
    send(gallery, type="keep", ids=[gallery.items[0].id], kept=False, token="t")
    send(gallery, type="exemplar", id=gallery.items[0].id, box=[0.1, 0.1, 0.2, 0.2])
    page._browse.click()
    send(page.gallery, type="exemplar", id=page.gallery.items[1].id, box=[0.1, 0.1, 0.2, 0.2])
    page.context.value = "sea"
    send(page.context, event="submit")
    assert annotator.wait(60)
    assert len(alone) >= 9
    assert all(alone)


def test_grid_and_canvas_lead_to_each_other(place):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    page = annotator.review_page
    send(page.canvas, type="command", name="grid")
    assert (page.canvas.layout.display, page.grid.layout.display) == ("none", None)
    wanted = page.grid.items[4].id
    send(page.grid, type="open", id=wanted)
    assert (page.canvas.layout.display, page.grid.layout.display) == (None, "none")
    assert page.canvas.frame.id == wanted
    assert page.view.description == "Grid"


def test_every_field_has_a_name_for_screen_readers(place):
    annotator = start(place, resume=True)

    def fields(widget):
        for child in getattr(widget, "children", ()):
            yield from fields(child)
        if isinstance(widget, (ipywidgets.Text, ipywidgets.Dropdown, ipywidgets.BoundedIntText)):
            yield widget

    found = list(fields(annotator.panel))
    names = [one.description for one in found]
    assert len(names) > 10
    assert all(names)
    assert len(set(names)) == len(names)


def test_strokes_of_an_image_that_is_gone_are_refused_in_words(place):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    canvas = annotator.review_page.canvas
    canvas.frame = replace(canvas.frame, id="0" * 64)
    canvas.error = ""
    send(canvas, pack_edits(np.ones((1, 1), np.uint8)), type="edit", concept="mug", rect=[0, 0, 1, 1])
    assert "not among the segmented" in canvas.error


@pytest.mark.parametrize("message", ["decision", "threshold", "edit"])
def test_nothing_is_done_to_a_mask_that_was_replaced_since_it_was_shown(place, message):
    annotator = start(place, resume=True)
    find(annotator)
    segment(annotator)
    canvas, masks = annotator.review_page.canvas, annotator.session.masks
    digest = canvas.frame.id
    everything = np.ones(masks.scores(digest, "mug").shape, np.uint8)
    masks.edit(digest, "mug", 0, 0, everything)  # by another thread, and not drawn yet
    told = {"action": "accept", "thresholds": canvas.thresholds, "value": 9, "rect": [0, 0, 1, 1]}
    send(canvas, pack_edits(np.full((1, 1), 2, np.uint8)), type=message, concept="mug", **told)
    assert "have changed" in canvas.error
    assert annotator.session.review(digest, "mug").state == "pending"
    assert masks.drawn(digest, "mug").all()
    assert canvas.frame.id == digest
    assert np.array_equal(canvas.edits["mug"], everything)
    send(canvas, type="decision", concept="mug", **told)
    assert annotator.session.review(digest, "mug").state == "accepted"


def test_names_are_text_and_never_html(place):
    annotator = start(place, resume=True)
    evil = "<img src=x onerror=alert(1)>"
    find(annotator, evil)
    segment(annotator)
    annotator.state.open(4)
    annotator.export_page.which.value = "all"
    annotator.export_page.export_button.click()
    assert annotator.wait(60)
    lines = [annotator.export_page._summary.value, annotator.export_page._files.value]
    assert all("<img" not in line for line in lines)
    assert annotator.session.concepts == (evil,)
    offer = start(place)._offered
    assert all("<img" not in line.value for line in offer.children[:-1])
    assert any("&lt;img" in line.value for line in offer.children[:-1])


def test_where_widgets_are_off_the_text_says_what_to_do(place):
    annotator = start(place, resume=True)
    bundle = annotator._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "pip install" in data["text/plain"]


def test_an_archive_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ArchiveError):
        Annotator(tmp_path / "none.reco")
    assert list(tmp_path.iterdir()) == []
