import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../../src/canvas/history.js";

test("history undoes in reverse, forgets redo after a change, and stays within its memory", () => {
  const change = (value, size = 0) => ({
    patches: [{ concept: 0, rect: [0, 0, 1, 1], before: new Uint8Array(size), after: Uint8Array.of(value) }],
  });
  const value = (item) => item?.patches[0].after[0];
  const history = new History();
  [1, 2, 3].forEach((number) => history.push(change(number)));
  assert.equal(value(history.undo()), 3);
  assert.equal(value(history.undo()), 2);
  assert.equal(value(history.redo()), 2);
  history.push(change(4));
  assert.equal(history.redo(), undefined);
  assert.deepEqual([history.undo(), history.undo(), history.undo(), history.undo()].map(value), [4, 2, 1, undefined]);

  const small = new History(1000);
  [1, 2, 3].forEach((number) => small.push(change(number, 400)));
  assert.deepEqual([small.undo(), small.undo(), small.undo()].map(value), [3, 2, undefined]);
});
