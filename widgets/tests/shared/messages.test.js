import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

import { Lifetime } from "../../src/shared/dom.js";
import { bytesOf, inflate, receive, watch } from "../../src/shared/messages.js";

/** A model of anywidget, as far as the widgets use it. */
function fakeModel() {
  const listeners = new Map();
  return {
    on: (name, listener) => listeners.set(name, listener),
    off: (name, listener) => listeners.get(name) === listener && listeners.delete(name),
    emit: (name, ...given) => listeners.get(name)?.(...given),
  };
}

test("a message reaches the handler of its type, until the view ends", () => {
  const [model, lifetime, heard] = [fakeModel(), new Lifetime(), []];
  receive(lifetime, model, { frame: (message, buffers) => heard.push([message.id, buffers.length]), empty: () => heard.push("empty") });
  model.emit("msg:custom", { type: "frame", id: "a" }, [1, 2]);
  model.emit("msg:custom", { type: "empty" }, []);
  lifetime.end();
  model.emit("msg:custom", { type: "empty" }, []);
  assert.deepEqual(heard, [["a", 2], "empty"]);
});

test("a message of an unknown type is said, not swallowed", (context) => {
  const warn = context.mock.method(console, "warn", () => {});
  const model = fakeModel();
  receive(new Lifetime(), model, {});
  model.emit("msg:custom", { type: "novelty" }, []);
  assert.match(warn.mock.calls[0].arguments[0], /novelty/);
});

test("traits are watched until the view ends", () => {
  const [model, lifetime, heard] = [fakeModel(), new Lifetime(), []];
  watch(lifetime, model, { busy: () => heard.push("busy"), size: () => heard.push("size") });
  model.emit("change:size");
  model.emit("change:busy");
  lifetime.end();
  model.emit("change:busy");
  assert.deepEqual(heard, ["size", "busy"]);
});

test("what Python deflates is inflated, from a view of a larger buffer too", async () => {
  const bytes = Uint8Array.from({ length: 999 }, (_, index) => index % 7);
  const packed = deflateSync(bytes);
  const message = new Uint8Array(packed.length + 10);
  message.set(packed, 5);
  const view = new DataView(message.buffer, 5, packed.length);
  assert.deepEqual(await inflate(view), bytes);
  assert.deepEqual([...bytesOf(view)], [...packed]);
});
