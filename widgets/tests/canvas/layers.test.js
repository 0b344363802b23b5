import assert from "node:assert/strict";
import { test } from "node:test";

import { packCells, unpackCells } from "../../src/canvas/cells.js";
import { Layers } from "../../src/canvas/layers.js";
import { draw } from "../cells.js";

/** Two concepts on 5 x 4 cells, and what the layers report. */
function open({ exclusive = false, edits = new Uint8Array(20) } = {}) {
  const concepts = ["mug", "cat"].map((name) => ({ name, colour: "#ffffff", threshold: 128, presence: null, absent: false }));
  const header = { id: "a", label: "a.jpg", index: 0, width: 5, height: 4, uncertainty: null, exclusive, concepts };
  const heard = [];
  const report = {
    threshold: (...given) => heard.push(["threshold", ...given]),
    edit: (concept, rect, packed) => heard.push(["edit", concept, rect, [...unpackCells(packed, rect[2] * rect[3])]]),
    tell: (text) => heard.push(["tell", text]),
    moved: () => {},
    painted: () => {},
    changed: () => {},
  };
  const maps = [draw("##...", "##...", ".....", "....."), draw(".....", "...##", "...##", ".....")];
  return { layers: new Layers(header, maps, [packCells(edits), packCells(new Uint8Array(20))], report), heard };
}

const inside = (layer) => [...layer.scores].map((score) => Number(score >= layer.threshold)).join("");

test("a stroke is reported once, when it ends, with the cells that it forced", () => {
  const { layers, heard } = open();
  layers.begin({ x: 2.5, y: 0.5 }, false, 1);
  layers.drawTo({ x: 3.5, y: 0.5 }, 1);
  assert.deepEqual(heard, []);
  assert.ok(layers.drawing);
  layers.end();
  assert.deepEqual(heard, [["edit", 0, [2, 0, 2, 1], [1, 1]]]);
  assert.equal(inside(layers.all[0]).slice(0, 5), "11110");
  assert.equal(inside(layers.all[1]).slice(0, 5), "00000");
});

test("an eraser forces out, and undo and redo report the cells again", () => {
  const { layers, heard } = open();
  layers.begin({ x: 0.5, y: 0.5 }, true, 1);
  layers.end();
  assert.deepEqual(heard.splice(0), [["edit", 0, [0, 0, 1, 1], [2]]]);
  assert.ok(layers.travel("undo"));
  assert.deepEqual(heard.splice(0), [["edit", 0, [0, 0, 1, 1], [0]]]);
  assert.equal(inside(layers.all[0]).slice(0, 5), "11000");
  assert.ok(layers.travel("redo"));
  assert.deepEqual(heard.splice(0), [["edit", 0, [0, 0, 1, 1], [2]]]);
  assert.ok(layers.travel("undo"));
  assert.ok(!layers.travel("undo"), "nothing is left on this image");
});

test("where concepts exclude each other, painting one takes the cells from the other", () => {
  const { layers, heard } = open({ exclusive: true });
  layers.begin({ x: 3.5, y: 1.5 }, false, 1);
  layers.end();
  assert.deepEqual(heard.splice(0), [
    ["edit", 0, [3, 1, 1, 1], [1]],
    ["edit", 1, [3, 1, 1, 1], [2]],
  ]);
  layers.travel("undo");
  assert.equal(inside(layers.all[1]), "00000000110001100000");
});

test("a stroke that turns out to be a pinch leaves nothing behind", () => {
  const edits = new Uint8Array(20);
  edits[7] = 1;
  const { layers, heard } = open({ edits });
  const before = inside(layers.all[0]);
  layers.begin({ x: 2.5, y: 1.5 }, true, 3);
  assert.notEqual(inside(layers.all[0]), before);
  layers.cancel();
  layers.end();
  assert.equal(inside(layers.all[0]), before);
  assert.deepEqual(heard, []);
  assert.ok(!layers.travel("undo"));
});

test("a threshold is reported when it comes to rest, and can be undone", () => {
  const { layers, heard } = open();
  layers.slide(0, 140);
  layers.slide(0, 999);
  assert.deepEqual(layers.thresholds, { mug: 255, cat: 128 });
  assert.deepEqual(heard, []);
  layers.rest();
  layers.rest();
  assert.deepEqual(heard.splice(0), [["threshold", 0, 255]]);
  layers.slide(1, 90); // another one: the first has come to rest
  layers.travel("undo");
  layers.travel("undo");
  assert.deepEqual(heard, [
    ["threshold", 1, 90],
    ["threshold", 1, 128],
    ["threshold", 0, 128],
  ]);
});

test("a threshold that comes back to where it was is no change", () => {
  const { layers, heard } = open();
  layers.slide(0, 140);
  layers.slide(0, 128);
  layers.rest();
  assert.deepEqual(heard, []);
  assert.ok(!layers.travel("undo"));
});

test("a fill removes a piece, fills a hole, and refuses the background", () => {
  const { layers, heard } = open();
  layers.fill({ x: 0.5, y: 0.5 });
  assert.deepEqual(heard.splice(0), [["edit", 0, [0, 0, 2, 2], [2, 2, 2, 2]]]);
  layers.travel("undo");
  heard.splice(0);
  layers.fill({ x: 4.5, y: 3.5 });
  assert.match(heard.splice(0)[0][1], /background/);
  layers.fill({ x: -1, y: 0 });
  layers.fillHoles();
  assert.match(heard.splice(0)[0][1], /no hole/);
});

test("the chosen concept lies on top", () => {
  const { layers } = open();
  layers.active = 0;
  assert.deepEqual(layers.stacked.map((layer) => layer.concept.name), ["cat", "mug"]);
});
