import assert from "node:assert/strict";
import { test } from "node:test";

import { burn, coverage, crop, histogramOf, packCells, paste, unpackCells } from "../../src/canvas/cells.js";
import { random } from "../cells.js";

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
