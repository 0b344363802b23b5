import assert from "node:assert/strict";
import { test } from "node:test";

import { Viewport, clampView, fitView, zoomAt } from "../../src/canvas/view.js";

test("zooming keeps the point under the pointer", () => {
  const view = { scale: 2, x: -30, y: 12 };
  const point = { x: 100, y: 50 };
  const zoomed = zoomAt(view, 1.7, point, 0.5);
  assert.ok(Math.abs((point.x - view.x) / view.scale - (point.x - zoomed.x) / zoomed.scale) < 1e-9);
  assert.ok(Math.abs((point.y - view.y) / view.scale - (point.y - zoomed.y) / zoomed.scale) < 1e-9);
  assert.equal(zoomAt(view, 1e-9, point, 0.5).scale, 0.25);
  assert.equal(zoomAt(view, 1e9, point, 0.5).scale, 40);
});

test("a fitted view shows everything in the middle, and the image cannot be lost", () => {
  const [grid, screen] = [{ width: 400, height: 100 }, { width: 224, height: 524 }];
  assert.deepEqual(fitView(grid, screen), { scale: 0.5, x: 12, y: 237 });
  assert.deepEqual(clampView({ scale: 1, x: 9999, y: -9999 }, grid, screen), { scale: 1, x: 176, y: -52 });
});

test("a view that fits goes on fitting when the screen changes, and one that was moved stays", () => {
  const screen = { width: 424, height: 424 };
  let changes = 0;
  const viewport = new Viewport(() => screen, () => (changes += 1));
  viewport.fit();
  assert.equal(changes, 0, "there is nothing to look at yet");
  viewport.lookAt({ width: 400, height: 100 });
  viewport.fit();
  assert.deepEqual(viewport.view, { scale: 1, x: 12, y: 162 });
  assert.deepEqual(viewport.cellAt({ x: 112, y: 172 }), { x: 100, y: 10 });
  screen.width = 224;
  viewport.resize();
  assert.equal(viewport.view.scale, 0.5);
  viewport.zoom(2);
  viewport.move(3, 4);
  const { view } = viewport;
  screen.width = 424;
  viewport.resize();
  assert.equal(viewport.view, view);
});

test("zooming without a point is about the middle of the screen", () => {
  const viewport = new Viewport(() => ({ width: 424, height: 424 }), () => {});
  viewport.lookAt({ width: 400, height: 400 });
  viewport.fit();
  const middle = viewport.cellAt({ x: 212, y: 212 });
  viewport.zoom(1.25);
  assert.deepEqual(viewport.cellAt({ x: 212, y: 212 }), middle);
});
