import json
import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reco_assist.errors import FormatError, StorageError
from reco_assist.json_files import json_line
from reco_assist.session.store import Store


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "job.session"


def test_values_survive_closing(folder):
    store = Store(folder, who="anna")
    store.put("one", {"a": 1, "b": {"c": [1, 2]}})
    store.put("two", {"a": None})
    store.close()
    store = Store(folder)
    assert store.get("a") is None
    assert store.items("b") == [("", {"c": [1, 2]})]


def test_the_log_says_who_did_what_and_when(folder):
    store = Store(folder, who="anna")
    store.put("accept", {"a": "yes"}, scope="review")
    store.undo("review")
    lines = list(store.log())[1:]
    assert [(line["n"], line["who"], line["what"], line.get("move")) for line in lines] == [
        (1, "anna", "accept", None),
        (2, "anna", "accept", "undo"),
    ]
    assert lines[0]["changes"] == {"a": [None, "yes"]}
    assert lines[0]["at"] <= lines[1]["at"]


def test_nothing_is_written_where_nothing_changes(folder):
    store = Store(folder)
    store.put("one", {"a": 1}, scope="s")
    store.put("one", {"a": 1}, scope="s")
    assert (store.count, store.reach("s")) == (1, (1, 0))


def test_undo_stays_within_its_scope(folder):
    store = Store(folder)
    store.put("prune", {"set": 1}, scope="set")
    store.put("accept", {"review": 1}, scope="review")
    store.put("prune", {"set": 2}, scope="set")
    assert store.undo("review").what == "accept"
    assert (store.get("set"), store.get("review")) == (2, None)
    assert store.undo("review") is None
    assert store.undo("set").what == "prune"
    assert store.get("set") == 1
    assert store.redo("set").what == "prune"
    assert store.get("set") == 2


def test_a_new_change_ends_redo(folder):
    store = Store(folder)
    for value in (1, 2):
        store.put("x", {"a": value}, scope="s")
    store.undo("s")
    store.put("x", {"a": 3}, scope="s")
    assert store.redo("s") is None
    assert store.undo("s").what == "x"
    assert store.get("a") == 1


@pytest.mark.parametrize("snapshot", [True, False])
def test_a_key_can_be_forgotten_by_undo_and_redo_for_good(folder, snapshot):
    store = Store(folder)
    store.put("both", {"a": 1, "b": 1}, scope="s")
    store.put("one", {"a": 2}, scope="s")
    store.put("both", {"a": 3, "b": 3}, scope="s")
    store.undo("s")
    store.put("anew", {}, forget=["a", "never heard of"])
    store.close()
    if not snapshot:
        (folder / "snapshot.json").unlink()
    store = Store(folder)
    assert store.redo("s").keys == ("b",)
    assert [store.undo("s").keys for _ in range(2)] == [("b",), ("b",)]
    assert store.undo("s") is None
    assert (store.get("a"), store.get("b")) == (2, None)
    before = store.count
    store.put("anew", {}, forget=["never heard of"])
    assert store.count == before


def test_a_log_of_release_0_1_forgets_whole_histories(folder):
    Store(folder).close()
    at = {"at": "2026-01-01T00:00:00.000+00:00", "who": "anna"}
    with (folder / "audit.jsonl").open("ab") as log:
        log.write(json_line({"n": 1, **at, "what": "x", "scope": "s", "changes": {"a": [None, 1]}}))
        log.write(
            json_line({"n": 2, **at, "what": "y", "scope": None, "forget": "s", "changes": {"b": [None, 2]}})
        )
    store = Store(folder)
    assert store.undo("s") is None
    assert (store.get("a"), store.get("b")) == (1, 2)


def test_undo_reaches_as_far_back_as_the_log(folder):
    store = Store(folder)
    for value in range(1, 451):
        store.put("x", {"a": value}, scope="s")
    store.close()
    store = Store(folder)
    seen = []
    while store.undo("s") is not None:
        seen.append(store.get("a"))
    assert seen == [*range(449, 0, -1), None]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["undo", "redo"]), st.just(""), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(actions=ACTIONS, cut=st.integers(0, 40))
