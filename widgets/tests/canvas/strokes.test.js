import assert from "node:assert/strict";
import { test } from "node:test";

import { brushSpans, grow, nextBrush } from "../../src/canvas/strokes.js";
import { random } from "../cells.js";

test("the rectangle around a stroke is tight", () => {
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

test("brush sizes change at every size and stay in range", () => {
  for (let size = 2; size < 512; size += 1) assert.ok(nextBrush(size, 1) > size && nextBrush(size, -1) < size);
  assert.equal(nextBrush(1, -1), 1);
  assert.equal(nextBrush(512, 1), 512);
});
