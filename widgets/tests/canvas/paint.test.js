import assert from "node:assert/strict";
import { test } from "node:test";

import { colourWord, paintMasks, sampleAxis } from "../../src/canvas/paint.js";
import { draw, print, random } from "../cells.js";

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
