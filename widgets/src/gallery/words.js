/** What the gallery says, which depends on what the images are shown for. */

import { capital, plural } from "../shared/words.js";
import { verdictOf } from "./state.js";

/** @typedef {import("./types.js").Entry} Entry */
/** @typedef {import("./types.js").Filter} Filter */
/** @typedef {import("./types.js").Mode} Mode */
/** @typedef {import("./types.js").Tool} Tool */
/** @typedef {import("./types.js").Verdict} Verdict */

const PRUNING = { kept: "kept", dropped: "dropped", keep: "Keep", drop: "Drop", hint: "Space keeps or drops · B drops all below · ? shows every key" };
const BROWSING = { ...PRUNING, hint: "Enter looks closer · E draws a box · P paints · ? shows every key" };
const REVIEWING = { kept: "accepted", dropped: "rejected", keep: "Accept", drop: "Reject", hint: "K accepts · D rejects · N not here · Enter opens · ? shows every key" };

/** @type {Record<Mode, typeof PRUNING>} */
export const WORDS = { browse: BROWSING, retrieve: PRUNING, prune: PRUNING, review: REVIEWING };

/** @type {Record<Verdict, string>} */
export const VERDICTS = { left: "left", accepted: "accepted", rejected: "rejected", absent: "not here" };

/** @type {[name: Filter, text: string][]} */
export const FILTERS = [
  ["all", "All"],
  ["kept", "Kept"],
  ["dropped", "Dropped"],
  ["outliers", "Unlike the others"],
  ["left", "Left"],
  ["accepted", "Accepted"],
  ["rejected", "Rejected"],
  ["absent", "Not here"],
];

/** @type {Record<Filter, string>} what stands on the wall where a filter leaves nothing */
export const NOTHING = {
  all: "",
  kept: "Every image is dropped.",
  dropped: "No image is dropped.",
  outliers: "No image is unlike the others.",
  left: "Every image is decided.",
  accepted: "No image is accepted yet.",
  rejected: "No image is rejected.",
  absent: "Of no image it was said that nothing is here.",
};

/** @type {Record<Tool, string>} */
export const HOW_TO_DRAW = {
  "": "",
  box: "Drag a box around one example. By keyboard: arrows move it, Shift + arrows and [ ] size it, Enter takes it. Esc cancels.",
  brush: "Paint over one example, then take it. [ ] brush size, X eraser, Z undo, Esc cancels. By keyboard: arrows move, Space puts the brush down and up.",
};

/**
 * What a screen reader says about an image.
 * @param {Entry} entry
 * @param {Mode} mode
 */
export function describe(entry, mode) {
  const review = mode === "review";
  const parts = [entry.label, review ? VERDICTS[verdictOf(entry)] : entry.kept ? "kept" : "dropped"];
  if (!Number.isNaN(entry.score)) parts.push(`score ${entry.score.toFixed(2)}`);
  if (mode === "prune" && !Number.isNaN(entry.support)) parts.push(`support ${entry.support.toFixed(2)}`);
  if (entry.outlier) parts.push("unlike the others");
  if (entry.feedback !== 0 && !review) parts.push(entry.feedback > 0 ? "more like this" : "less like this");
  if (entry.duplicates > 0) parts.push(plural(entry.duplicates, "duplicate"));
  return parts.join(", ");
}

/**
 * The signs on a thumbnail.
 * @param {Entry} entry
 * @param {Mode} mode
 * @returns {[kind: string, text: string][]}
 */
export function badges(entry, mode) {
  /** @type {[string, string][]} */
  const list = [];
  if (mode === "review") {
    const verdict = verdictOf(entry);
    if (verdict === "left") return entry.feedback < 0 ? [["ra-less", "Skipped"]] : [];
    return [[verdict === "accepted" ? "ra-more" : "ra-out", capital(VERDICTS[verdict])]];
  }
  if (!entry.kept) list.push(["ra-out", "Dropped"]);
  else if (entry.outlier) list.push(["ra-warn", "Unlike the others"]);
  if (entry.feedback > 0) list.push(["ra-more", "+ More"]);
  if (entry.feedback < 0) list.push(["ra-less", "− Less"]);
  if (entry.duplicates > 0) list.push(["ra-dup", `+${plural(entry.duplicates, "duplicate")}`]);
  return list;
}

/**
 * What is known of an image, for the larger view.
 * @param {Entry} entry
 * @param {Mode} mode
 * @returns {[name: string, value: string][]}
 */
export function facts(entry, mode) {
  /** @type {[string, string][]} */
  const list = [];
  if (!Number.isNaN(entry.score)) list.push(["Score", entry.score.toFixed(3)]);
  if (!Number.isNaN(entry.support)) list.push(["Support", entry.support.toFixed(3)]);
  if (mode !== "browse") list.push(["Decision", entry.kept ? WORDS[mode].kept : WORDS[mode].dropped]);
  if (entry.outlier) list.push(["Note", "unlike the others"]);
  if (entry.duplicates > 0) list.push(["Folded", plural(entry.duplicates, "duplicate")]);
  if (entry.marks.length > 0) list.push(["Examples", entry.marks.length.toLocaleString()]);
  return list;
}

/**
 * "3 kept · 1 dropped": what was decided so far.
 * @param {Entry[]} entries
 * @param {Mode} mode
 */
export function counts(entries, mode) {
  if (entries.length === 0) return "";
  if (mode === "browse") return plural(entries.length, "image");
  if (mode !== "review") {
    const kept = entries.filter((entry) => entry.kept).length;
    return `${kept.toLocaleString()} kept · ${(entries.length - kept).toLocaleString()} dropped`;
  }
  return Object.entries(VERDICTS)
    .map(([name, word]) => ({ name, word, count: entries.filter((entry) => verdictOf(entry) === name).length }))
    .filter(({ name, count }) => count > 0 || name === "left")
    .map(({ word, count }) => `${count.toLocaleString()} ${word}`)
    .join(" · ");
}