def test_undo_equals_a_stack_of_states_and_outlives_a_restart(tmp_path_factory, actions, cut):
    folder = tmp_path_factory.mktemp("store") / "s"
    store = Store(folder)
    done, undone, state = [], [], {}
    for position, (move, key, value) in enumerate(actions):
        if position == cut:  # with or without a snapshot
            store.close()
            if cut % 2:
                (folder / "snapshot.json").unlink()
            store = Store(folder)
        if move == "put":
            store.put("x", {key: value}, scope="s")
            if state.get(key) != value:
                done, undone, state = [*done, state], [], {**state, key: value}
        elif move == "undo":
            assert (store.undo("s") is not None) == bool(done)
            if done:
                undone, state, done = [*undone, state], done[-1], done[:-1]
        else:
            assert (store.redo("s") is not None) == bool(undone)
            if undone:
                done, state, undone = [*done, state], undone[-1], undone[:-1]
        assert dict(store.items("")) == state
    store.close()


def test_a_line_cut_short_is_dropped_and_the_rest_kept(folder):
    store = Store(folder)
    store.put("one", {"a": 1})
    store.close()
    with (folder / "audit.jsonl").open("ab") as file:
        file.write(b'{"n":2,"at":"2025-' + b"0" * 5000)  # longer than the line that takes its place
    store = Store(folder)
    assert store.get("a") == 1
    store.put("two", {"a": 2})
    store.close()
    assert [line.get("n") for line in Store(folder).log()] == [None, 1, 2]


def test_a_snapshot_of_another_log_is_not_believed(folder):
    store = Store(folder)
    store.put("one", {"a": 1})
    store.close()
    record = json.loads((folder / "snapshot.json").read_text())
    record["state"]["a"] = 99
    record["sha256"] = "0" * 64
    (folder / "snapshot.json").write_text(json.dumps(record))
    assert Store(folder).get("a") == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [(b'{"format":9}\n', "update reco-assist"), (b"nonsense\n", "no log of a session")],
    ids=["version", "other file"],
)
def test_logs_of_others_are_refused(folder, content, words):
    folder.mkdir()
    (folder / "audit.jsonl").write_bytes(content)
    with pytest.raises(FormatError, match=words):
        Store(folder)


def test_a_damaged_line_is_named(folder):
    store = Store(folder)
    store.put("one", {"a": 1})
    store.close()
    (folder / "snapshot.json").unlink()
    lines = (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "audit.jsonl").write_bytes(lines[0] + b"{}\n" + lines[1])
    with pytest.raises(FormatError, match=r"Line 2 of .*audit\.jsonl"):
        Store(folder)
    Store(folder.with_name("other")).close()


def _hold(folder, held, go):
    store = Store(folder)
    held.set()
    go.wait(20)
    store.close()


def test_one_process_at_a_time(folder):
    context = multiprocessing.get_context("spawn")
    held, go = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(folder, held, go))
    process.start()
    try:
        assert held.wait(30)
        with pytest.raises(StorageError, match="open in another notebook"):
            Store(folder)
    finally:
        go.set()
        process.join(20)
    Store(folder).close()


KILLED = """
import sys
from pathlib import Path
from reco_assist.session.store import Store
store = Store(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    store.put("count", {"last": number, f"key/{number % 50}": "x" * 200}, scope="s")
    print(number, flush=True)
"""


def test_nothing_that_was_reported_is_lost_by_a_kill(folder):
    process = subprocess.Popen([sys.executable, "-c", KILLED, folder], stdout=subprocess.PIPE)
    lines = [process.stdout.readline() for _ in range(230)]  # past the first snapshot
    os.kill(process.pid, signal.SIGKILL)
    lines += process.stdout.read().splitlines(keepends=True)
    process.wait()
    reported = int([line for line in lines if line.endswith(b"\n")][-1])
    store = Store(folder)
    assert store.get("last") in {reported, reported + 1}
    assert store.count == store.get("last")
    store.undo("s")
    assert store.get("last") in {reported - 1, reported}
    store.close()


def test_a_closed_store_refuses_changes(folder):
    store = Store(folder)
    store.close()
    with pytest.raises(StorageError, match="opened again elsewhere"):
        store.put("x", {"a": 1})
    assert store.get("a") is None


def test_closing_twice_does_no_harm(folder):
    store = Store(folder)
    store.close()
    store.close()
    assert store.closed
