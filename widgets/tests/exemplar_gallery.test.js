import assert from "node:assert/strict";
import { test } from "node:test";

import {
  LEGEND,
  Lru,
  applyPending,
  boxFromDrag,
  columnsFor,
  commandFor,
  decodeState,
  describe,
  filterEntries,
  fitInto,
  heatPixels,
  moveFocus,
  nudgeBox,
  packPainting,
  rangeIds,
  splitLabel,
  visibleRange,
} from "../src/exemplar_gallery.js";

/** @param {string} id */
const entry = (id, more = {}) => ({
  id,
  label: `${id}.jpg`,
  duplicates: 0,
  marks: [],
  score: 0.5,
  support: Number.NaN,
  x: Number.NaN,
  y: Number.NaN,
  kept: true,
  outlier: false,
  feedback: 0,
  ...more,
});

test("keys stand for commands, with and without modifiers", () => {
  const table = [
    [{ key: "x" }, "toggle"],
    [{ key: "X", shiftKey: true }, "toggle"], // caps lock must not switch the keyboard off
    [{ key: " " }, "toggle"],
    [{ key: "Enter" }, "preview"],
    [{ key: "z" }, "undo"],
    [{ key: "Z", shiftKey: true }, "redo"],
    [{ key: "z", ctrlKey: true }, "undo"],
    [{ key: "z", metaKey: true, shiftKey: true }, "redo"],
    [{ key: "a", ctrlKey: true }, "select-all"],
    [{ key: "b" }, "drop-below"],
    [{ key: "PageDown", shiftKey: true }, "move"],
    [{ key: "=" }, "more"], // the plus key without shift
    [{ key: "?" }, "legend"],
    [{ key: "c", ctrlKey: true }, null], // copying stays the browser's
    [{ key: "d", ctrlKey: true }, null],
    [{ key: "ArrowLeft", altKey: true }, null], // going back stays the browser's
    [{ key: "e" }, "box"],
    [{ key: "p" }, "brush"],
    [{ key: "n" }, "absent"],
    [{ key: "Tab" }, null],
    [{ key: "q" }, null],
  ];
  for (const [event, command] of table) assert.equal(commandFor(event), command, JSON.stringify(event));
});

test("every letter of the legend does something", () => {
  for (const [keys] of LEGEND) {
    for (const key of keys.split(" ").filter((word) => word.length === 1)) {
      if (["+", "←", "→", "↑", "↓"].includes(key) || key === "−") continue;
      assert.notEqual(key === "A" ? commandFor({ key, ctrlKey: true }) : commandFor({ key }), null, key);
    }
  }
});

test("focus moves in the grid and stays inside", () => {
  const grid = { columns: 4, rows: 2, count: 10 };
  const table = [
    ["ArrowRight", 3, 4],
    ["ArrowRight", 9, 9],
    ["ArrowLeft", 0, 0],
    ["ArrowDown", 1, 5],
    ["ArrowDown", 7, 9], // the last row is short: go to its end
    ["ArrowDown", 8, 8], // already in the last row
    ["ArrowUp", 2, 2],
    ["ArrowUp", 9, 5],
    ["PageDown", 0, 8],
    ["PageUp", 9, 1],
    ["Home", 7, 0],
    ["End", 2, 9],
  ];
  for (const [key, from, to] of table) assert.equal(moveFocus(key, from, grid), to, `${key} from ${from}`);
  assert.equal(moveFocus("End", 0, { ...grid, count: 0 }), -1);
});

test("columns fill the width", () => {
  assert.deepEqual(columnsFor(640, 152), { columns: 4, tile: 154 });
  assert.deepEqual(columnsFor(80, 152), { columns: 1, tile: 80 });
  for (const width of [300, 777, 1024, 2560]) {
    const { columns, tile } = columnsFor(width, 120);
    assert.ok(columns * tile + (columns - 1) * 8 <= width);
    assert.ok(tile >= 120);
  }
});

test("only the visible window and a margin are rendered", () => {
  const wall = { viewport: 500, rowHeight: 200, columns: 5, count: 1000 };
  assert.deepEqual(visibleRange({ ...wall, scrollTop: 0 }), { first: 0, last: 25 });
  assert.deepEqual(visibleRange({ ...wall, scrollTop: 10_000 }), { first: 240, last: 275 });
  assert.deepEqual(visibleRange({ ...wall, scrollTop: 39_500 }), { first: 975, last: 1000 });
  assert.deepEqual(visibleRange({ ...wall, scrollTop: 99_999 }), { first: 1000, last: 1000 });
  assert.deepEqual(visibleRange({ ...wall, scrollTop: 0, count: 0 }), { first: 0, last: 0 });
});

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
  assert.equal(describe(entries[2], false, true), "c.jpg, not here, score 0.50");
});

