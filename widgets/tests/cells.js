/** Cells for the tests, from drawings and by chance. */

/** Cells from a drawing: # is 200, everything else 50. */
export const draw = (...lines) => Uint8Array.from([...lines.join("")].map((mark) => (mark === "#" ? 200 : 50)));

export const print = (cells, width) =>
  Array.from({ length: cells.length / width }, (_, y) => cells.slice(y * width, (y + 1) * width).join(""));

/** Repeatable numbers: tests must fail the same way twice. */
export function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
