import assert from "node:assert/strict";
import { test } from "node:test";

import { boundsOf, flood, holes } from "../../src/canvas/regions.js";
import { draw, print } from "../cells.js";

test("bounds are tight", () => {
  const region = new Uint8Array(40);
  assert.equal(boundsOf(region, 8), null);
  for (const cell of [11, 18, 29]) region[cell] = 1;
  assert.deepEqual(boundsOf(region, 8), [2, 1, 4, 3]);
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
