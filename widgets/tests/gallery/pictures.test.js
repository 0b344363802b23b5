import assert from "node:assert/strict";
import { test } from "node:test";

import { Lru } from "../../src/gallery/pictures.js";

test("the cache forgets the least recently used and hands back everything it drops", () => {
  const dropped = [];
  const cache = new Lru(2, (value) => dropped.push(value));
  cache.set("a", "A");
  cache.set("b", "B");
  assert.equal(cache.get("a"), "A");
  cache.set("c", "C");
  assert.deepEqual(dropped, ["B"]);
  assert.ok(cache.has("a") && !cache.has("b"));
  cache.set("a", "A2");
  assert.deepEqual(dropped, ["B", "A"]);
  cache.clear();
  assert.deepEqual(dropped, ["B", "A", "C", "A2"]);
  assert.equal(cache.size, 0);
});
