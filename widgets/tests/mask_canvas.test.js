import assert from "node:assert/strict";
import { test } from "node:test";

import {
  History,
  LEGEND,
  boundsOf,
  brushSpans,
  burn,
  clampView,
  colourWord,
  commandFor,
  coverage,
  crop,
  fitView,
  flood,
  grow,
  histogramOf,
  holes,
  nextBrush,
  packCells,
  paintMasks,
  paste,
  positionText,
  sampleAxis,
  splitLabel,
  unpackCells,
  zoomAt,
} from "../src/mask_canvas.js";

/** Cells from a drawing: # is 200, everything else 50. */
const draw = (...lines) => Uint8Array.from([...lines.join("")].map((mark) => (mark === "#" ? 200 : 50)));
const print = (cells, width) =>
  Array.from({ length: cells.length / width }, (_, y) => cells.slice(y * width, (y + 1) * width).join(""));

/** Repeatable numbers: tests must fail the same way twice. */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test("keys stand for commands", () => {
  const table = [
    [{ key: "a" }, "accept"],
    [{ key: "A", shiftKey: true }, "accept"], // caps lock
    [{ key: "n" }, "absent"],
    [{ key: "g" }, "grid"],
    [{ key: "f" }, "fill"],
    [{ key: "F", shiftKey: true }, "fill-holes"],
    [{ key: "z" }, "undo"],
    [{ key: "Z", shiftKey: true }, "redo"],
    [{ key: "z", metaKey: true }, "undo"],
    [{ key: "3" }, "concept-3"],
    [{ key: "0" }, "fit"],
    [{ key: "[" }, "brush-smaller"],
    [{ key: "ArrowUp", shiftKey: true }, "threshold-up"],
    [{ key: "r", ctrlKey: true }, null], // reloading stays the browser's
    [{ key: "s", metaKey: true }, null], // saving stays the notebook's
    [{ key: "ArrowLeft", altKey: true }, null],
    [{ key: "Tab" }, null],
  ];
  for (const [event, command] of table) assert.equal(commandFor(event), command, JSON.stringify(event));
  for (const [keys] of LEGEND) if (/^[A-Z]$/.test(keys)) assert.notEqual(commandFor({ key: keys }), null, keys);
});

test("the position counts what is done and what is left", () => {
  assert.equal(positionText(Uint8Array.of(1, 1, 2, 0, 4, 3), 3), "4 / 6 · 2 accepted · 1 rejected · 1 absent · 2 left");
  assert.equal(positionText(new Uint8Array(3), 0), "1 / 3 · 3 left");
  assert.equal(positionText(new Uint8Array(), 0), "");
});

test("long paths keep their end, whole letters only", () => {
  assert.deepEqual(splitLabel("short.jpg"), ["", "short.jpg"]);
  assert.deepEqual(splitLabel(`${"🧯".repeat(30)}.jpg`), ["🧯".repeat(10), `${"🧯".repeat(20)}.jpg`]);
});

test("strokes win over the map at every threshold", () => {
  const map = Uint8Array.of(0, 100, 255, 0, 100, 255, 0, 100, 255);
  const edits = Uint8Array.of(0, 0, 0, 1, 1, 1, 2, 2, 2);
  const scores = burn(map, edits);
  for (let threshold = 1; threshold <= 255; threshold += 1) {
    map.forEach((value, cell) => {
      const expected = edits[cell] === 1 || (edits[cell] === 0 && value >= threshold);
      assert.equal(scores[cell] >= threshold, expected, `cell ${cell} at ${threshold}`);
    });
  }
  assert.deepEqual([...map.slice(3, 5)], [0, 100]); // the map itself is kept
});

test("coverage from the histogram equals counting", () => {
  const next = random(1);
  const scores = Uint8Array.from({ length: 999 }, () => Math.floor(next() * 256));
  for (const threshold of [1, 77, 128, 255]) {
    const counted = scores.filter((value) => value >= threshold).length / scores.length;
    assert.equal(coverage(histogramOf(scores), threshold), counted);
  }
  assert.equal(coverage(new Uint32Array(256), 1), 0);
});

test("packed cells come back, at any length", () => {
  const next = random(2);
  for (const length of [0, 1, 3, 4, 5, 1001]) {
    const cells = Uint8Array.from({ length }, () => Math.floor(next() * 3));
    const packed = packCells(cells);
    assert.equal(packed.length, Math.ceil(length / 4));
    assert.deepEqual(unpackCells(packed, length), cells);
  }
  assert.deepEqual([...packCells(Uint8Array.of(1, 2, 0, 2, 1))], [0b10001001, 1]); // what Python unpacks
});

