/**
 * StepRail: the top of the Annotator. Which archive, which concept, which of the steps, and what went wrong.
 *
 *   browser -> kernel   step {index} · concept {index} · add · dismiss
 */

import { Rail } from "./rail/widget.js";

/** @type {import("@anywidget/types").Render<import("./rail/types.js").Traits>} */
function render({ model, el }) {
  const rail = new Rail(model);
  el.append(rail.root);
  rail.start();
  return () => rail.dispose();
}

export default { render };
