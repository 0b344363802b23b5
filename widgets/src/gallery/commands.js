/** What the gallery's keys, buttons and clicks do. */

import { commandFor, listenToKeys, take } from "../shared/keys.js";
import { save } from "../shared/messages.js";
import { plural } from "../shared/words.js";
import { moveFocus, revealing } from "./grid.js";
import { COMMANDS, IDLE } from "./keys.js";
import { WORDS } from "./words.js";

/** @typedef {import("./types.js").Entry} Entry */
/** @typedef {import("./types.js").Filter} Filter */
/** @typedef {import("./types.js").Tool} Tool */

export class Commands {
  #gallery;
  #counter = 0;

  /** @param {import("./widget.js").Gallery} gallery */
  constructor(gallery) {
    this.#gallery = gallery;
  }

  /** @param {import("../shared/dom.js").Lifetime} lifetime */
  start(lifetime) {
    const { root, wall } = this.#gallery.ui;
    listenToKeys(lifetime, root, (event) => this.#onKey(event));
    lifetime.listen(wall, "click", (event) => this.#onClick(event));
    lifetime.listen(wall, "dblclick", (event) => {
      if (this.#hit(event) >= 0 && !onToggle(event)) this.run("preview");
    });
  }

  /** @param {string} command */
  run(command) {
    const { mode, model, preview, state } = this.#gallery;
    const { entry, index, shown, targets } = state;
    if (IDLE[mode].includes(command)) return;
    if (command === "undo" || command === "redo") this.#gallery.send({ type: "command", name: command });
    else if (command === "legend") this.#toggleLegend(!this.#gallery.legend.open);
    else if (command === "close") this.#close();
    else if (command === "heat") save(model, "heat", !model.get("heat"));
    else if (command === "select-all") this.#select(shown.map((item) => item.id));
    else if (!entry) return;
    else if (command === "toggle") this.#decide(targets, !entry.kept);
    else if (command === "drop" || command === "keep") this.#decide(targets, command === "keep");
    else if (command === "drop-below") this.#decide(shown.slice(index + 1).map((item) => item.id), false);
    else if (command === "absent") this.#deny(targets);
    else if (command === "more" || command === "less") this.#feedback(entry, command === "more" ? 1 : -1);
    else if (command === "preview" && mode === "review") this.#gallery.send({ type: "open", id: entry.id });
    else if (command === "preview") this.#openPreview("");
    else if (command === "box" || command === "brush") this.#openPreview(preview.tool === command ? "" : command);
    else if (command === "use" && preview.drawer.use()) preview.setTool("");
  }

  /** @param {Filter} name */
  filter(name) {
    this.#gallery.state.setFilter(name);
    this.#gallery.ui.wall.scrollTop = 0;
    this.#gallery.update();
  }

  /**
   * @param {string} key that moves the focus
   * @param {boolean} [extend] the selection
   */
  step(key, extend = false) {
    const { grid, preview, state } = this.#gallery;
    const index = moveFocus(key, Math.max(0, state.index), preview.open ? { ...grid, columns: 1 } : grid);
    if (index >= 0) this.focusAt(index, extend && !preview.open);
    if (preview.open) this.#openPreview("");
  }

  /**
   * @param {number} index
   * @param {boolean} extend the selection up to there
   */
  focusAt(index, extend) {
    const { grid, state, ui } = this.#gallery;
    state.focusAt(index, extend);
    ui.wall.scrollTop = revealing(index, ui.wall.scrollTop, ui.wall.clientHeight, grid);
    this.#gallery.refresh();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const { drawer } = this.#gallery.preview;
    const command = commandFor(event, COMMANDS);
    const onControl = /** @type {HTMLElement} */ (event.target).closest("button, input") !== null;
    if (!onControl && drawer.onKey(event)) {
      take(event);
      return;
    }
    if (command === null) return;
    if (onControl && (event.key === " " || (["move", "preview"].includes(command) && event.key.length !== 1))) return;
    take(event);
    if (command === "move") this.step(event.key, event.shiftKey);
    else if (command === "preview" && drawer.tool !== "" && !onControl) this.run("use");
    else this.run(command);
  }

  /** @param {MouseEvent} event */
  #onClick(event) {
    const { state } = this.#gallery;
    const index = this.#hit(event);
    if (index < 0) return;
    const { id, kept } = state.shown[index];
    if (onToggle(event)) this.#decide(state.selected.has(id) ? [...state.selected] : [id], !kept);
    else if (event.ctrlKey || event.metaKey) {
      state.toggleSelected(id);
      this.#gallery.refresh();
    } else this.focusAt(index, event.shiftKey);
  }

  /**
   * Position of the image under the mouse, -1 for none.
   * @param {Event} event
   */
  #hit(event) {
    const tile = /** @type {HTMLElement | null} */ (/** @type {HTMLElement} */ (event.target).closest(".ra-tile"));
    return this.#gallery.state.indexOf(tile?.dataset.id ?? "");
  }

  // -- decisions

  /**
   * @param {string[]} ids
   * @param {boolean} kept
   */
  #decide(ids, kept) {
    const { mode, state, uid } = this.#gallery;
    this.#counter += 1;
    const token = `${uid}-${this.#counter}`;
    const changed = state.decide(ids, kept, mode === "review", token);
    if (changed.length === 0) return;
    this.#gallery.send({ type: "keep", ids: changed, kept, token });
    this.#gallery.say(`${plural(changed.length, "image")} ${kept ? WORDS[mode].kept : WORDS[mode].dropped}`);
    this.#gallery.update();
  }

  /**
   * Says of images in a review that nothing is there.
   * @param {string[]} ids
   */
  #deny(ids) {
    this.#gallery.send({ type: "absent", ids });
    this.#gallery.say(`${plural(ids.length, "image")} not here`);
  }

  /**
   * @param {Entry} entry
   * @param {number} sign
   */
  #feedback(entry, sign) {
    const next = entry.feedback === sign ? 0 : sign;
    this.#gallery.send({ type: "feedback", id: entry.id, sign: next });
    this.#gallery.say(next === 0 ? "Mark removed" : next > 0 ? "More like this" : "Less like this");
  }

  // -- legend, preview and selection

  /** @param {string[]} ids */
  #select(ids) {
    this.#gallery.state.selected = new Set(ids);
    this.#gallery.refresh();
  }

  /** @param {boolean} open */
  #toggleLegend(open) {
    const { legend, mode, preview, ui } = this.#gallery;
    legend.toggle(open, preview.open ? preview.pane : ui.wall, IDLE[mode]);
  }

  #close() {
    const { legend, preview } = this.#gallery;
    if (legend.open) this.#toggleLegend(false);
    else if (preview.tool !== "") preview.setTool("");
    else if (preview.open) this.#gallery.closePreview();
    else this.#select([]);
  }

  /** @param {Tool} tool */
  #openPreview(tool) {
    const { pictures, preview, state } = this.#gallery;
    const wasOpen = preview.open;
    const another = preview.show(state.focus, pictures.thumbs.get(state.focus) ?? "");
    if (another) this.#gallery.send({ type: "preview", id: state.focus });
    preview.setTool(tool);
    this.#gallery.fillPreview();
    preview.place();
    if (!wasOpen || tool !== "") preview.pane.focus();
    this.#gallery.schedule();
  }
}

/** @param {Event} event */
function onToggle(event) {
  return /** @type {HTMLElement} */ (event.target).closest(".ra-toggle") !== null;
}
