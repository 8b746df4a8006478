/** Opens an earlier job on the stage, with the pictures that it was made from. */

import { jobPath, picture } from "./api.js";
import { complain } from "./dom.js";
import { MaskLayer } from "./mask-layer.js";
import { painting } from "./paintings.js";
import { adopt } from "./recipe-text.js";
import { fromJob, fromShipped, loaded } from "./sources.js";
import { agree, state } from "./state.js";
import { follow, takeUp } from "./run.js";

/** @typedef {import("./types.js").Job} Job */

/** @param {Job} job @param {number} index */
async function paintingOf(job, index) {
  const { name, style_name: shipped } = job.paintings?.[index] ?? { name: `Painting ${index + 1}` };
  const style = state.styles.find((each) => each.name === shipped);
  const found = painting(style ? await fromShipped(style) : await fromJob(job.id, `style/${index}`, name));
  const weights = job.recipe.style?.weights ?? []; // a damaged job has no recipe
  if (weights.length) found.weight = weights[index] / Math.max(...weights);
  if (index < job.masks) {
    const image = await loaded(await picture(`${jobPath(job.id)}/masks/${index}`));
    if (image) found.mask = MaskLayer.from(image, image.naturalWidth, image.naturalHeight);
  }
  return found;
}

/** @param {Job} job */
async function photoOf(job) {
  const photo = await fromJob(job.id, "photo", job.photo?.name ?? "photo");
  if (!job.clip) return photo;
  return { name: photo.name, url: photo.url, isClip: true, ref: { job: job.id, what: "clip" } };
}

/**
 * @param {Job} job
 * @param {any} [settings]  Of the full picture that follows a draft.
 */
export async function openJob(job, settings) {
  const photo = await photoOf(job);
  const paintings = await Promise.all(
    Array.from({ length: job.styles }, (_, index) => paintingOf(job, index)),
  );
  adopt(job.recipe, job.id);
  if (job.clip) state.settings.stability = job.clip.stability;
  Object.assign(state, { photo, paintings });
  Object.assign(state.settings, settings);
  agree();
  (settings ? takeUp : follow)(job).catch(complain);
}
