import assert from "node:assert/strict";
import { test } from "node:test";

import { splitLabel } from "../../src/shared/words.js";

test("long paths keep their end, whole letters only", () => {
  assert.deepEqual(splitLabel("short.jpg", 24), ["short.jpg", ""]);
  assert.deepEqual(splitLabel(`${"🧯".repeat(30)}.jpg`, 24), ["🧯".repeat(10), `${"🧯".repeat(20)}.jpg`]);
  const [head, tail] = splitLabel("a very long folder name 😀 frame_0001.jpg", 14, 18);
  assert.equal(tail, "frame_0001.jpg");
  assert.equal(head + tail, "a very long folder name 😀 frame_0001.jpg");
});

test("a name a little longer than its end is not parted", () => {
  assert.deepEqual(splitLabel("frame_000001.jpg", 14, 18), ["frame_000001.jpg", ""]);
  assert.deepEqual(splitLabel("frame_00000001.jpg2", 14, 18), ["frame", "_00000001.jpg2"]);
});
