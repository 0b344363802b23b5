/**
 * Stepper: the top of the Annotator. Which archive, which concept, which of the steps, and what went wrong.
 *
 *   browser -> kernel   step {index} · concept {index} · add · dismiss
 */

import { Stepper } from "./stepper/widget.js";

/** @type {import("@anywidget/types").Render<import("./stepper/types.js").Traits>} */
function render({ model, el }) {
  const stepper = new Stepper(model);
  el.append(stepper.root);
  stepper.start();
  return () => stepper.dispose();
}

export default { render };
