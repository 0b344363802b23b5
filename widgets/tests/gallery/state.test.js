import assert from "node:assert/strict";
import { test } from "node:test";

import { GalleryState, applyPending, decodeState, filterEntries, rangeIds } from "../../src/gallery/state.js";
import { entry } from "../entry.js";

test("a range runs both ways and includes its ends", () => {
  const entries = ["a", "b", "c", "d"].map((id) => entry(id));
  assert.deepEqual(rangeIds(entries, 1, 3), ["b", "c", "d"]);
  assert.deepEqual(rangeIds(entries, 3, 1), ["b", "c", "d"]);
  assert.deepEqual(rangeIds(entries, 2, 2), ["c"]);
});

test("records decode in the kernel's order", () => {
  const view = new DataView(new ArrayBuffer(48));
  view.setUint32(0, 1, true);
  view.setFloat32(4, 0.75, true);
  view.setFloat32(8, 0.5, true);
  view.setFloat32(12, 0.25, true);
  view.setFloat32(16, 0.125, true);
  view.setUint8(20, 3);
  view.setInt8(21, -1);
  view.setUint32(24, 0, true);
  view.setFloat32(32, Number.NaN, true);
  const rows = [
    ["a", "a.jpg", 0, []],
    ["b", "b.jpg", 2, [[0, 0, 1, 1]]],
  ];
  const [first, second] = decodeState(rows, view);
  assert.deepEqual(first, {
    id: "b",
    label: "b.jpg",
    duplicates: 2,
    marks: [[0, 0, 1, 1]],
    score: 0.75,
    support: 0.5,
    x: 0.25,
    y: 0.125,
    kept: true,
    outlier: true,
    feedback: -1,
  });
  assert.equal(second.id, "a");
  assert.equal(second.kept, false);
  assert.ok(Number.isNaN(second.support));
  assert.deepEqual(decodeState([], view), []); // records without rows yet
});

test("decisions on their way win over an older state, the latest one last", () => {
  const base = [entry("a"), entry("b", { kept: false }), entry("c")];
  const drop = { token: "1", ids: new Set(["a", "b"]), kept: false };
  const keep = { token: "2", ids: new Set(["b"]), kept: true };
  assert.deepEqual(
    applyPending(base, [drop, keep]).map((item) => item.kept),
    [false, true, true],
  );
  assert.equal(applyPending(base, []), base);
  assert.equal(base[0].kept, true); // the kernel's state is not touched
});

test("filters show what they say", () => {
  const entries = [entry("a"), entry("b", { kept: false }), entry("c", { outlier: true })];
  const shown = (filter) => filterEntries(entries, filter).map((item) => item.id).join("");
  assert.deepEqual(["all", "kept", "dropped", "outliers"].map(shown), ["abc", "ac", "b", "c"]);
});

test("a review parts images by what was decided", () => {
  const marks = [[true, 1], [false, 0], [false, -1], [true, 0], [true, -1]];
  const entries = marks.map(([kept, feedback], index) => entry("abcde"[index], { kept, feedback }));
  const shown = (filter) => filterEntries(entries, filter).map((item) => item.id).join("");
  assert.deepEqual(["accepted", "rejected", "absent", "left"].map(shown), ["a", "b", "c", "de"]);
});

/** A gallery of images with these ids, all kept but those in capitals. */
function galleryOf(ids) {
  const state = new GalleryState();
  say(state, ids);
  return state;
}

/** What the kernel says there is. */
function say(state, ids) {
  const records = new DataView(new ArrayBuffer(ids.length * 24));
  state.rows = [...ids].map((id) => [id.toLowerCase(), `${id}.jpg`, 0, []]);
  [...ids].forEach((id, index) => {
    records.setUint32(index * 24, index, true);
    records.setUint8(index * 24 + 20, Number(id === id.toLowerCase()));
  });
  state.setRecords(records);
}

const shown = (state) => state.shown.map((item) => (item.kept ? item.id : item.id.toUpperCase())).join("");

test("a decision shows at once, outlives an older state, and ends with its acknowledgement", () => {
  const state = galleryOf("abcd");
  assert.deepEqual(state.decide(["b", "d"], false, false, "1"), ["b", "d"]);
  assert.equal(shown(state), "aBcD");
  say(state, "abcd"); // sent before the kernel heard of it
  assert.equal(shown(state), "aBcD");
  say(state, "aBcd"); // it kept d
  state.acknowledge("1");
  assert.equal(shown(state), "aBcd");
});

test("a decision that changes nothing is none", () => {
  const state = galleryOf("aB");
  assert.deepEqual(state.decide(["a"], true, false, "1"), []);
  assert.deepEqual(state.decide(["b"], false, false, "1"), []);
  assert.deepEqual(state.decide(["a"], true, true, "1"), ["a"], "in a review what is left can be accepted");
});

test("the focus stays on its image, and goes to a neighbour where that is gone", () => {
  const state = galleryOf("abcd");
  state.focusAt(2, false);
  say(state, "cab");
  assert.equal(state.index, 0);
  say(state, "ab");
  assert.equal(state.focus, "a");
  say(state, "");
  assert.equal(state.focus, "");
  assert.equal(state.entry, undefined);
});

test("a range grows and shrinks from where it began", () => {
  const state = galleryOf("abcde");
  state.focusAt(1, false);
  state.focusAt(3, true);
  assert.deepEqual(state.targets, ["b", "c", "d"]);
  state.focusAt(0, true);
  assert.deepEqual(state.targets, ["a", "b"]);
  state.focusAt(4, false);
  assert.deepEqual(state.targets, ["e"]);
});

test("images join and leave the selection one by one, the focus first", () => {
  const state = galleryOf("abcd");
  state.focusAt(0, false);
  state.toggleSelected("c");
  assert.deepEqual(state.targets, ["a", "c"]);
  state.toggleSelected("a");
  assert.deepEqual(state.targets, ["a"], "the focus is not in the selection");
  assert.deepEqual([...state.selected], ["c"]);
});

test("what a filter hides is no longer selected", () => {
  const state = galleryOf("abcd");
  state.focusAt(0, false);
  state.focusAt(3, true);
  state.decide(["b"], false, false, "1");
  state.setFilter("kept");
  assert.equal(shown(state), "acd");
  assert.deepEqual([...state.selected], ["a", "c", "d"]);
  state.setFilter("dropped");
  assert.equal(state.focus, "b");
});
