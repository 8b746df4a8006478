/** The picture on the stage: a draft at once, then the picture itself; followed, stopped, gone on with. */

import * as api from "./api.js";
import { announce, complain, guarded, notify } from "./dom.js";
import { forgetReferences, jobForm, ONE_PASS, remember } from "./request.js";
import { agree, disagree, emit, on, state } from "./state.js";

/** @typedef {import("./types.js").Job} Job */
/** @typedef {"draft" | "preview" | "whole"} Kind  Of a photo a draft first, of a clip a preview. */
/** @typedef {{photo: any, paintings: import("./types.js").Painting[], settings: any, title?: string}} Inputs */

const PAUSE = 450; // ms without a change before the next picture is begun
const DRAFT_SIDE = 512; // pixels, a network's pass
const LEFT = "draft"; // in the tab's own storage: the draft that a reload finds again
const BEGUN = "begun"; // there too: the job that this tab began last
const DRAFTED = ["standard", "best"]; // which look as the recipe "draft" does, others do not

let follower = new AbortController();
let waiting = 0;
let turn = 0;

/** @type {((event: {type: string, data: any}) => void)[]} */
const watchers = [];

/** @param {(event: {type: string, data: any}) => void} watcher  Of steps and previews. */
export const watch = (watcher) => void watchers.push(watcher);

export const isRunning = () => Boolean(state.job) && !api.FINAL.has(state.job.state);
export const isReady = () => Boolean(state.photo && state.paintings.length);

/** @returns {Inputs} As they are now. */
const inputsNow = () => ({
  photo: state.photo,
  paintings: [...state.paintings],
  settings: { ...state.settings },
});

/** @param {string} id  Not shown any more, and not missed. */
export const drop = (id) => void api.forgetJob(id).catch(complain);

/** @param {Job | null} job  Given up where it is unfinished and this tab's: another's is only watched here. */
function giveUp(job) {
  const isOurs = job?.id === sessionStorage.getItem(BEGUN);
  if (isOurs && (job.draft || !api.FINAL.has(job.state))) drop(job.id);
}

/**
 * One request; a second one with the files themselves where the server has lost them; and again
 * when it has room.
 *
 * @param {Inputs} inputs
 * @param {Kind} kind
 * @param {() => boolean} wanted  Still.
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
      notify(`The studio is busy. It tries again in ${seconds} s.`, { seconds });
      await new Promise((done) => setTimeout(done, 1000 * seconds));
    }
  }
}

/**
 * A job in place of the one on the stage.
 *
 * @param {Inputs} inputs
 * @param {Kind} kind
 * @param {number} mine  The turn it belongs to.
 * @returns {Promise<boolean>} whether it ended as it should, and is still the one on the stage.
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

/** @param {string} job @param {any} settings  Of the picture that the draft is of. */
const keepForReload = (job, settings) => sessionStorage.setItem(LEFT, JSON.stringify({ job, settings }));

/** @returns {{job: string, settings: any} | null} The draft that was on the stage before a reload. */
export const leftByReload = () => JSON.parse(sessionStorage.getItem(LEFT) ?? "null");

/** @param {Job} draft  To be watched to its end; the picture itself follows. */
export async function takeUp(draft) {
  const mine = ++turn;
  await follow(draft);
  if (mine === turn && state.job.state === "done") await put(inputsNow(), "whole", mine);
}

/** Begin a picture of what is in the panel; one that is still growing is given up for it. */
export async function paint() {
  clearTimeout(waiting);
  if (!isReady()) return;
  const mine = ++turn;
  const inputs = inputsNow();
  agree();
  announce("Painting has begun.");
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

/** @param {string} hash  What a reload is to show, unless it is the gallery. */
function say(hash) {
  if (location.hash !== "#gallery") history.replaceState(null, "", hash);
}

/**
 * Put a job on the stage, and watch it while it grows.
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
  if (job.state === "done") announce(job.draft ? "The draft is there." : "The picture is finished.");
  if (job.state === "stopped") announce("Stopped. The picture so far is kept.");
  if (job.state === "failed") announce(`It failed: ${job.problem?.detail ?? job.problem?.title ?? ""}`);
}

export const stop = guarded(async () => void (await api.stopJob(state.job.id)));

/** From where it was stopped; after a draft, with the picture itself. */
export const goOn = guarded(async () => {
  if (state.job.draft) return void (await put(inputsNow(), "whole", ++turn));
  await api.resumeJob(state.job.id);
  await follow(await api.readJob(state.job.id));
});

/** All of the clip whose preview is on the stage. */
export const paintWhole = guarded(async () => {
  agree();
  await put(inputsNow(), "whole", ++turn);
});

/** Off the stage: the next picture is of another photo. */
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

/** @param {() => boolean} wanted  Whether changes are followed. */
export function followChanges(wanted) {
  on("edited", () => {
    if (!isReady() || !wanted() || state.photo.isClip) return;
    clearTimeout(waiting);
    waiting = setTimeout(guarded(paint), PAUSE);
  });
}
