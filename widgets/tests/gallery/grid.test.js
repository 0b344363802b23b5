import assert from "node:assert/strict";
import { test } from "node:test";

import { columnsFor, gridFor, moveFocus, revealing, visibleRange } from "../../src/gallery/grid.js";

test("focus moves in the grid and stays inside", () => {
  const grid = { columns: 4, rows: 2, count: 10 };
  const table = [
    ["ArrowRight", 3, 4],
    ["ArrowRight", 9, 9],
    ["ArrowLeft", 0, 0],
    ["ArrowDown", 1, 5],
    ["ArrowDown", 7, 9], // the last row is short: go to its end
    ["ArrowDown", 8, 8], // already in the last row
    ["ArrowUp", 2, 2],
    ["ArrowUp", 9, 5],
    ["PageDown", 0, 8],
    ["PageUp", 9, 1],
    ["Home", 7, 0],
    ["End", 2, 9],
  ];
  for (const [key, from, to] of table) assert.equal(moveFocus(key, from, grid), to, `${key} from ${from}`);
  assert.equal(moveFocus("End", 0, { ...grid, count: 0 }), -1);
});

test("columns fill the width", () => {
  assert.deepEqual(columnsFor(640, 152), { columns: 4, tile: 154 });
  assert.deepEqual(columnsFor(80, 152), { columns: 1, tile: 80 });
  for (const width of [300, 777, 1024, 2560]) {
    const { columns, tile } = columnsFor(width, 120);
    assert.ok(columns * tile + (columns - 1) * 8 <= width);
    assert.ok(tile >= 120);
  }
});

test("only the visible window and a margin are rendered", () => {
  const wall = { viewport: 500, rowHeight: 200, columns: 5, count: 1000 };
  assert.deepEqual(visibleRange({ ...wall, scrollTop: 0 }), { first: 0, last: 25 });
  assert.deepEqual(visibleRange({ ...wall, scrollTop: 10_000 }), { first: 240, last: 275 });
  assert.deepEqual(visibleRange({ ...wall, scrollTop: 39_500 }), { first: 975, last: 1000 });
  assert.deepEqual(visibleRange({ ...wall, scrollTop: 99_999 }), { first: 1000, last: 1000 });
  assert.deepEqual(visibleRange({ ...wall, scrollTop: 0, count: 0 }), { first: 0, last: 0 });
});

test("the grid counts the rows of a page, at least one", () => {
  const grid = gridFor({ width: 640, height: 500 }, 152, 30);
  assert.deepEqual(grid, { columns: 4, rows: 2, tile: 154, rowHeight: 202, count: 30 });
  assert.equal(gridFor({ width: 640, height: 50 }, 152, 30).rows, 1);
});

test("the wall scrolls as little as shows a whole row", () => {
  const grid = { columns: 4, rows: 2, tile: 154, rowHeight: 200, count: 100 };
  assert.equal(revealing(5, 100, 500, grid), 100); // in sight
  assert.equal(revealing(0, 100, 500, grid), 0); // above
  assert.equal(revealing(12, 100, 500, grid), 308); // below
});
