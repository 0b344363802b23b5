/** The controls of one concept: choose it, see how much it covers, move its threshold. */

import { h, slider, spring } from "../shared/dom.js";
import { coverage } from "./cells.js";

/** @typedef {import("./types.js").Layer} Layer */

const BINS = 64;

export class ConceptRow {
  /**
   * @param {Layer} layer
   * @param {number} index
   * @param {{choose: () => void, slide: (value: number) => void, rest: () => void}} actions
   */
  constructor(layer, index, actions) {
    const { concept } = layer;
    this.layer = layer;
    this.swatch = h("span", { class: "ra-swatch" });
    this.swatch.style.background = concept.colour;
    this.area = h("span", { class: "ra-soft" });
    this.pick = h(
      "button",
      { type: "button", class: "ra-pick", role: "radio", "aria-checked": "false", title: concept.name },
      this.swatch,
      h("span", { class: "ra-concept-name" }, concept.name),
      this.area,
      h("kbd", { "aria-hidden": "true" }, index < 9 ? String(index + 1) : ""),
    );
    this.pick.addEventListener("click", actions.choose);
    this.facts = h("span", { title: "Probability that the concept is in the image" });
    this.histogram = h("canvas", { class: "ra-histogram", "aria-hidden": "true" });
    this.slider = slider(`Threshold of ${concept.name}`, { min: 1, max: 255 });
    this.value = h("output");
    this.slider.addEventListener("input", () => actions.slide(Number(this.slider.value)));
    this.slider.addEventListener("change", actions.rest);
    this.body = h(
      "div",
      { class: "ra-concept-body" },
      h("div", { class: "ra-row ra-soft" }, h("span", {}, "Threshold"), this.value, spring(), this.facts),
      this.histogram,
      this.slider,
    );
    this.node = h("div", { class: "ra-concept" }, this.pick, this.body);
  }

  /** @param {boolean} active */
  show(active) {
    const { concept, threshold, histogram } = this.layer;
    this.node.classList.toggle("ra-absent", concept.absent);
    this.pick.setAttribute("aria-checked", String(active));
    this.body.hidden = !active;
    const percent = coverage(histogram, threshold) * 100;
    this.area.textContent = concept.absent ? "absent" : `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
    this.area.title = "Part of the image inside the mask";
    this.facts.textContent = concept.presence === null ? "" : `presence ${concept.presence.toFixed(2)}`;
    this.slider.value = String(threshold);
    this.value.textContent = (threshold / 255).toFixed(2);
    if (active) this.#drawHistogram();
  }

  #drawHistogram() {
    const { histogram, threshold, concept } = this.layer;
    const box = this.histogram.getBoundingClientRect();
    const ratio = window.devicePixelRatio;
    this.histogram.width = Math.max(1, Math.round(box.width * ratio));
    this.histogram.height = Math.max(1, Math.round(box.height * ratio));
    const context = this.histogram.getContext("2d");
    if (!context) return;
    const each = histogram.length / BINS;
    // Roots, because the few cells of a small object count as much as the many of the background.
    const bins = Array.from({ length: BINS }, (_, bin) =>
      Math.sqrt(histogram.slice(bin * each, bin * each + each).reduce((a, b) => a + b, 0)),
    );
    const highest = Math.max(...bins.slice(1), 1);
    const step = this.histogram.width / BINS;
    bins.forEach((value, bin) => {
      const height = Math.min(1, value / highest) * this.histogram.height;
      const inside = bin * each + each - 1 >= threshold;
      context.globalAlpha = inside ? 1 : 0.3;
      context.fillStyle = inside ? concept.colour : getComputedStyle(this.node).color;
      context.fillRect(bin * step, this.histogram.height - height, Math.max(1, step - ratio), height);
    });
  }
}
