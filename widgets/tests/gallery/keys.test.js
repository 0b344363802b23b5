import assert from "node:assert/strict";
import { test } from "node:test";

import { COMMANDS, LEGEND } from "../../src/gallery/keys.js";
import { commandFor } from "../../src/shared/keys.js";

test("keys stand for commands, with and without modifiers", () => {
  const table = [
    [{ key: "x" }, "toggle"],
    [{ key: "X", shiftKey: true }, "toggle"], // caps lock must not switch the keyboard off
    [{ key: " " }, "toggle"],
    [{ key: "Enter" }, "preview"],
    [{ key: "z" }, "undo"],
    [{ key: "Z", shiftKey: true }, "redo"],
    [{ key: "z", ctrlKey: true }, "undo"],
    [{ key: "z", metaKey: true, shiftKey: true }, "redo"],
    [{ key: "a", ctrlKey: true }, "select-all"],
    [{ key: "b" }, "drop-below"],
    [{ key: "PageDown", shiftKey: true }, "move"],
    [{ key: "=" }, "more"], // the plus key without shift
    [{ key: "?" }, "legend"],
    [{ key: "c", ctrlKey: true }, null], // copying stays the browser's
    [{ key: "d", ctrlKey: true }, null],
    [{ key: "ArrowLeft", altKey: true }, null], // going back stays the browser's
    [{ key: "e" }, "box"],
    [{ key: "p" }, "brush"],
    [{ key: "n" }, "absent"],
    [{ key: "Tab" }, null],
    [{ key: "q" }, null],
  ];
  for (const [event, command] of table) assert.equal(commandFor(event, COMMANDS), command, JSON.stringify(event));
});

test("every letter of the legend does something", () => {
  for (const [keys] of LEGEND) {
    for (const key of keys.split(" ").filter((word) => word.length === 1)) {
      if (["+", "←", "→", "↑", "↓"].includes(key) || key === "−") continue;
      assert.notEqual(key === "A" ? commandFor({ key, ctrlKey: true }, COMMANDS) : commandFor({ key }, COMMANDS), null, key);
    }
  }
});

test("the legend names commands that keys stand for", () => {
  for (const [keys, , command] of LEGEND) {
    if (command) assert.ok(keys.split(" ").some((key) => commandFor({ key }, COMMANDS) === command), command);
  }
});
