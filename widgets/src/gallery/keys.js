/** The gallery's keys, and which of their commands mean something in a mode. */

import { UNDO } from "../shared/keys.js";

/** @typedef {import("./types.js").Mode} Mode */

/** @type {Record<string, string>} */
export const COMMANDS = {
  ...UNDO,
  ArrowLeft: "move",
  ArrowRight: "move",
  ArrowUp: "move",
  ArrowDown: "move",
  Home: "move",
  End: "move",
  PageUp: "move",
  PageDown: "move",
  "Ctrl+a": "select-all",
  " ": "toggle",
  x: "toggle",
  d: "drop",
  k: "keep",
  b: "drop-below",
  n: "absent",
  h: "heat",
  "+": "more",
  "=": "more",
  "-": "less",
  "−": "less",
  e: "box",
  p: "brush",
  Enter: "preview",
  Escape: "close",
  "?": "legend",
};

/** @type {import("../shared/legend.js").Line[]} */
export const LEGEND = [
  ["← → ↑ ↓", "Move"],
  ["Home End PgUp PgDn", "Move far"],
  ["Shift + move or click", "Select a range"],
  ["Ctrl + click, Ctrl A", "Add to the selection, select all"],
  ["Space or X", "Keep or drop", "toggle"],
  ["D", "Drop", "drop"],
  ["K", "Keep", "keep"],
  ["B", "Drop all below here", "drop-below"],
  ["N", "Not here: every concept is absent", "absent"],
  ["+ −", "More, less like this", "more"],
  ["E", "Draw a box around an example", "box"],
  ["P", "Paint an example", "brush"],
  ["H", "Heat maps", "heat"],
  ["Enter", "Look closer"],
  ["Z", "Undo", "undo"],
  ["Y or Shift Z", "Redo", "redo"],
  ["Esc", "Close, clear the selection"],
  ["?", "This legend"],
];

/** @type {Record<Mode, string[]>} commands that make no sense for what the images are shown for */
export const IDLE = {
  browse: ["toggle", "drop", "keep", "drop-below", "absent", "more", "less", "undo", "redo", "heat"],
  retrieve: ["absent", "heat"],
  prune: ["absent"],
  review: ["drop-below", "more", "less", "box", "brush", "heat"],
};
