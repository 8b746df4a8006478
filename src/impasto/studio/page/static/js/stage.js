/** The stage: the photo, its painting, and the buttons below them. */

import { download, FINAL, jobPath, picture } from "./api.js";
import { byId, guarded, notify } from "./dom.js";
import { createSplit } from "./split.js";
import { on, state } from "./state.js";
import { stem } from "./titles.js";
import { goOn, isReady, isRunning, paint, paintWhole, stop, watch } from "./run.js";

const EXTENSIONS = { png: "png", jpeg: "jpg", tiff: "tif" };

/** @type {ReturnType<typeof createSplit>} */
let split;
let shownPhoto = null;
let shownJob = "";
let drafted = 0; // width of the draft, which stays until a larger preview arrives

async function renderPhoto() {
  const { photo } = state;
  byId("empty").hidden = Boolean(photo);
  byId("change-photo").hidden = !photo;
  if (photo === shownPhoto) return;
  shownPhoto = photo;
  const shown = await split.show("before", photo?.url ?? null, `Photo: ${photo?.name}`);
  if (!photo) return;
  photo.isOdd = !shown;
  if (shown) photo.side = Math.max(shown.naturalWidth, shown.naturalHeight);
}

/** Shows the server's view of a photo that the browser cannot display, such as a TIFF. */
async function renderOddPhoto() {
  const { photo, job } = state;
  if (!photo?.isOdd || !job) return;
  photo.url = await picture(`${jobPath(job.id)}/photo`);
  shownPhoto = null;
  await renderPhoto();
}

/**
 * @param {string} path
 * @param {number} [wide]  Least width in pixels for the picture to replace the present one.
 */
async function showPainted(path, wide = 0) {
  const { job } = state;
  const url = await picture(path);
  if (job.clip) await split.show("before", null); // the sheet and the clip differ in shape
  if (state.job?.id === job.id) await split.show("after", url, `Painted: ${job.title}`, wide);
}

const renderJob = guarded(async () => {
  const { job } = state;
  const ended = Boolean(job) && FINAL.has(job.state);
  const result = job?.links.result;
  byId("stop").hidden = !job || ended;
  byId("resume").hidden = job?.state !== "stopped";
  byId("download").hidden = !result || job.draft;
  byId("lens").hidden = !job || Boolean(job.clip);
  for (const button of byId("download").querySelectorAll("[data-format]")) {
    button.hidden = (button.dataset.format === "film") !== Boolean(job?.clip);
  }
  split.setComparable(Boolean(job) && !job.clip);
  if (job?.clip) split.move(0);
  split.frame.classList.toggle("growing", isRunning());
  const now = job ? `${job.id} ${result}` : "";
  if (now === shownJob) return;
  if (!job || job.draft) drafted = 0;
  shownJob = now;
  await renderOddPhoto();
  if (!job) await split.show("after", null);
  else if (result && !job.clip) await showPainted(result);
  if (result && job.draft) drafted = job.progress?.width ?? 0;
});

/** Shows the next step of a clip: its preview, then the whole film. */
function renderNext() {
  const { photo, job } = state;
  const isPreviewed = Boolean(job?.clip?.preview) && FINAL.has(job.state);
  byId("clip-next").hidden = !photo?.isClip || !isReady() || (Boolean(job) && !isPreviewed);
  byId("clip-next").textContent = job ? "Paint the whole clip" : "Paint a preview";
}

/** @param {{iteration: number, url: string}} preview */
const renderPreview = guarded(({ url }) => showPainted(url, drafted));

const save = guarded(async (/** @type {Event} */ event) => {
  const format = /** @type {HTMLElement} */ (event.target).dataset.format;
  if (!format) return;
  byId("download").open = false;
  const name = stem(state.job.title).replaceAll(/[^\p{L}\p{N}]+/gu, "-");
  const { id, clip } = state.job;
  if (clip) await download(`${jobPath(id)}/result`, `${name}.${clip.media_type.replace(/^.*\//, "")}`);
  else await download(`${jobPath(id)}/result?format=${format}`, `${name}.${EXTENSIONS[format]}`);
  notify("Saved to your downloads.", { seconds: 4 });
});

function toggleLens() {
  const button = byId("lens");
  const shown = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(shown));
  split.lens.show(shown);
  if (!shown) button.focus();
}

export function startStage() {
  split = createSplit(byId("split"), "Before and after");
  on("inputs", guarded(renderPhoto));
  on("job", renderJob);
  on("inputs", renderNext);
  on("job", renderNext);
  watch((event) => void (event.type === "preview" && renderPreview(event.data)));
  byId("stop").addEventListener("click", stop);
  byId("resume").addEventListener("click", goOn);
  byId("clip-next").addEventListener("click", () => (state.job ? paintWhole() : guarded(paint)()));
  byId("lens").addEventListener("click", toggleLens);
  byId("download").addEventListener("click", save);
  byId("change-photo").addEventListener("click", () => byId("photo-input").click());
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (byId("lens").getAttribute("aria-pressed") === "true") toggleLens();
    byId("download").open = false;
  });
  addEventListener("click", (event) => {
    if (!byId("download").contains(event.target)) byId("download").open = false;
  });
}