test("a part can be cut out", () => {
  const cells = Uint8Array.from({ length: 20 }, (_, index) => index);
  assert.deepEqual([...crop(cells, 5, [1, 1, 3, 2])], [6, 7, 8, 11, 12, 13]);
});

test("strokes put back leave scores and histogram as if computed anew", () => {
  const next = random(5);
  const cells = (values) => Uint8Array.from({ length: 60 }, () => Math.floor(next() * values));
  const [map, edits] = [cells(256), cells(3)];
  const layer = { map, edits: edits.slice(), scores: burn(map, edits), histogram: histogramOf(burn(map, edits)) };
  const rect = [2, 1, 7, 4];
  const part = cells(3).slice(0, 28);
  paste(layer, 10, rect, part);
  assert.deepEqual(crop(layer.edits, 10, rect), part);
  assert.deepEqual(layer.scores, burn(map, layer.edits));
  assert.deepEqual(layer.histogram, histogramOf(layer.scores));
  paste(layer, 10, rect, crop(edits, 10, rect));
  assert.deepEqual(layer.edits, edits);
});

test("bounds are tight", () => {
  const region = new Uint8Array(40);
  assert.equal(boundsOf(region, 8), null);
  for (const cell of [11, 18, 29]) region[cell] = 1;
  assert.deepEqual(boundsOf(region, 8), [2, 1, 4, 3]);
  const spans = [
    [4, 2, 6],
    [5, 1, 3],
  ];
  assert.equal(grow(null, []), null);
  assert.deepEqual(grow(null, spans), [1, 4, 6, 2]);
  assert.deepEqual(grow([5, 0, 4, 1], spans), [1, 0, 8, 6]);
});

test("a brush covers exactly the cells near its path, and none outside the image", () => {
  const next = random(3);
  for (let round = 0; round < 40; round += 1) {
    const [width, height, diameter] = [17, 11, 1 + Math.floor(next() * 9)];
    const [a, b] = [0, 1].map(() => ({ x: next() * 25 - 4, y: next() * 19 - 4 }));
    const painted = new Uint8Array(width * height);
    for (const [y, first, last] of brushSpans(a, b, diameter, width, height)) painted.fill(1, y * width + first, y * width + last + 1);
    const radius = Math.max(diameter / 2, 0.71);
    painted.forEach((value, cell) => {
      const [x, y] = [(cell % width) + 0.5, Math.floor(cell / width) + 0.5];
      // Independent of the code: the nearest of many points on the path.
      let nearest = Infinity;
      for (let step = 0; step <= 2000; step += 1) {
        const [px, py] = [a.x + ((b.x - a.x) * step) / 2000, a.y + ((b.y - a.y) * step) / 2000];
        nearest = Math.min(nearest, Math.hypot(px - x, py - y));
      }
      if (Math.abs(nearest - radius) > 0.01) assert.equal(value, Number(nearest < radius), `cell ${x},${y} of round ${round}`);
    });
  }
});

test("the smallest brush paints the cell under the pointer", () => {
  const spans = brushSpans({ x: 3.02, y: 2.98 }, { x: 3.02, y: 2.98 }, 1, 9, 9);
  assert.ok(spans.some(([y, first, last]) => y === 2 && first <= 3 && last >= 3));
});

test("a flood takes the connected piece only, and does not go round corners", () => {
  const cells = draw("##..#", "##..#", "..#.#", "....#");
  assert.deepEqual(print(flood(cells, 128, 5, 0).region, 5), ["11000", "11000", "00000", "00000"]);
  const outside = flood(cells, 128, 5, 2);
  assert.deepEqual(print(outside.region, 5), ["00110", "00110", "11010", "11110"]);
  assert.deepEqual([outside.count, outside.inside], [11, false]);
});

test("a flood does not wrap from one row to the next", () => {
  const cells = draw("..#", "#..", "..#");
  assert.equal(flood(cells, 128, 3, 2).count, 1);
});

test("holes are what the border cannot reach", () => {
  const cells = draw("######.", "#....#.", "#.##.#.", "#....#.", "######.", "......#");
  assert.deepEqual(print(holes(cells, 128, 7), 7), ["0000000", "0111100", "0100100", "0111100", "0000000", "0000000"]);
  const open = draw("###", "#..", "###");
  assert.ok(!holes(open, 128, 3).includes(1));
});

test("each screen pixel shows the cell under its centre", () => {
  assert.deepEqual([...sampleAxis(6, 2, 1, 2)], [-1, 0, 0, 1, 1, -1]);
  assert.deepEqual([...sampleAxis(3, 0.5, 0, 6)], [1, 3, 5]);
});

test("colours become little-endian words", () => {
  const bytes = new Uint8Array(Uint32Array.of(colourWord("#ff8001", 0.5)).buffer);
  assert.deepEqual([...bytes], [255, 128, 1, 128]);
});

