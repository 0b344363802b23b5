/** Types of the stepper; no code. */

/**
 * @typedef {object} Traits
 * @property {string} heading what is worked on; shown as text
 * @property {string} note one line about where the work is kept
 * @property {[title: string, note: string, enabled: boolean, done: boolean][]} steps in their order
 * @property {number} active position of the open step
 * @property {[name: string, colour: string][]} concepts of the job
 * @property {number} concept position of the chosen one, -1 for none
 * @property {string} error one sentence about what failed; empty hides it
 * @property {boolean} busy work goes on
 */

/**
 * What the kernel is told; what it says is all in the traits.
 * @typedef {{type: "step", index: number} | {type: "concept", index: number} | {type: "add"} | {type: "dismiss"}} ToKernel
 */

/** @typedef {import("../shared/messages.js").Model<Traits>} Model */

export {};
