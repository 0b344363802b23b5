/** The canvas's keys. */

import { UNDO } from "../shared/keys.js";

/** @type {Record<string, string>} */
export const COMMANDS = {
  ...UNDO,
  a: "accept",
  r: "reject",
  n: "absent",
  s: "skip",
  u: "unsure",
  g: "grid",
  ArrowLeft: "previous",
  ArrowRight: "next",
  ArrowUp: "threshold-up",
  ArrowDown: "threshold-down",
  "Shift+ArrowUp": "threshold-up-fast",
  "Shift+ArrowDown": "threshold-down-fast",
  ...Object.fromEntries(Array.from("123456789", (digit) => [digit, `concept-${digit}`])),
  v: "move",
  b: "brush",
  e: "eraser",
  f: "fill",
  "Shift+f": "fill-holes",
  "[": "brush-smaller",
  "]": "brush-larger",
  h: "hide",
  " ": "pan",
  o: "outline",
  w: "windows",
  "+": "zoom-in",
  "=": "zoom-in",
  "-": "zoom-out",
  "−": "zoom-out",
  0: "fit",
  "?": "legend",
  Escape: "close",
};

/** Commands that a key which is held down gives again and again. */
export const REPEATING = /^(threshold|brush-|zoom|next|previous|undo|redo)/;

/** @type {import("../shared/legend.js").Line[]} */
export const LEGEND = [
  ["A", "Accept"],
  ["R", "Reject"],
  ["N", "Not here: the concept is absent"],
  ["S", "Skip"],
  ["U", "Next unsure image"],
  ["← →", "Previous, next image"],
  ["G", "All images as a grid"],
  ["↑ ↓", "Threshold (Shift: faster)"],
  ["1 – 9", "Choose a concept"],
  ["B", "Brush"],
  ["E", "Eraser"],
  ["F", "Fill a hole, or remove a piece"],
  ["Shift F", "Fill every hole"],
  ["[ ]", "Brush size"],
  ["V", "Move (or hold Space)"],
  ["Z", "Undo"],
  ["Shift Z or Y", "Redo"],
  ["H (hold)", "Hide the masks"],
  ["O", "Outlines only"],
  ["W", "Windows that decided the mask"],
  ["+ − wheel", "Zoom"],
  ["0", "Fit"],
  ["?", "This legend"],
];
