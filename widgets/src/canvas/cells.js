/** The cells of a concept: its map, the strokes over it, and what follows from both. */

/** @typedef {import("./types.js").Cells} Cells */
/** @typedef {import("./types.js").Rect} Rect */

export const FORCE_ON = 1;
export const FORCE_OFF = 2;

/**
 * @param {Uint8Array} map
 * @param {Uint8Array} edits
 * @returns {Cells}
 */
export function cellsOf(map, edits) {
  const scores = burn(map, edits);
  return { map, edits, scores, histogram: histogramOf(scores) };
}

/**
 * Scores with the strokes burnt in, so that drawing needs one comparison a cell.
 * @param {Uint8Array} map
 * @param {Uint8Array} edits
 */
export function burn(map, edits) {
  const scores = map.slice();
  for (let cell = 0; cell < scores.length; cell += 1) {
    if (edits[cell] === FORCE_ON) scores[cell] = 255;
    else if (edits[cell] === FORCE_OFF) scores[cell] = 0;
  }
  return scores;
}

/** @param {Uint8Array} scores */
export function histogramOf(scores) {
  const histogram = new Uint32Array(256);
  for (let cell = 0; cell < scores.length; cell += 1) histogram[scores[cell]] += 1;
  return histogram;
}

/**
 * Part of all cells that are in the mask, 0..1.
 * @param {Uint32Array} histogram
 * @param {number} threshold
 */
export function coverage(histogram, threshold) {
  let inside = 0;
  let all = 0;
  for (let value = 0; value < 256; value += 1) {
    all += histogram[value];
    if (value >= threshold) inside += histogram[value];
  }
  return all === 0 ? 0 : inside / all;
}

/**
 * Four cells a byte, the first in the lowest bits; the last byte is filled with zeros.
 * @param {Uint8Array} cells
 */
export function packCells(cells) {
  const packed = new Uint8Array(Math.ceil(cells.length / 4));
  for (let cell = 0; cell < cells.length; cell += 1) packed[cell >> 2] |= cells[cell] << ((cell & 3) * 2);
  return packed;
}

/**
 * @param {Uint8Array} packed
 * @param {number} count
 */
export function unpackCells(packed, count) {
  const cells = new Uint8Array(count);
  for (let cell = 0; cell < count; cell += 1) cells[cell] = (packed[cell >> 2] >> ((cell & 3) * 2)) & 3;
  return cells;
}

/**
 * @param {Uint8Array} cells
 * @param {number} stride width of the whole grid
 * @param {Rect} rect
 */
export function crop(cells, stride, [x, y, width, height]) {
  const part = new Uint8Array(width * height);
  for (let row = 0; row < height; row += 1) {
    const from = (y + row) * stride + x;
    part.set(cells.subarray(from, from + width), row * width);
  }
  return part;
}

/**
 * Writes a part of the strokes, and what follows from it.
 * @param {Cells} cells
 * @param {number} stride
 * @param {Rect} rect
 * @param {Uint8Array} part
 */
export function paste(cells, stride, [x, y, width, height], part) {
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      force(cells, (y + row) * stride + x + column, part[row * width + column]);
    }
  }
}

/**
 * Sets one stroke cell, and keeps scores and histogram in step.
 * @param {Cells} cells
 * @param {number} cell
 * @param {number} value 0, 1 or 2
 */
export function force(cells, cell, value) {
  const score = value === FORCE_ON ? 255 : value === FORCE_OFF ? 0 : cells.map[cell];
  cells.histogram[cells.scores[cell]] -= 1;
  cells.histogram[score] += 1;
  cells.edits[cell] = value;
  cells.scores[cell] = score;
}
