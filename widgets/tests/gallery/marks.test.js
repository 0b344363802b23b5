import assert from "node:assert/strict";
import { test } from "node:test";

import { fitInto, heatPixels } from "../../src/gallery/marks.js";

test("a picture fits its box with its aspect", () => {
  assert.deepEqual(fitInto(400, 200, 100, 100), { width: 100, height: 50 });
  assert.deepEqual(fitInto(200, 400, 100, 100), { width: 50, height: 100 });
  assert.deepEqual(fitInto(4000, 1, 100, 100), { width: 100, height: 1 });
});

test("heat is clear where low, opaque and bright where high, and never falls", () => {
  const pixels = heatPixels(Uint8Array.from({ length: 256 }, (_, value) => value));
  assert.equal(pixels[3], 0);
  assert.equal(pixels[255 * 4 + 3], 215);
  for (let value = 1; value < 256; value += 1) assert.ok(pixels[value * 4 + 3] >= pixels[value * 4 - 1]);
});
