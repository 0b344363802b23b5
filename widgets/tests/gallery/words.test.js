import assert from "node:assert/strict";
import { test } from "node:test";

import { counts, describe } from "../../src/gallery/words.js";
import { entry } from "../entry.js";

test("a screen reader hears the decision and what is odd", () => {
  const odd = entry("a", { kept: false, outlier: true, duplicates: 1, support: 0.5, feedback: -1 });
  assert.equal(
    describe(odd, "prune"),
    "a.jpg, dropped, score 0.50, support 0.50, unlike the others, less like this, 1 duplicate",
  );
  assert.equal(describe(entry("b"), "retrieve"), "b.jpg, kept, score 0.50");
});

test("what was decided is counted in the words of the mode", () => {
  const entries = [entry("a", { feedback: 1 }), entry("b", { kept: false }), entry("c", { kept: false, feedback: -1 })];
  assert.equal(counts(entries, "prune"), "1 kept · 2 dropped");
  assert.equal(counts(entries, "browse"), "3 images");
  assert.equal(counts(entries, "review"), "0 left · 1 accepted · 1 rejected · 1 not here");
  assert.equal(counts([], "prune"), "");
});
