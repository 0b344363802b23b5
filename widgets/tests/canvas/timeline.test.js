import assert from "node:assert/strict";
import { test } from "node:test";

import { positionText } from "../../src/canvas/timeline.js";

test("the position counts what is done and what is left", () => {
  assert.equal(positionText(Uint8Array.of(1, 1, 2, 0, 4, 3), 3), "4 / 6 · 2 accepted · 1 rejected · 1 absent · 2 left");
  assert.equal(positionText(new Uint8Array(3), 0), "1 / 3 · 3 left");
  assert.equal(positionText(new Uint8Array(), 0), "");
});
