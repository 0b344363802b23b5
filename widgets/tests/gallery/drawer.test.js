import assert from "node:assert/strict";
import { test } from "node:test";

import { boxFromDrag, nudgeBox, packPainting } from "../../src/gallery/drawer.js";

test("a drag makes a clipped box in any direction, and a click makes none", () => {
  assert.deepEqual(boxFromDrag({ x: 0.75, y: 0.5 }, { x: 0.25, y: 0.25 }), [0.25, 0.25, 0.5, 0.25]);
  assert.deepEqual(boxFromDrag({ x: -1, y: 0.5 }, { x: 0.5, y: 9 }), [0, 0.5, 0.5, 0.5]);
  assert.equal(boxFromDrag({ x: 0.5, y: 0.5 }, { x: 0.505, y: 0.9 }), null);
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
