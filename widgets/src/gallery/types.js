/** Types that the gallery's modules share; no code. */

/**
 * @typedef {object} Traits
 * @property {Mode} mode what the images are shown for; `browse` decides nothing
 * @property {string} title what is looked for; shown as text
 * @property {string} status one line about what goes on
 * @property {string} error one sentence about what failed
 * @property {boolean} busy the kernel is at work on this gallery
 * @property {boolean} more further results can be loaded
 * @property {boolean} heat heat maps are shown
 * @property {number} size thumbnail side in CSS pixels
 * @property {number} height of the scrolling wall in CSS pixels
 */

/**
 * What the kernel says.
 * @typedef {{type: "rows", rows: Row[]}
 *   | {type: "state"}
 *   | {type: "thumbs", ids: string[]}
 *   | {type: "heats", ids: string[], shapes: [height: number, width: number][]}
 *   | {type: "preview", id: string}
 *   | {type: "ack", token: string}
 *   | {type: "focus", id: string}} FromKernel
 */

/**
 * What the kernel is told.
 * @typedef {{type: "ready"}
 *   | {type: "need", thumbs: string[], heats: string[]}
 *   | {type: "preview", id: string}
 *   | {type: "keep", ids: string[], kept: boolean, token: string}
 *   | {type: "feedback", id: string, sign: number}
 *   | {type: "absent", ids: string[]}
 *   | {type: "open", id: string}
 *   | {type: "exemplar", id: string, box: Box}
 *   | {type: "painting", id: string, width: number, height: number}
 *   | {type: "command", name: string}} ToKernel
 */

/** @typedef {import("../shared/messages.js").Model<Traits>} Model */
/** @typedef {"browse" | "retrieve" | "prune" | "review"} Mode */
/** @typedef {[id: string, label: string, duplicates: number, marks: number[][]]} Row a mark is a Box, or the points of an outline [x, y, x, y, x, y …], in 0..1 */
/** @typedef {number[]} Box [x, y, w, h] in 0..1 */
/** @typedef {{x: number, y: number}} Point */
/** @typedef {"" | "box" | "brush"} Tool */

/**
 * @typedef {object} Entry one image as it stands now
 * @property {string} id
 * @property {string} label
 * @property {number} duplicates
 * @property {number[][]} marks
 * @property {number} score
 * @property {number} support NaN where unknown
 * @property {number} x of the seed, 0..1, NaN where there is none
 * @property {number} y of the seed, 0..1, NaN where there is none
 * @property {boolean} kept
 * @property {boolean} outlier
 * @property {number} feedback -1 less, 0 none, 1 more like this
 */

/** @typedef {{token: string, ids: Set<string>, kept: boolean}} Pending a decision that the kernel has not acknowledged */
/** @typedef {"left" | "accepted" | "rejected" | "absent"} Verdict of a review; what was skipped is left too */
/** @typedef {"all" | "kept" | "dropped" | "outliers" | Verdict} Filter */

export {};
