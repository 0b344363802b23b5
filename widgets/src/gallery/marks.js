/** What is drawn over a picture: heat map, seed, and the examples that were marked. */

import { h, svg } from "../shared/dom.js";

/** @typedef {import("./types.js").Box} Box */
/** @typedef {import("./types.js").Entry} Entry */

/** Colours of a heat map: value, red, green, blue, opacity. */
const STOPS = [
  [0, 30, 20, 110, 0],
  [96, 110, 30, 150, 90],
  [170, 235, 90, 40, 165],
  [255, 255, 235, 110, 215],
];

/**
 * RGBA pixels of a heat map: dark blue and clear where low, orange to yellow and opaque where high.
 * @param {Uint8Array} values
 */
export function heatPixels(values) {
  const pixels = new Uint8ClampedArray(values.length * 4);
  values.forEach((value, index) => {
    const above = Math.max(1, STOPS.findIndex((stop) => value <= stop[0]));
    const [low, high] = [STOPS[above - 1], STOPS[above]];
    const part = (value - low[0]) / (high[0] - low[0]);
    for (let channel = 0; channel < 4; channel += 1) {
      pixels[index * 4 + channel] = low[channel + 1] + part * (high[channel + 1] - low[channel + 1]);
    }
  });
  return pixels;
}

/**
 * Size of a picture fitted into a box, aspect kept, never enlarged beyond the box.
 * @param {number} width
 * @param {number} height
 * @param {number} boxWidth
 * @param {number} boxHeight
 */
export function fitInto(width, height, boxWidth, boxHeight) {
  const scale = Math.min(boxWidth / width, boxHeight / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/**
 * @param {HTMLElement} node
 * @param {Box} box
 */
export function placeBox(node, [x, y, width, height]) {
  node.style.left = `${x * 100}%`;
  node.style.top = `${y * 100}%`;
  node.style.width = `${width * 100}%`;
  node.style.height = `${height * 100}%`;
}

/**
 * Draws heat map, seed and marked examples over a picture.
 * @param {HTMLElement} layer
 * @param {Entry} entry
 * @param {ImageData | null} heat
 * @param {boolean} seeds are shown
 */
export function overlay(layer, entry, heat, seeds) {
  const parts = [];
  if (heat) {
    const canvas = h("canvas", { class: "ra-heat", width: String(heat.width), height: String(heat.height) });
    canvas.getContext("2d")?.putImageData(heat, 0, 0);
    parts.push(canvas);
  }
  for (const mark of entry.marks) parts.push(mark.length === 4 ? boxMark(mark) : outlineMark(mark));
  if (seeds && entry.kept && !Number.isNaN(entry.x)) {
    const seed = h("span", { class: "ra-seed" });
    seed.style.left = `${entry.x * 100}%`;
    seed.style.top = `${entry.y * 100}%`;
    parts.push(seed);
  }
  layer.replaceChildren(...parts);
}

/** @param {Box} box */
function boxMark(box) {
  const node = h("span", { class: "ra-mark" });
  placeBox(node, box);
  return node;
}

/** @param {number[]} points [x, y, x, y, x, y …] in 0..1 */
function outlineMark(points) {
  const shapes = ["ra-under", "ra-over"].map((name) => svg("polygon", { class: name, points: points.join(" ") }));
  return svg("svg", { class: "ra-outline", viewBox: "0 0 1 1", preserveAspectRatio: "none" }, ...shapes);
}
