/** The picture on the stage: begun, followed, stopped, gone on with. */

import * as api from "./api.js";
import { announce, complain, guarded, notify } from "./dom.js";
import { forgetReferences, jobForm, remember } from "./request.js";
import { agree, emit, on, stale, state } from "./state.js";

/** @typedef {import("./types.js").Job} Job */

const PAUSE = 450; // ms without a change before the next picture is begun

let follower = new AbortController();
let waiting = 0;
let begun = 0;

/** @type {((event: {type: string, data: any}) => void)[]} */
const watchers = [];

/** @param {(event: {type: string, data: any}) => void} watcher  Of steps and previews. */
export const watch = (watcher) => void watchers.push(watcher);

export const isRunning = () => Boolean(state.job) && !api.FINAL.has(state.job.state);
export const isReady = () => Boolean(state.photo && state.paintings.length);

/**
 * One request, and a second one with the files themselves where the server has lost them.
 *
 * @param {any} inputs
 * @param {boolean} draft
 * @returns {Promise<Job>}
 */
export async function send(inputs, draft) {
  try {
    return await api.createJob(await jobForm(inputs, draft));
  } catch (error) {
    const lost = error instanceof api.Problem && [400, 404, 410, 422].includes(error.status);
    if (!lost || !forgetReferences(inputs)) throw error;
    return api.createJob(await jobForm(inputs, draft));
  }
}

/** Begin a picture of what is in the panel; one that is still growing is given up for it. */
export async function paint() {
  clearTimeout(waiting);
  if (!isReady()) return;
  const mine = ++begun;
  const given = isRunning() ? state.job : null;
  const inputs = { photo: state.photo, paintings: [...state.paintings], settings: { ...state.settings } };
  let job;
  try {
    job = await send(inputs, true);
  } catch (error) {
    if (!(error instanceof api.Problem) || error.status !== 429) throw error;
    const seconds = error.retryAfter || 5;
    notify(`The studio is busy. It tries again in ${seconds} s.`, { seconds });
    waiting = setTimeout(guarded(paint), 1000 * seconds);
    return;
  }
  remember(inputs, job.id);
  if (given) api.forgetJob(given.id).catch(complain);
  if (mine !== begun) return void api.forgetJob(job.id).catch(complain);
  if (!state.photo || state.photo !== inputs.photo) return;
  agree();
  announce("Painting has begun.");
  follow(job);
}

/** Begin soon, once the sliders rest. */
export function paintSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(guarded(paint), PAUSE);
}

/** @param {Job} job  Put on the stage, and watched while it grows. */
export function follow(job) {
  follower.abort();
  follower = new AbortController();
  state.job = job;
  history.replaceState(null, "", `#job=${job.id}`);
  emit("job");
  if (!api.FINAL.has(job.state)) listen(job.id, follower.signal).catch(complain);
}

/**
 * @param {string} id
 * @param {AbortSignal} signal
 */
async function listen(id, signal) {
  for await (const event of api.events(id, signal)) {
    if (signal.aborted || state.job?.id !== id) return;
    if (event.type === "job") {
      state.job = { ...state.job, ...event.data };
      tell(state.job);
      emit("job");
    } else {
      if (event.type === "step") state.job.progress = event.data;
      for (const watcher of watchers) watcher(event);
    }
  }
}

/** @param {Job} job */
function tell(job) {
  if (job.state === "done") announce("The picture is finished.");
  if (job.state === "stopped") announce("Stopped. The picture so far is kept.");
  if (job.state === "failed") announce(`It failed: ${job.problem?.detail ?? job.problem?.title ?? ""}`);
}

export const stop = guarded(async () => void (await api.stopJob(state.job.id)));

export const goOn = guarded(async () => {
  await api.resumeJob(state.job.id);
  follow(await api.readJob(state.job.id));
});

/** Off the stage: the next picture is of another photo. */
export function leave() {
  clearTimeout(waiting);
  begun++;
  follower.abort();
  if (isRunning()) api.forgetJob(state.job.id).catch(complain);
  state.job = null;
  history.replaceState(null, "", "#studio");
  emit("job");
}

/** @param {() => boolean} wanted  Whether changes are followed. */
export function followChanges(wanted) {
  on("inputs", () => {
    if (stale && isReady() && wanted()) paintSoon();
  });
}
