/** Where the tiles of the wall stand, and where the focus goes among them. */

export const GAP = 8;
const CAPTION = 40;
const OVERSCAN = 2; // rows beyond what is in sight

/** @typedef {{columns: number, rows: number, tile: number, rowHeight: number, count: number}} Grid rows: how many fit on a page */

/**
 * @param {{width: number, height: number}} wall in CSS pixels, without its padding to the sides
 * @param {number} size wished tile side
 * @param {number} count of images
 * @returns {Grid}
 */
export function gridFor({ width, height }, size, count) {
  const { columns, tile } = columnsFor(width, size);
  const rowHeight = tile + CAPTION + GAP;
  return { columns, rows: Math.max(1, Math.floor(height / rowHeight)), tile, rowHeight, count };
}

/**
 * How many columns fit, and how wide each is made to fill the row.
 * @param {number} width
 * @param {number} size wished tile side
 */
export function columnsFor(width, size) {
  const columns = Math.max(1, Math.floor((width + GAP) / (size + GAP)));
  return { columns, tile: Math.max(1, Math.floor((width + GAP) / columns) - GAP) };
}

/**
 * Indices [first, last) of the tiles worth rendering.
 * @param {{scrollTop: number, viewport: number, rowHeight: number, columns: number, count: number, overscan?: number}} at
 */
export function visibleRange({ scrollTop, viewport, rowHeight, columns, count, overscan = OVERSCAN }) {
  const top = Math.floor(scrollTop / rowHeight) - overscan;
  const bottom = Math.ceil((scrollTop + viewport) / rowHeight) + overscan;
  const first = Math.min(count, Math.max(0, top * columns));
  return { first, last: Math.max(first, Math.min(count, bottom * columns)) };
}

/**
 * Where a movement key leads from `index`.
 * @param {string} key
 * @param {number} index
 * @param {{columns: number, rows: number, count: number}} grid
 */
export function moveFocus(key, index, { columns, rows, count }) {
  if (count === 0) return -1;
  const step =
    {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -columns,
      ArrowDown: columns,
      PageUp: -columns * rows,
      PageDown: columns * rows,
      Home: -count,
      End: count,
    }[key] ?? 0;
  const target = index + step;
  if (key === "ArrowUp" && target < 0) return index;
  if (key === "ArrowDown" && target >= count) {
    // The last row may be shorter: go down into it, but not sideways within it.
    return Math.floor(index / columns) < Math.floor((count - 1) / columns) ? count - 1 : index;
  }
  return Math.min(count - 1, Math.max(0, target));
}

/**
 * Where to scroll so that a tile is in sight.
 * @param {number} index
 * @param {number} scrollTop
 * @param {number} viewport
 * @param {Grid} grid
 */
export function revealing(index, scrollTop, viewport, { columns, rowHeight }) {
  const top = Math.floor(index / columns) * rowHeight;
  return Math.max(Math.min(scrollTop, top), top + rowHeight + GAP - viewport);
}
