import assert from "node:assert/strict";
import { test } from "node:test";

import { SUPPRESS, commandFor, guard } from "../../src/shared/keys.js";

const commands = { f: "fill", "Shift+f": "fill-holes", "Ctrl+z": "undo", "Ctrl+Shift+z": "redo", "+": "more" };

test("a chord of its own goes before the same key without Shift", () => {
  const table = [
    [{ key: "f" }, "fill"],
    [{ key: "F" }, "fill"], // caps lock
    [{ key: "F", shiftKey: true }, "fill-holes"],
    [{ key: "+", shiftKey: true }, "more"], // Shift makes the plus on many keyboards
    [{ key: "z" }, null],
    [{ key: "z", metaKey: true }, "undo"],
    [{ key: "Z", ctrlKey: true, shiftKey: true }, "redo"],
    [{ key: "f", ctrlKey: true }, null], // searching stays the browser's
    [{ key: "f", altKey: true }, null],
  ];
  for (const [event, command] of table) assert.equal(commandFor(event, commands), command, JSON.stringify(event));
});

test("plain keys are kept from the notebook, its own chords are not", () => {
  const marks = new Map();
  const node = { setAttribute: (name, value) => marks.set(name, value), removeAttribute: (name) => marks.delete(name) };
  guard({ type: "focusin" }, node);
  assert.equal(marks.get(SUPPRESS), "true");
  guard({ key: "s", ctrlKey: true }, node);
  assert.ok(!marks.has(SUPPRESS));
  guard({ key: "d", ctrlKey: false, metaKey: false }, node);
  assert.equal(marks.get(SUPPRESS), "true");
});