test("what is drawn is the mask, cell for cell, with its edge", () => {
  const next = random(4);
  const [width, height, scale] = [9, 7, 3];
  const scores = Uint8Array.from({ length: width * height }, () => Math.floor(next() * 256));
  const xs = sampleAxis(width * scale + 4, scale, 2, width);
  const ys = sampleAxis(height * scale + 4, scale, 2, height);
  for (const threshold of [1, 90, 200, 255]) {
    const out = new Uint32Array(xs.length * ys.length);
    paintMasks(out, xs, ys, width, [{ scores, threshold, fill: 1, edge: 2 }], 1);
    const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && scores[y * width + x] >= threshold;
    out.forEach((word, pixel) => {
      const [px, py] = [pixel % xs.length, Math.floor(pixel / xs.length)];
      const at = (x, y) => inside(Math.floor((x + 0.5 - 2) / scale), Math.floor((y + 0.5 - 2) / scale));
      const edge = !(at(px - 1, py) && at(px + 1, py) && at(px, py - 1) && at(px, py + 1));
      assert.equal(word, at(px, py) ? (edge ? 2 : 1) : 0, `pixel ${px},${py} at ${threshold}`);
    });
  }
});

test("a mask that goes on beyond the screen has no edge there", () => {
  const scores = new Uint8Array(100).fill(255);
  const axis = sampleAxis(4, 1, -3, 10);
  const out = new Uint32Array(16);
  paintMasks(out, axis, axis, 10, [{ scores, threshold: 1, fill: 1, edge: 2 }], 1);
  assert.deepEqual(out, new Uint32Array(16).fill(1));
});

test("outlines alone leave the inside clear, and later layers lie on top", () => {
  const axis = sampleAxis(7, 1, 1, 5);
  const scores = new Uint8Array(25).fill(255);
  const out = new Uint32Array(49);
  const [low, high] = [
    { scores, threshold: 1, fill: 7, edge: 8 },
    { scores: draw(".....", ".###.", ".###.", ".###.", "....."), threshold: 128, fill: 0, edge: 3 },
  ];
  paintMasks(out, axis, axis, 5, [low, high], 1);
  assert.deepEqual(print(out, 7), ["0000000", "0888880", "0833380", "0837380", "0833380", "0888880", "0000000"]);
});

test("zooming keeps the point under the pointer", () => {
  const view = { scale: 2, x: -30, y: 12 };
  const point = { x: 100, y: 50 };
  const zoomed = zoomAt(view, 1.7, point, 0.5);
  assert.ok(Math.abs((point.x - view.x) / view.scale - (point.x - zoomed.x) / zoomed.scale) < 1e-9);
  assert.ok(Math.abs((point.y - view.y) / view.scale - (point.y - zoomed.y) / zoomed.scale) < 1e-9);
  assert.equal(zoomAt(view, 1e-9, point, 0.5).scale, 0.25);
  assert.equal(zoomAt(view, 1e9, point, 0.5).scale, 40);
});

test("a fitted view shows everything in the middle, and the image cannot be lost", () => {
  const [grid, screen] = [{ width: 400, height: 100 }, { width: 224, height: 524 }];
  assert.deepEqual(fitView(grid, screen), { scale: 0.5, x: 12, y: 237 });
  assert.deepEqual(clampView({ scale: 1, x: 9999, y: -9999 }, grid, screen), { scale: 1, x: 176, y: -52 });
});

test("brush sizes change at every size and stay in range", () => {
  for (let size = 2; size < 512; size += 1) assert.ok(nextBrush(size, 1) > size && nextBrush(size, -1) < size);
  assert.equal(nextBrush(1, -1), 1);
  assert.equal(nextBrush(512, 1), 512);
});

test("history undoes in reverse, forgets redo after a change, and stays within its memory", () => {
  const change = (value, size = 0) => ({
    patches: [{ concept: 0, rect: [0, 0, 1, 1], before: new Uint8Array(size), after: Uint8Array.of(value) }],
  });
  const value = (item) => item?.patches[0].after[0];
  const history = new History();
  [1, 2, 3].forEach((number) => history.push(change(number)));
  assert.equal(value(history.undo()), 3);
  assert.equal(value(history.undo()), 2);
  assert.equal(value(history.redo()), 2);
  history.push(change(4));
  assert.equal(history.redo(), undefined);
  assert.deepEqual([history.undo(), history.undo(), history.undo(), history.undo()].map(value), [4, 2, 1, undefined]);

  const small = new History(1000);
  [1, 2, 3].forEach((number) => small.push(change(number, 400)));
  assert.deepEqual([small.undo(), small.undo(), small.undo()].map(value), [3, 2, undefined]);
});
