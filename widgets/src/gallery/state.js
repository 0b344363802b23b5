/** What the gallery shows: the kernel's images, decisions on their way to it, the filter, the focus and the selection. */

/** @typedef {import("./types.js").Entry} Entry */
/** @typedef {import("./types.js").Filter} Filter */
/** @typedef {import("./types.js").Pending} Pending */
/** @typedef {import("./types.js").Row} Row */
/** @typedef {import("./types.js").Verdict} Verdict */

const RECORD_BYTES = 24;
const KEPT = 1;
const OUTLIER = 2;

/**
 * Entries in display order, from the static rows and the kernel's records.
 *
 * A record is 24 little-endian bytes: row u32, score f32, support f32, seed x f32, seed y f32, flags u8
 * (1 kept, 2 outlier), feedback i8, two spare.
 * @param {Row[]} rows
 * @param {DataView} records
 * @returns {Entry[]}
 */
export function decodeState(rows, records) {
  const entries = [];
  for (let at = 0; at + RECORD_BYTES <= records.byteLength; at += RECORD_BYTES) {
    const row = rows[records.getUint32(at, true)];
    if (!row) continue;
    const flags = records.getUint8(at + 20);
    entries.push({
      id: row[0],
      label: row[1],
      duplicates: row[2],
      marks: row[3],
      score: records.getFloat32(at + 4, true),
      support: records.getFloat32(at + 8, true),
      x: records.getFloat32(at + 12, true),
      y: records.getFloat32(at + 16, true),
      kept: (flags & KEPT) !== 0,
      outlier: (flags & OUTLIER) !== 0,
      feedback: records.getInt8(at + 21),
    });
  }
  return entries;
}

/**
 * Replays decisions that the kernel has not acknowledged over what it last said.
 * @param {Entry[]} entries
 * @param {Pending[]} pending oldest first
 */
export function applyPending(entries, pending) {
  if (pending.length === 0) return entries;
  return entries.map((entry) => {
    let kept = entry.kept;
    for (const decision of pending) if (decision.ids.has(entry.id)) kept = decision.kept;
    return kept === entry.kept ? entry : { ...entry, kept };
  });
}

/**
 * What a review has come to about an image.
 * @param {Entry} entry
 * @returns {Verdict}
 */
export function verdictOf(entry) {
  if (entry.kept) return entry.feedback > 0 ? "accepted" : "left";
  return entry.feedback < 0 ? "absent" : "rejected";
}

/** @type {Record<Filter, (entry: Entry) => boolean>} */
const SHOWS = {
  all: () => true,
  kept: (entry) => entry.kept,
  dropped: (entry) => !entry.kept,
  outliers: (entry) => entry.outlier,
  left: (entry) => verdictOf(entry) === "left",
  accepted: (entry) => verdictOf(entry) === "accepted",
  rejected: (entry) => verdictOf(entry) === "rejected",
  absent: (entry) => verdictOf(entry) === "absent",
};

/**
 * @param {Entry[]} entries
 * @param {Filter} filter
 */
export function filterEntries(entries, filter) {
  return entries.filter(SHOWS[filter]);
}

/**
 * The ids between two positions, both included, in either direction.
 * @param {{id: string}[]} entries
 * @param {number} anchor
 * @param {number} index
 */
export function rangeIds(entries, anchor, index) {
  const lo = Math.max(0, Math.min(anchor, index));
  return entries.slice(lo, Math.max(anchor, index) + 1).map((entry) => entry.id);
}

export class GalleryState {
  /** @type {Row[]} */ rows = [];
  /** @type {Entry[]} with decisions on their way */ entries = [];
  /** @type {Entry[]} after the filter */ shown = [];
  /** @type {Filter} */ filter = "all";
  focus = "";
  /** @type {Set<string>} */ selected = new Set();
  /** Whether the kernel has said what there is. */
  received = false;
  /** @type {Entry[]} what the kernel last said */ #base = [];
  /** @type {Pending[]} */ #pending = [];
  /** @type {Map<string, number>} */ #position = new Map();
  #anchor = "";

  /** @param {DataView} records */
  setRecords(records) {
    this.received = true;
    this.#base = decodeState(this.rows, records);
    this.#recompute();
  }

  /** @param {Filter} filter */
  setFilter(filter) {
    this.filter = filter;
    this.#recompute();
  }

  /**
   * Position of an image among those that are shown, -1 for none.
   * @param {string} id
   */
  indexOf(id) {
    return this.#position.get(id) ?? -1;
  }

  get index() {
    return this.indexOf(this.focus);
  }

  /** @returns {Entry | undefined} the one in focus */
  get entry() {
    return this.shown[this.index];
  }

  /** What a command is about: the selection where the focus is in it, else the focus. */
  get targets() {
    return this.selected.has(this.focus) ? [...this.selected] : [this.focus];
  }

  // -- decisions

  /**
   * Shows a decision at once, until the kernel acknowledges it.
   * @param {string[]} ids
   * @param {boolean} kept
   * @param {boolean} review what is merely not rejected can still be accepted, and what is absent rejected
   * @param {string} token that the kernel gives back
   * @returns {string[]} those that it changes
   */
  decide(ids, kept, review, token) {
    const wanted = new Set(ids);
    const verdict = kept ? "accepted" : "rejected";
    const same = (/** @type {Entry} */ entry) => (review ? verdictOf(entry) === verdict : entry.kept === kept);
    const changed = this.entries.filter((entry) => wanted.has(entry.id) && !same(entry)).map((entry) => entry.id);
    if (changed.length === 0) return changed;
    this.#pending.push({ token, ids: new Set(changed), kept });
    this.#recompute();
    return changed;
  }

  /** @param {string} token */
  acknowledge(token) {
    this.#pending = this.#pending.filter((decision) => decision.token !== token);
    this.#recompute();
  }

  // -- focus and selection

  /**
   * @param {number} index
   * @param {boolean} extend the selection up to there
   */
  focusAt(index, extend) {
    this.focus = this.shown[index].id;
    if (!extend) this.#anchor = this.focus;
    const anchor = this.indexOf(this.#anchor);
    this.selected = new Set(extend ? rangeIds(this.shown, anchor < 0 ? index : anchor, index) : []);
  }

  /**
   * Takes one image into the selection, or out of it.
   * @param {string} id
   */
  toggleSelected(id) {
    if (this.selected.size === 0) this.selected.add(this.focus);
    if (!this.selected.delete(id)) this.selected.add(id);
    this.focus = id;
    this.#anchor = id;
  }

  #recompute() {
    this.entries = applyPending(this.#base, this.#pending);
    this.shown = filterEntries(this.entries, this.filter);
    const before = Math.max(0, this.index);
    this.#position = new Map(this.shown.map((entry, index) => [entry.id, index]));
    for (const id of this.selected) if (!this.#position.has(id)) this.selected.delete(id);
    if (this.#position.has(this.focus)) return;
    this.focus = this.shown[Math.min(before, this.shown.length - 1)]?.id ?? "";
    this.#anchor = this.focus;
  }
}
