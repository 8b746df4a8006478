/** The job on the stage: a draft, then the full picture; following, stopping and continuing it. */

import * as api from "./api.js";
import { announce, complain, guarded, notify } from "./dom.js";
import { forgetReferences, jobForm, ONE_PASS, remember } from "./request.js";
import { agree, disagree, emit, on, state } from "./state.js";

/** @typedef {import("./types.js").Job} Job */
/** @typedef {"draft" | "preview" | "whole"} Kind  A photo starts with a draft, a clip with a preview. */
/** @typedef {{photo: any, paintings: import("./types.js").Painting[], settings: any, title?: string}} Inputs */

const PAUSE = 450; // ms without a change before the next picture starts
const DRAFT_SIDE = 512; // pixels
const LEFT = "draft"; // key in the tab's storage: the draft that a reload shows again
const BEGUN = "begun"; // key in the tab's storage: the job that this tab started last
const DRAFTED = ["standard", "best"]; // recipes whose look the recipe "draft" resembles

let follower = new AbortController();
let waiting = 0;
let turn = 0;

/** @type {((event: {type: string, data: any}) => void)[]} */
const watchers = [];

/** @param {(event: {type: string, data: any}) => void} watcher  Of steps and previews. */
export const watch = (watcher) => void watchers.push(watcher);

export const isRunning = () => Boolean(state.job) && !api.FINAL.has(state.job.state);
export const isReady = () => Boolean(state.photo && state.paintings.length);

/** @returns {Inputs} The present ones. */
const inputsNow = () => ({
  photo: state.photo,
  paintings: [...state.paintings],
  settings: { ...state.settings },
});

/** Deletes a job that is no longer needed. @param {string} id */
export const drop = (id) => void api.forgetJob(id).catch(complain);

/** Deletes an unfinished job of this tab; jobs of others are only watched here. @param {Job | null} job */
function giveUp(job) {
  const isOurs = job?.id === sessionStorage.getItem(BEGUN);
  if (isOurs && (job.draft || !api.FINAL.has(job.state))) drop(job.id);
}

/**
 * Sends a job. It sends the files again if the server has lost them, and retries while the queue is full.
 *
 * @param {Inputs} inputs
 * @param {Kind} kind
 * @param {() => boolean} wanted  Whether the job is still needed.
 * @returns {Promise<Job>}
 */
export async function send(inputs, kind, wanted) {
  for (;;) {
    try {
      return await api.createJob(await jobForm(inputs, kind));
    } catch (error) {
      if (!(error instanceof api.Problem)) throw error;
      const isLost = error.code === "not_found" || error.code === "no_result";
      if (isLost && forgetReferences(inputs)) continue;
      if (error.status !== 429 || !wanted()) throw error;
      const seconds = error.retryAfter || 5;
      notify(`The studio is busy. Retrying in ${seconds} s.`, { seconds });
      await new Promise((done) => setTimeout(done, 1000 * seconds));
    }
  }
}

/**
 * Puts a new job on the stage, in place of the present one.
 *
 * @param {Inputs} inputs
 * @param {Kind} kind
 * @param {number} mine  The turn it belongs to.
 * @returns {Promise<boolean>} Whether it is done and still on the stage.
 */
async function put(inputs, kind, mine) {
  const settings = kind === "draft" ? draftOf(inputs) : inputs.settings;
  const job = await send({ ...inputs, settings }, kind, () => mine === turn);
  if (mine !== turn) return (drop(job.id), false);
  const before = state.job;
  if (kind === "draft") keepForReload(job.id, inputs.settings);
  else sessionStorage.removeItem(LEFT);
  remember(inputs, job.id);
  const ended = follow(job);
  giveUp(before);
  sessionStorage.setItem(BEGUN, job.id);
  await ended;
  return mine === turn && state.job.state === "done";
}

/** @param {Inputs} inputs */
const draftOf = ({ settings, photo }) => ({
  ...settings,
  recipe: "draft",
  size: Math.min(DRAFT_SIDE, settings.size ?? photo.side ?? DRAFT_SIDE),
  ...ONE_PASS,
});

/** @param {string} job @param {any} settings  Of the full picture. */
const keepForReload = (job, settings) => sessionStorage.setItem(LEFT, JSON.stringify({ job, settings }));

/** @returns {{job: string, settings: any} | null} The draft that was on the stage before a reload. */
export const leftByReload = () => JSON.parse(sessionStorage.getItem(LEFT) ?? "null");

/** Follows a draft to its end, and then paints the full picture. @param {Job} draft */
export async function takeUp(draft) {
  const mine = ++turn;
  await follow(draft);
  if (mine === turn && state.job.state === "done") await put(inputsNow(), "whole", mine);
}

/** Paints what the panel describes, in place of a job that still runs. */
export async function paint() {
  clearTimeout(waiting);
  if (!isReady()) return;
  const mine = ++turn;
  const inputs = inputsNow();
  agree();
  announce("Painting started.");
  try {
    const { recipe } = inputs.settings;
    if (inputs.photo.isClip) return void (await put(inputs, "preview", mine));
    if (DRAFTED.includes(recipe.name ?? recipe) && !(await put(inputs, "draft", mine))) return;
    await put(inputs, "whole", mine);
  } catch (error) {
    if (mine === turn) disagree();
    throw error;
  }
}

/** Sets what a reload shows, unless the gallery is open. @param {string} hash */
function say(hash) {
  if (location.hash !== "#gallery") history.replaceState(null, "", hash);
}

/**
 * Puts a job on the stage and follows it.
 *
 * @param {Job} job
 */
export async function follow(job) {
  follower.abort();
  follower = new AbortController();
  state.job = job;
  if (!job.draft) say(`#job=${job.id}`);
  emit("job");
  if (api.FINAL.has(job.state)) return;
  try {
    await listen(job.id, follower.signal);
  } catch (error) {
    complain(error);
  }
}

/**
 * @param {string} id
 * @param {AbortSignal} signal
 */
async function listen(id, signal) {
  for await (const event of api.events(id, signal)) {
    if (signal.aborted) return;
    if (event.type === "job") {
      state.job = { ...event.data, progress: event.data.progress ?? state.job.progress };
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
  if (job.state === "done") announce(job.draft ? "The draft is finished." : "The picture is finished.");
  if (job.state === "stopped") announce("Stopped. You can keep this picture or continue.");
  if (job.state === "failed") announce(`Failed: ${job.problem?.detail ?? job.problem?.title ?? ""}`);
}

export const stop = guarded(async () => void (await api.stopJob(state.job.id)));

/** Continues a stopped job; after a draft, it paints the full picture. */
export const goOn = guarded(async () => {
  if (state.job.draft) return void (await put(inputsNow(), "whole", ++turn));
  await api.resumeJob(state.job.id);
  await follow(await api.readJob(state.job.id));
});

/** Paints the whole clip whose preview is on the stage. */
export const paintWhole = guarded(async () => {
  agree();
  await put(inputsNow(), "whole", ++turn);
});

/** Clears the stage for another photo. */
export function leave() {
  clearTimeout(waiting);
  turn++;
  follower.abort();
  giveUp(state.job);
  sessionStorage.removeItem(LEFT);
  state.job = null;
  say("#studio");
  emit("job");
}

/** @param {() => boolean} wanted  Whether changes start a new picture. */
export function followChanges(wanted) {
  on("edited", () => {
    if (!isReady() || !wanted() || state.photo.isClip) return;
    clearTimeout(waiting);
    waiting = setTimeout(guarded(paint), PAUSE);
  });
}
