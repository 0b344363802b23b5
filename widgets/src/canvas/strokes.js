/** Where a brush paints. */

/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").Rect} Rect */
/** @typedef {import("./types.js").Span} Span */

const LARGEST = 512;

/**
 * Cells whose centres lie within a round brush drawn from a to b.
 * @param {Point} a in cells
 * @param {Point} b in cells
 * @param {number} diameter
 * @param {number} width
 * @param {number} height
 * @returns {Span[]}
 */
export function brushSpans(a, b, diameter, width, height) {
  // Half a cell more than nothing, so that a brush of 1 always hits the cell below the pointer.
  const radius = Math.max(diameter / 2, 0.71);
  const spans = /** @type {Span[]} */ ([]);
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const inside = (/** @type {number} */ x, /** @type {number} */ y) => {
    const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / length));
    return (x - a.x - along * dx) ** 2 + (y - a.y - along * dy) ** 2 <= radius * radius;
  };
  const top = Math.max(0, Math.floor(Math.min(a.y, b.y) - radius));
  const bottom = Math.min(height - 1, Math.ceil(Math.max(a.y, b.y) + radius));
  const left = Math.max(0, Math.floor(Math.min(a.x, b.x) - radius));
  const right = Math.min(width - 1, Math.ceil(Math.max(a.x, b.x) + radius));
  for (let y = top; y <= bottom; y += 1) {
    // The brushed area is convex: one span a row.
    let first = left;
    while (first <= right && !inside(first + 0.5, y + 0.5)) first += 1;
    let last = right;
    while (last >= first && !inside(last + 0.5, y + 0.5)) last -= 1;
    if (first <= last) spans.push([y, first, last]);
  }
  return spans;
}

/**
 * The smallest rectangle around a rectangle and the spans of a brush.
 * @param {Rect | null} rect
 * @param {Span[]} spans
 * @returns {Rect | null}
 */
export function grow(rect, spans) {
  let [left, top, right, bottom] = rect ? [rect[0], rect[1], rect[0] + rect[2], rect[1] + rect[3]] : [Infinity, Infinity, 0, 0];
  for (const [y, first, last] of spans) {
    left = Math.min(left, first);
    right = Math.max(right, last + 1);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y + 1);
  }
  return right === 0 ? null : [left, top, right - left, bottom - top];
}

/**
 * The next brush size: about a fifth larger or smaller, at least one cell.
 * @param {number} size
 * @param {number} direction -1 or 1
 */
export function nextBrush(size, direction) {
  const next = direction > 0 ? Math.max(size + 1, Math.round(size * 1.2)) : Math.min(size - 1, Math.round(size / 1.2));
  return Math.min(LARGEST, Math.max(1, next));
}
