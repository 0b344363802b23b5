/** Connected regions of a mask: pieces and holes. */

/** @typedef {import("./types.js").Rect} Rect */

/**
 * The smallest rectangle that holds every marked cell, or null.
 * @param {Uint8Array} region
 * @param {number} stride
 * @returns {Rect | null}
 */
export function boundsOf(region, stride) {
  let [left, top, right, bottom] = [stride, -1, -1, -1];
  for (let cell = region.indexOf(1); cell >= 0; cell = region.indexOf(1, cell + 1)) {
    const x = cell % stride;
    if (top < 0) top = Math.floor(cell / stride);
    bottom = Math.floor(cell / stride);
    if (x < left) left = x;
    if (x > right) right = x;
  }
  return top < 0 ? null : [left, top, right - left + 1, bottom - top + 1];
}

/**
 * The 4-connected region of equal membership around a cell: 1 for its cells, and how many there are.
 * @param {Uint8Array} scores
 * @param {number} threshold
 * @param {number} width
 * @param {number} start
 */
export function flood(scores, threshold, width, start) {
  const region = new Uint8Array(scores.length);
  const stack = new Int32Array(scores.length);
  const inside = scores[start] >= threshold;
  region[start] = 1;
  stack[0] = start;
  return { region, count: spread(region, stack, 1, scores, threshold, width, inside), inside };
}

/**
 * 1 for every cell outside the mask that the mask encloses: what cannot be reached from the border.
 * @param {Uint8Array} scores
 * @param {number} threshold
 * @param {number} width
 */
export function holes(scores, threshold, width) {
  const reached = new Uint8Array(scores.length);
  const stack = new Int32Array(scores.length);
  let depth = 0;
  for (let cell = 0; cell < scores.length; cell += 1) {
    const x = cell % width;
    const border = x === 0 || x === width - 1 || cell < width || cell >= scores.length - width;
    if (!border || scores[cell] >= threshold) continue;
    reached[cell] = 1;
    stack[depth] = cell;
    depth += 1;
  }
  spread(reached, stack, depth, scores, threshold, width, false);
  for (let cell = 0; cell < scores.length; cell += 1) reached[cell] = Number(reached[cell] === 0 && scores[cell] < threshold);
  return reached;
}

/**
 * Marks in `region` every cell that is 4-connected to the starts through cells of the same membership.
 * @param {Uint8Array} region 1 at the starts, 0 elsewhere; written
 * @param {Int32Array} stack the starts first; room for every cell, as each is pushed once
 * @param {number} depth how many starts there are
 * @param {Uint8Array} scores
 * @param {number} threshold
 * @param {number} width
 * @param {boolean} inside membership to follow
 * @returns {number} how many cells are marked
 */
function spread(region, stack, depth, scores, threshold, width, inside) {
  const { length } = scores;
  let count = 0;
  while (depth > 0) {
    depth -= 1;
    const cell = stack[depth];
    count += 1;
    const x = cell % width;
    for (let side = 0; side < 4; side += 1) {
      if ((side === 0 && x === 0) || (side === 1 && x === width - 1)) continue;
      const next = side === 0 ? cell - 1 : side === 1 ? cell + 1 : side === 2 ? cell - width : cell + width;
      if (next < 0 || next >= length || region[next] === 1 || scores[next] >= threshold !== inside) continue;
      region[next] = 1;
      stack[depth] = next;
      depth += 1;
    }
  }
  return count;
}
