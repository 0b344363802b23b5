/** The list of keys that "?" opens. */

import { button, h } from "./dom.js";
import { ICONS } from "./icons.js";

/** @typedef {[keys: string, meaning: string, command?: string]} Line with a command, it shows where that can be given */

export class Legend {
  /**
   * @param {Line[]} lines
   * @param {() => void} close
   */
  constructor(lines, close) {
    /** @type {{command: string, nodes: HTMLElement[]}[]} */
    this.lines = lines.map(([keys, meaning, command = ""]) => ({ command, nodes: [h("dt", {}, keys), h("dd", {}, meaning)] }));
    const top = h("div", { class: "ra-legend-top" }, h("strong", {}, "Keys"), button("Close", close, { icon: ICONS.close, key: "Esc" }));
    const list = h("dl", {}, ...this.lines.flatMap((line) => line.nodes));
    this.node = h("div", { class: "ra-legend", role: "dialog", "aria-label": "Keys", tabindex: "-1", hidden: "" }, top, list);
  }

  get open() {
    return !this.node.hidden;
  }

  /**
   * @param {boolean} open
   * @param {HTMLElement} behind takes the focus when it closes
   * @param {string[]} [idle] commands that cannot be given now
   */
  toggle(open, behind, idle = []) {
    for (const { command, nodes } of this.lines) for (const node of nodes) node.hidden = idle.includes(command);
    this.node.hidden = !open;
    (open ? this.node : behind).focus();
  }
}
