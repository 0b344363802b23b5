/** Thumbnails on the wall. */

import { h, icon } from "../shared/dom.js";
import { ICONS } from "../shared/icons.js";
import { splitLabel } from "../shared/words.js";
import { fitInto, overlay } from "./marks.js";
import { WORDS, badges, describe } from "./words.js";

/** @typedef {import("./types.js").Entry} Entry */

const [TAIL, WHOLE] = [14, 18]; // letters of a name

/**
 * How a thumbnail looks beside what it shows.
 * @typedef {object} Look
 * @property {import("./types.js").Mode} mode
 * @property {number} index
 * @property {number} count of images on the wall
 * @property {string} url "" until the thumbnail has arrived
 * @property {boolean} unreadable
 * @property {ImageData | null} heat
 * @property {boolean} focused
 * @property {boolean} selected
 */

/** One thumbnail. Its DOM is touched only where something changed. */
export class Tile {
  /** @param {string} domId */
  constructor(domId) {
    this.image = h("img", { alt: "", draggable: "false", decoding: "async" });
    this.layer = h("div", { class: "ra-layer" });
    this.picture = h("div", { class: "ra-picture" }, this.image, this.layer);
    this.note = h("div", { class: "ra-note" });
    this.toggle = h("span", { class: "ra-toggle", "aria-hidden": "true" });
    this.badges = h("div", { class: "ra-badges", "aria-hidden": "true" });
    this.head = h("span", { class: "ra-head" });
    this.tail = h("span", { class: "ra-tail" });
    this.score = h("span", { class: "ra-score" });
    this.bar = h("i");
    this.meter = h("span", { class: "ra-meter" }, this.bar);
    this.frame = h("div", { class: "ra-frame" }, this.picture, this.note, this.badges, this.toggle);
    this.name = h("div", { class: "ra-name" }, this.head, this.tail);
    this.node = h(
      "div",
      { class: "ra-tile", role: "option", id: domId, "aria-selected": "false" },
      this.frame,
      h("div", { class: "ra-caption" }, this.name, h("div", { class: "ra-numbers" }, this.score, this.meter)),
    );
    this.side = 0;
    this.url = "";
    this.signature = "";
    /** @type {ImageData | null | undefined} */ this.heat = undefined;
    this.image.addEventListener("load", () => this.#fit());
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} side
   */
  place(x, y, side) {
    this.node.style.transform = `translate(${x}px, ${y}px)`;
    if (side === this.side) return;
    this.side = side;
    this.node.style.width = `${side}px`;
    this.frame.style.height = `${side}px`;
    this.#fit();
  }

  /**
   * @param {Entry} entry
   * @param {Look} look
   */
  show(entry, look) {
    if (look.url !== this.url) {
      this.url = look.url;
      if (look.url) this.image.src = look.url;
      else this.image.removeAttribute("src");
    }
    const signature = JSON.stringify([entry, { ...look, url: look.url !== "", heat: null }]);
    if (signature === this.signature && look.heat === this.heat) return;
    this.signature = signature;
    this.heat = look.heat;
    this.#showState(entry, look);
    this.#showCaption(entry, look);
    const { drop, keep } = WORDS[look.mode];
    this.note.textContent = look.unreadable ? "Cannot be read" : "";
    this.toggle.replaceChildren(icon(entry.kept ? ICONS.close : ICONS.check));
    this.toggle.title = `${entry.kept ? drop : keep} (X)`;
    this.badges.replaceChildren(...badges(entry, look.mode).map(([kind, text]) => h("span", { class: `ra-badge ${kind}` }, text)));
    if (look.unreadable) this.layer.replaceChildren();
    else overlay(this.layer, entry, look.heat, look.mode === "prune");
  }

  /**
   * @param {Entry} entry
   * @param {Look} look
   */
  #showState(entry, look) {
    const { node } = this;
    node.dataset.id = entry.id;
    node.classList.toggle("ra-focused", look.focused);
    node.classList.toggle("ra-selected", look.selected);
    node.classList.toggle("ra-dropped", !entry.kept);
    node.classList.toggle("ra-loading", !look.url && !look.unreadable);
    node.setAttribute("aria-selected", String(look.selected || look.focused));
    node.setAttribute("aria-setsize", String(look.count));
    node.setAttribute("aria-posinset", String(look.index + 1));
    node.setAttribute("aria-label", describe(entry, look.mode));
  }

  /**
   * @param {Entry} entry
   * @param {Look} look
   */
  #showCaption(entry, look) {
    this.name.title = entry.label;
    [this.head.textContent, this.tail.textContent] = splitLabel(entry.label, TAIL, WHOLE);
    this.score.textContent = Number.isNaN(entry.score) ? "" : entry.score.toFixed(2);
    const known = look.mode === "prune" && !Number.isNaN(entry.support);
    this.meter.hidden = !known;
    this.meter.title = known ? `Support ${entry.support.toFixed(3)}: how well the other images agree with this seed` : "";
    this.bar.style.width = `${Math.min(1, Math.max(0, entry.support || 0)) * 100}%`;
  }

  #fit() {
    const { naturalWidth, naturalHeight } = this.image;
    if (!naturalWidth) return;
    const size = fitInto(naturalWidth, naturalHeight, this.side, this.side);
    this.picture.style.width = `${size.width}px`;
    this.picture.style.height = `${size.height}px`;
  }
}
