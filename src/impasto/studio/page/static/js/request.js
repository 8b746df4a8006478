/** Builds the body of POST /v1/jobs. */

import { named } from "./sources.js";
import { state } from "./state.js";
import { titleOf } from "./titles.js";

/** @typedef {import("./types.js").Painting} Painting */
/** @typedef {import("./types.js").Settings} Settings */

/** Settings without what networks do not support. */
export const ONE_PASS = { iterations: null, init: null };

/**
 * Returns the paintings in a job's order: those with a mask first, then one more for the rest.
 *
 * @param {Painting[]} paintings
 * @throws {Error} Some have a mask, and two or more have none.
 */
export function ordered(paintings) {
  const placed = paintings.filter(({ mask }) => mask && !mask.isEmpty);
  const rest = paintings.filter(({ mask }) => !mask || mask.isEmpty);
  if (placed.length && rest.length > 1) {
    const names = rest.map(({ source }) => source.name).join(" or ");
    throw new Error(`Only one painting can be without a mask. Paint a mask for ${names}, or remove one.`);
  }
  return { placed, all: [...placed, ...rest] };
}

/**
 * Returns the fields of the recipe that the panel sets.
 *
 * @param {Settings} settings
 * @param {Painting[]} all  In the job's order.
 * @param {boolean} blended  Whether shares count.
 */
export function changes(settings, all, blended) {
  const strengths = settings.recipe.style?.strengths ?? [];
  const equal = all.every(({ weight }) => weight === all[0].weight);
  return {
    strength: settings.strength,
    "style.scale": settings.scale,
    "style.weights": blended && !equal ? all.map(({ weight }) => weight) : [],
    "style.strengths": strengths.length === all.length ? strengths : [],
    colors: settings.colors,
    size: settings.size,
    "schedule.total": settings.iterations,
  };
}

/**
 * @param {{photo: any, paintings: Painting[], settings: Settings, title?: string}} inputs
 * @param {import("./run.js").Kind} kind
 * @returns {Promise<FormData>}
 */
export async function jobForm({ photo, paintings, settings, title }, kind) {
  const { placed, all } = ordered(paintings);
  /** @type {[Blob, string][]} */
  const photos = [];
  /** @type {[Blob, string][]} */
  const styles = [];
  const part = photo.isClip ? "clip" : "photo";
  const photoName = named(photo, photos);
  const job = {
    title: title ?? titleOf(photo.name, all.map(({ source }) => source.name)),
    recipe: settings.recipe,
    set: changes(settings, all, all.length > 1 && !placed.length),
    styles: all.map(({ source }) => named(source, styles)),
    draft: kind === "draft",
    ...(photo.isClip && { preview: kind === "preview", stability: settings.stability }),
    ...(settings.init && { init: settings.init }),
    ...(!photos.length && { [part]: photoName }),
  };
  const form = new FormData();
  form.append("job", JSON.stringify(job));
  const bytes = [...photos, ...styles].reduce((sum, [{ size }]) => sum + size, 0);
  if (bytes > state.limit) {
    const [has, may] = [bytes, state.limit].map((each) => `${Math.round(each / 2 ** 20)} MiB`);
    throw new Error(`The pictures are too large: ${has}; the limit is ${may}.`);
  }
  for (const [file, name] of photos) form.append(part, file, name);
  for (const [file, name] of styles) form.append("style", file, name);
  for (const [place, { mask }] of placed.entries())
    form.append("mask", await mask.toBlob(), `mask-${place + 1}.png`);
  return form;
}

/**
 * Notes that the server has these pictures: later jobs refer to them instead of sending them again.
 *
 * @param {{photo: any, paintings: Painting[]}} inputs
 * @param {string} job
 */
export function remember({ photo, paintings }, job) {
  photo.ref = { job, what: photo.isClip ? "clip" : "photo" };
  for (const [place, { source }] of ordered(paintings).all.entries()) {
    if (!source.style && !source.words) source.ref = { job, what: `style/${place}` };
  }
}

/**
 * Forgets references to the server's copies where the page has the files itself.
 *
 * @returns {boolean} Whether it is worth trying again.
 */
export function forgetReferences({ photo, paintings }) {
  const sources = [photo, ...paintings.map(({ source }) => source)].filter(({ ref, file }) => ref && file);
  for (const source of sources) delete source.ref;
  return sources.length > 0;
}
