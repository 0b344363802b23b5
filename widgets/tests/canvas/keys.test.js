import assert from "node:assert/strict";
import { test } from "node:test";

import { COMMANDS, LEGEND } from "../../src/canvas/keys.js";
import { commandFor } from "../../src/shared/keys.js";

test("keys stand for commands", () => {
  const table = [
    [{ key: "a" }, "accept"],
    [{ key: "A", shiftKey: true }, "accept"], // caps lock
    [{ key: "n" }, "absent"],
    [{ key: "g" }, "grid"],
    [{ key: "f" }, "fill"],
    [{ key: "F", shiftKey: true }, "fill-holes"],
    [{ key: "z" }, "undo"],
    [{ key: "Z", shiftKey: true }, "redo"],
    [{ key: "z", metaKey: true }, "undo"],
    [{ key: "3" }, "concept-3"],
    [{ key: "0" }, "fit"],
    [{ key: "[" }, "brush-smaller"],
    [{ key: "ArrowUp" }, "threshold-up"],
    [{ key: "ArrowUp", shiftKey: true }, "threshold-up-fast"],
    [{ key: "r", ctrlKey: true }, null], // reloading stays the browser's
    [{ key: "s", metaKey: true }, null], // saving stays the notebook's
    [{ key: "ArrowLeft", altKey: true }, null],
    [{ key: "Tab" }, null],
  ];
  for (const [event, command] of table) assert.equal(commandFor(event, COMMANDS), command, JSON.stringify(event));
  for (const [keys] of LEGEND) if (/^[A-Z]$/.test(keys)) assert.notEqual(commandFor({ key: keys }, COMMANDS), null, keys);
});