test("the legend names commands that keys stand for", () => {
  for (const [keys, , command] of LEGEND) {
    if (command) assert.ok(keys.split(" ").some((key) => commandFor({ key }) === command), command);
  }
});

test("a picture fits its box with its aspect", () => {
  assert.deepEqual(fitInto(400, 200, 100, 100), { width: 100, height: 50 });
  assert.deepEqual(fitInto(200, 400, 100, 100), { width: 50, height: 100 });
  assert.deepEqual(fitInto(4000, 1, 100, 100), { width: 100, height: 1 });
});

test("a drag makes a clipped box in any direction, and a click makes none", () => {
  assert.deepEqual(boxFromDrag({ x: 0.75, y: 0.5 }, { x: 0.25, y: 0.25 }), [0.25, 0.25, 0.5, 0.25]);
  assert.deepEqual(boxFromDrag({ x: -1, y: 0.5 }, { x: 0.5, y: 9 }), [0, 0.5, 0.5, 0.5]);
  assert.equal(boxFromDrag({ x: 0.5, y: 0.5 }, { x: 0.505, y: 0.9 }), null);
});

test("heat is clear where low, opaque and bright where high, and never falls", () => {
  const pixels = heatPixels(Uint8Array.from({ length: 256 }, (_, value) => value));
  assert.equal(pixels[3], 0);
  assert.equal(pixels[255 * 4 + 3], 215);
  for (let value = 1; value < 256; value += 1) assert.ok(pixels[value * 4 + 3] >= pixels[value * 4 - 1]);
});

test("long names keep their end, whole letters only", () => {
  assert.deepEqual(splitLabel("short.jpg"), ["short.jpg", ""]);
  const [head, tail] = splitLabel("a very long folder name 😀 frame_0001.jpg");
  assert.equal(tail, "frame_0001.jpg");
  assert.equal(head + tail, "a very long folder name 😀 frame_0001.jpg");
  const emoji = "😀".repeat(30);
  assert.equal(splitLabel(emoji).join(""), emoji);
  assert.equal([...splitLabel(emoji)[1]].length, 14);
});

test("the cache forgets the least recently used and hands back everything it drops", () => {
  const dropped = [];
  const cache = new Lru(2, (value) => dropped.push(value));
  cache.set("a", "A");
  cache.set("b", "B");
  assert.equal(cache.get("a"), "A");
  cache.set("c", "C");
  assert.deepEqual(dropped, ["B"]);
  assert.ok(cache.has("a") && !cache.has("b"));
  cache.set("a", "A2");
  assert.deepEqual(dropped, ["B", "A"]);
  cache.clear();
  assert.deepEqual(dropped, ["B", "A", "C", "A2"]);
  assert.equal(cache.size, 0);
});

test("a screen reader hears the decision and what is odd", () => {
  const odd = entry("a", { kept: false, outlier: true, duplicates: 1, support: 0.5, feedback: -1 });
  assert.equal(
    describe(odd, true),
    "a.jpg, dropped, score 0.50, support 0.50, unlike the others, less like this, 1 duplicate",
  );
  assert.equal(describe(entry("b"), false), "b.jpg, kept, score 0.50");
});

test("a box is moved, sized and kept inside the image by keys", () => {
  const table = [
    [[0.3, 0.3, 0.4, 0.4], "ArrowRight", false, [0.32, 0.3, 0.4, 0.4]],
    [[0.3, 0.3, 0.4, 0.4], "ArrowUp", false, [0.3, 0.28, 0.4, 0.4]],
    [[0.3, 0.3, 0.4, 0.4], "ArrowRight", true, [0.3, 0.3, 0.42, 0.4]],
    [[0.3, 0.3, 0.4, 0.4], "ArrowUp", true, [0.3, 0.3, 0.4, 0.38]],
    [[0.3, 0.3, 0.4, 0.4], "]", false, [0.29, 0.29, 0.42, 0.42]],
    [[0.6, 0.3, 0.4, 0.4], "ArrowRight", false, [0.6, 0.3, 0.4, 0.4]], // at the edge
    [[0.3, 0.3, 0.02, 0.4], "ArrowLeft", true, [0.3, 0.3, 0.02, 0.4]], // never nothing
    [[0, 0, 1, 1], "]", false, [0, 0, 1, 1]],
  ];
  for (const [box, key, resize, expected] of table) {
    const moved = nudgeBox(box, key, resize).map((value) => Math.round(value * 1000) / 1000);
    assert.deepEqual(moved, expected, `${key} ${box}`);
  }
});

test("a painting is packed like numpy.packbits", () => {
  const alphas = [255, 0, 0, 200, 127, 128, 0, 0, 255];
  const pixels = new Uint8ClampedArray(alphas.flatMap((alpha) => [255, 159, 28, alpha]));
  assert.deepEqual([...packPainting(pixels)], [0b10010100, 0b10000000]);
});
