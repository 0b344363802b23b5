import assert from "node:assert/strict";
import { test } from "node:test";

import { Inputs } from "../../src/canvas/inputs.js";

/** Inputs whose capital letters ask the kernel, each with its own letter as the token. */
function listen() {
  const heard = [];
  const inputs = new Inputs((command, waited) => {
    heard.push(waited ? `${command}…` : command);
    if (command === command.toUpperCase()) inputs.hold(command);
  });
  const give = (text) => [...text].forEach((command) => inputs.give(command));
  return { inputs, give, heard };
}

test("what needs no answer is applied at once", () => {
  const { give, heard, inputs } = listen();
  give("abc");
  assert.deepEqual(heard, ["a", "b", "c"]);
  assert.ok(!inputs.waiting);
});

test("what is given before an answer waits, and is applied in its order up to the next question", () => {
  const { give, heard, inputs } = listen();
  give("AbcBd");
  assert.deepEqual(heard, ["A"]);
  assert.equal(inputs.count, 4);
  inputs.answered("A");
  assert.deepEqual(heard, ["A", "b…", "c…", "B…"]);
  inputs.answered("A"); // an answer to something else
  assert.equal(inputs.count, 1);
  inputs.answered("B");
  assert.deepEqual(heard.slice(-1), ["d…"]);
  assert.ok(!inputs.waiting);
});

test("every one of many is applied once, whenever answers come", () => {
  const { give, heard, inputs } = listen();
  const all = "ABCDEFGHIJKLMNOPQRST";
  give(all);
  for (const token of all) inputs.answered(token);
  assert.equal(heard.map((command) => command[0]).join(""), all);
});

test("what waits can be given up, and it is said how much that was", () => {
  const { give, heard, inputs } = listen();
  give("Abc");
  assert.equal(inputs.drop(), 2);
  inputs.answered("A");
  assert.deepEqual(heard, ["A"]);
  assert.equal(inputs.drop(), 0);
});
