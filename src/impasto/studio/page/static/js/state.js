/** The state of the page, and its listeners. */

/** @typedef {import("./types.js").Painting} Painting */

export const state = {
  /** Largest size of a request in bytes. */ limit: Infinity,
  /** @type {import("./types.js").Source | null} */ photo: null,
  /** @type {Painting[]} */ paintings: [],
  /** @type {import("./types.js").Settings} */
  settings: {
    ...{ recipe: "standard", strength: 1, scale: 1, colors: "style", size: 512, iterations: null },
    ...{ stability: 0.8, init: null },
  },
  /** @type {import("./types.js").Job | null} */ job: null,
  /** @type {{name: string, description: string, recipe: any}[]} */ recipes: [],
  /** @type {{name: string, title: string, url: string, credit: string}[]} */ styles: [],
};

/**
 * @typedef {"inputs" | "edited" | "job"} Topic  Photo, paintings or settings have changed; a person
 *   has changed them; the job on the stage has changed.
 */

/** @type {Record<string, (() => void)[]>} */
const listeners = {};

/**
 * @param {Topic} topic
 * @param {() => void} listener
 */
export function on(topic, listener) {
  (listeners[topic] ??= []).push(listener);
}

/** @param {Topic} topic */
export function emit(topic) {
  for (const listener of listeners[topic] ?? []) listener();
}

/** Whether a person has changed the inputs since the picture was started. */
export let stale = false;

/** @param {Partial<import("./types.js").Settings>} patch */
export function set(patch) {
  Object.assign(state.settings, patch);
  edited();
}

/** A person has changed the inputs, so the picture is out of date. */
export function edited() {
  disagree();
  emit("edited");
}

/** Marks the picture as out of date. */
export function disagree() {
  stale = true;
  emit("inputs");
}

/** Marks the picture as up to date. */
export function agree() {
  stale = false;
  emit("inputs");
}
