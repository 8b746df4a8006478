/** What the page knows, and who wants to hear of it. */

/** @typedef {import("./types.js").Painting} Painting */

export const state = {
  /** Bytes that a request may have. */ limit: Infinity,
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
 * @typedef {"inputs" | "edited" | "job"} Topic  Photo, paintings or settings are others; a person
 *   has changed them; the job on the stage is another, or in another state.
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

/** Whether something the picture is made of was changed by hand since it was begun. */
export let stale = false;

/** @param {Partial<import("./types.js").Settings>} patch */
export function set(patch) {
  Object.assign(state.settings, patch);
  edited();
}

/** A person changed something: the picture no longer shows it. */
export function edited() {
  disagree();
  emit("edited");
}

/** The picture does not show what is in the panel. */
export function disagree() {
  stale = true;
  emit("inputs");
}

/** What is on the stage and what is in the panel agree. */
export function agree() {
  stale = false;
  emit("inputs");
}
