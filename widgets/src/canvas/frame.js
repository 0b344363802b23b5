/** Unpacking what a frame carries: the image, and a map and strokes for each concept. */

import { blobOf, inflate } from "../shared/messages.js";

/**
 * @param {number} count of concepts
 * @param {DataView[]} buffers the encoded image, a deflated map per concept, deflated packed strokes per concept
 */
export async function unpackFrame(count, buffers) {
  const [bitmap, maps, edits] = await Promise.all([
    createImageBitmap(blobOf(buffers[0])).catch(() => null), // its masks can still be worked on
    Promise.all(buffers.slice(1, 1 + count).map(inflate)),
    Promise.all(buffers.slice(1 + count).map(inflate)),
  ]);
  return { bitmap, maps, edits };
}
