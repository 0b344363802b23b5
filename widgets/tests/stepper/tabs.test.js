import assert from "node:assert/strict";
import { test } from "node:test";

import { moveTab } from "../../src/stepper/tabs.js";

test("arrows move among the steps that are enabled, around the ends", () => {
  const enabled = [true, false, true, true, false];
  assert.equal(moveTab("ArrowRight", 0, enabled), 2);
  assert.equal(moveTab("ArrowRight", 3, enabled), 0);
  assert.equal(moveTab("ArrowLeft", 0, enabled), 3);
  assert.equal(moveTab("ArrowLeft", 2, enabled), 0);
  assert.equal(moveTab("Home", 3, enabled), 0);
  assert.equal(moveTab("End", 0, enabled), 3);
});

test("other keys and empty rails are left alone", () => {
  assert.equal(moveTab("a", 0, [true, true]), -1);
  assert.equal(moveTab("ArrowRight", 0, []), -1);
  assert.equal(moveTab("ArrowRight", 0, [false, false]), -1);
});
