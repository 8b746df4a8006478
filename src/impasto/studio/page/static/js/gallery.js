/** The gallery: all pictures, the newest first. The server stores them. */

import { FINAL, forgetJob, listJobs, picture, readJob } from "./api.js";
import { openComparison } from "./compare.js";
import { byId, complain, guarded, make, notify } from "./dom.js";
import { openJob } from "./history.js";
import { agree, state } from "./state.js";
import { leave, leftByReload } from "./run.js";

/** @typedef {import("./types.js").Job} Job */

/** @type {Map<string, Job>} */
const picked = new Map();
/** @type {string | null} */
let next = null;

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function renderPicked() {
  byId("compare-two").disabled = picked.size !== 2;
  const hints = ["Select two pictures to compare them.", "Select one more picture.", ""];
  byId("gallery-hint").textContent = hints[picked.size] ?? "Select only two pictures to compare them.";
}

/** Makes the thumbnail that opens a job. @param {Job} job */
function opener(job) {
  const image = make("img", { alt: "", loading: "lazy" });
  const small = job.links.thumbnail ?? job.links.preview;
  image.hidden = !small;
  if (small) picture(small).then((url) => (image.src = url), complain);
  const button = make(
    "button",
    { type: "button", className: "open", "aria-label": `Open ${job.title}` },
    image,
  );
  const open = guarded(async () => {
    await openJob(job);
    location.hash = "#studio";
    byId("studio").hidden = false;
    byId("stage").focus();
  });
  button.addEventListener("click", open);
  return button;
}

/** Makes the checkbox for comparing. @param {Job} job */
function ticker(job) {
  const tick = make("input", {
    type: "checkbox",
    checked: picked.has(job.id),
    disabled: !job.links.result,
    "aria-label": `Compare ${job.title}`,
  });
  tick.addEventListener("change", () => {
    if (tick.checked) picked.set(job.id, job);
    else picked.delete(job.id);
    renderPicked();
  });
  return make("label", { className: "inline", hidden: Boolean(job.clip) }, tick, "Compare");
}

/** @param {Job} job */
function card(job) {
  const name = `Remove ${job.title}`;
  const remove = make("button", { type: "button", className: "quiet", "aria-label": name }, "Remove");
  const kind = job.clip ? [job.clip.preview ? "preview of a clip" : "clip"] : [];
  const state = job.state === "done" ? kind : [...kind, job.state];
  const item = make(
    "li",
    { className: "card", dataset: { job: job.id, state: job.state } },
    opener(job),
    make("h2", {}, job.title),
    make("p", { className: "muted" }, [...state, WHEN.format(new Date(job.created))].join(" · ")),
    make("div", { className: "row" }, ticker(job), remove),
  );
  remove.addEventListener("click", () => askAndRemove(job, item));
  return item;
}

/** @param {Job} job @param {HTMLElement} item */
function askAndRemove(job, item) {
  notify(`Delete “${job.title}” permanently?`, {
    action: "Remove",
    ask: true,
    act: guarded(async () => {
      await forgetJob(job.id).catch((error) => {
        if (error.status !== 404) throw error;
      });
      if (state.job?.id === job.id) {
        leave();
        state.photo = null;
        agree();
      }
      picked.delete(job.id);
      renderPicked();
      const neighbor = item.nextElementSibling ?? item.previousElementSibling;
      item.remove();
      /** @type {HTMLElement | null} */ (neighbor?.querySelector(".open"))?.focus();
      byId("gallery-empty").hidden = byId("cards").children.length > 0;
    }),
  });
}

/** @param {boolean} afresh */
async function load(afresh) {
  const page = await listJobs(afresh ? null : next);
  next = page.next;
  if (afresh) byId("cards").replaceChildren();
  byId("cards").append(...page.jobs.filter(({ draft }) => !draft).map(card));
  byId("more").hidden = !next;
  byId("gallery-empty").hidden = byId("cards").children.length > 0;
}

export const showGallery = guarded(() => load(true));

/** Shows the running job again after the page was reloaded. */
export async function reopen() {
  const left = leftByReload();
  const draft = left && (await readJob(left.job).catch(() => null));
  if (draft) return openJob(draft, left.settings).catch(complain);
  const asked = /^#job=(.+)$/.exec(location.hash)?.[1];
  const { jobs } = await listJobs(null, 12);
  const running = jobs.find((each) => !each.draft && !FINAL.has(each.state));
  const job = asked ? await readJob(asked).catch(() => running) : running;
  if (job) await openJob(job).catch(complain);
}

export function startGallery() {
  byId("more").addEventListener(
    "click",
    guarded(() => load(false)),
  );
  byId("compare-two").addEventListener(
    "click",
    guarded(() => openComparison([...picked.values()])),
  );
}
