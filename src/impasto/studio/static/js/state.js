/** What the page knows, and who wants to hear of it. */

/** @typedef {import("./types.js").Painting} Painting */

export const state = {
  /** @type {import("./types.js").Source | null} */ photo: null,
  /** @type {Painting[]} */ paintings: [],
  /** @type {import("./types.js").Settings} */
  settings: { recipe: "standard", strength: 1, scale: 1, colors: "style", size: 512 },
  /** @type {import("./types.js").Job | null} */ job: null,
  /** @type {{name: string, description: string, recipe: any}[]} */ recipes: [],
  /** @type {{name: string, title: string, url: string, credit: string}[]} */ styles: [],
};

/** @type {Record<string, (() => void)[]>} */
const listeners = {};

/**
 * @param {"inputs" | "job"} topic  Photo, paintings, settings; or the job on the stage.
 * @param {() => void} listener
 */
export function on(topic, listener) {
  (listeners[topic] ??= []).push(listener);
}

/** @param {"inputs" | "job"} topic */
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
  stale = true;
  emit("inputs");
}

/** What is on the stage and what is in the panel agree. */
export function agree() {
  stale = false;
  emit("inputs");
}
