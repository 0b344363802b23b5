/** What travels between browser and kernel: custom messages with binary buffers, and synchronised traits. */

/**
 * @template {Record<string, any>} T
 * @typedef {import("@anywidget/types").AnyModel<T>} Model
 */

/**
 * Calls the handler that a message's type names, until the widget's view ends.
 * @template {{type: string}} M messages of the kernel; each has a handler
 * @param {import("./dom.js").Lifetime} lifetime
 * @param {Model<any>} model
 * @param {{[T in M["type"]]: (message: Extract<M, {type: T}>, buffers: DataView[]) => void}} handlers
 */
export function receive(lifetime, model, handlers) {
  const onMessage = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => {
    const handler = /** @type {Record<string, (message: any, buffers: DataView[]) => void>} */ (handlers)[message.type];
    if (handler) handler(message, buffers);
    else console.warn(`reco-assist: the kernel sent "${message.type}", which this page does not know; reload it.`);
  };
  model.on("msg:custom", onMessage);
  lifetime.add(() => model.off("msg:custom", onMessage));
}

/**
 * Calls a trait's handler whenever it changes, until the widget's view ends.
 * @template {Record<string, any>} T
 * @param {import("./dom.js").Lifetime} lifetime
 * @param {Model<T>} model
 * @param {{[K in keyof T]: () => void}} handlers of every trait
 */
export function watch(lifetime, model, handlers) {
  for (const [name, handler] of Object.entries(handlers)) {
    const event = /** @type {any} */ (`change:${name}`);
    model.on(event, handler);
    lifetime.add(() => model.off(event, handler));
  }
}

/**
 * @template {Record<string, any>} T
 * @template {keyof T & string} K
 * @param {Model<T>} model
 * @param {K} name
 * @param {T[K]} value
 */
export function save(model, name, value) {
  model.set(name, value);
  model.save_changes();
}

/** @param {DataView | ArrayBuffer} buffer */
export function bytesOf(buffer) {
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer)
    : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/**
 * A copy: a blob of a view of a larger message would otherwise take all of it.
 * @param {DataView | ArrayBuffer} buffer
 */
export function blobOf(buffer) {
  return new Blob([bytesOf(buffer).slice()]);
}

/** @param {DataView} buffer zlib stream */
export async function inflate(buffer) {
  const stream = blobOf(buffer).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
