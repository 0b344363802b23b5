/** Types that the canvas's modules share; no code. */

/**
 * @typedef {object} Traits
 * @property {DataView} timeline one byte per image of the job, a position in STATES
 * @property {string} active name of the chosen concept, which the whole panel shares
 * @property {string} status one line about what goes on
 * @property {string} error one sentence about what failed
 * @property {boolean} busy the kernel is at work
 * @property {number} opacity of the mask's fill, 0..1
 * @property {boolean} outline only outlines are drawn
 * @property {boolean} windows those that decided the chosen concept's map are drawn
 * @property {number} brush diameter in cells
 * @property {number} height of the image area in CSS pixels
 */

/**
 * What the kernel says.
 * @typedef {(Header & {type: "frame"}) | {type: "empty"} | {type: "place", id: string, index: number} | {type: "focus"}
 *   | {type: "answer", token: string, outcome: Outcome}} FromKernel
 */

/**
 * What the kernel is told. It answers all but the first, and applies nothing to another revision of the frame.
 * @typedef {{type: "ready"}
 *   | {type: "decision", revision: number, action: Action, concept: string, thresholds: Record<string, number>}
 *   | {type: "navigate", where: string, index: number}
 *   | {type: "threshold", revision: number, concept: string, value: number}
 *   | {type: "edit", revision: number, concept: string, rect: Rect}
 *   | {type: "command", name: string}} ToKernel
 */

/** @typedef {"applied" | "stale" | "failed"} Outcome stale: it was meant for a frame that is not shown any more */

/** @typedef {import("../shared/messages.js").Model<Traits>} Model */
/** @typedef {{x: number, y: number}} Point */
/** @typedef {{width: number, height: number}} Size */
/** @typedef {[x: number, y: number, width: number, height: number]} Rect in cells */
/** @typedef {[y: number, first: number, last: number]} Span cells of a row, both ends included */
/** @typedef {{scale: number, x: number, y: number}} View screen = cell * scale + offset, in CSS pixels */
/** @typedef {"move" | "brush" | "eraser" | "fill"} Tool */
/** @typedef {"accept" | "reject" | "absent" | "skip"} Action */
/** @typedef {{name: string, colour: string, threshold: number, presence: number | null, absent: boolean, looks: Rect[]}} Concept looks: windows that decided the map */
/** @typedef {{revision: number, id: string, label: string, index: number, width: number, height: number, uncertainty: number | null, exclusive: boolean, concepts: Concept[]}} Header */

/**
 * @typedef {object} Cells of one concept
 * @property {Uint8Array} map as the kernel sent it
 * @property {Uint8Array} edits 0, 1 (forced in) or 2 (forced out) per cell
 * @property {Uint8Array} scores the map with the strokes burnt in, 255 in and 0 out
 * @property {Uint32Array} histogram of scores
 */

/** @typedef {Cells & {concept: Concept, threshold: number}} Layer one concept, with its threshold as shown */
/** @typedef {{concept: number, rect: Rect, before: Uint8Array, after: Uint8Array}} Patch packed cells */
/** @typedef {{patches: Patch[], threshold?: {concept: number, before: number, after: number}}} Change */

export {};
