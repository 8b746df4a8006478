/** A sheet of variations: small drafts to choose from. */

import * as api from "./api.js";
import { byId, closable, guarded, make, notify } from "./dom.js";
import { painting } from "./paintings.js";
import { fromShipped, loaded } from "./sources.js";
import { edited, state } from "./state.js";
import { ONE_PASS, remember } from "./request.js";
import { drop, send } from "./run.js";

/** @typedef {{label: string, settings?: any, paintings?: any[]}} Cell */

const SIDE = 256; // pixels of a draft
const AT_ONCE = 2; // leaves room in the queue
const SAVED = { cell: 256, gap: 12, line: 28 };

let closing = new AbortController();
/** @type {Set<string>} */
const jobs = new Set();

const AXES = {
  /** @returns {Cell[]} */
  "Strength and strokes": () =>
    [0.4, 0.7, 1].flatMap((strength) =>
      [0.5, 1, 2].map((scale) => ({
        label: `${100 * strength} %, strokes ${scale} ×`,
        settings: { strength, scale },
      })),
    ),
  /** @returns {Cell[]} */
  Colors: () =>
    Object.entries({ style: "Painting", match: "Matched", content: "Photo", luminance: "Exact" }).map(
      ([colors, label]) => ({
        label,
        settings: { colors },
      }),
    ),
  /** @returns {Promise<Cell[]>} */
  Paintings: () =>
    Promise.all(
      state.styles.map(async (style) => ({
        label: style.title,
        paintings: [painting(await fromShipped(style))],
      })),
    ),
};

/** @param {Cell} cell */
function tile(cell) {
  const image = make("img", { alt: "", hidden: true });
  const button = make(
    "button",
    { type: "button", className: "cell", disabled: true },
    image,
    make("span", {}, cell.label),
  );
  button.addEventListener("click", () => choose(cell));
  return { item: make("li", {}, button), button, image, cell };
}

/** @param {Cell} cell */
function choose({ settings, paintings }) {
  if (paintings) state.paintings = paintings;
  Object.assign(state.settings, settings);
  byId("sheet").close();
  edited();
}

/** Returns the settings that make a cell quick. */
const small = () => ({
  recipe: "draft",
  size: Math.min(SIDE, state.settings.size ?? state.photo.side ?? SIDE),
  ...ONE_PASS,
});

/** @param {ReturnType<typeof tile>} made @param {AbortSignal} signal */
async function fill({ cell, button, image }, signal) {
  const paintings = cell.paintings ?? state.paintings;
  const settings = { ...state.settings, ...cell.settings, ...small() };
  const inputs = { photo: state.photo, paintings, settings, title: `Variation: ${cell.label}` };
  const job = await send(inputs, "draft", () => !signal.aborted);
  jobs.add(job.id);
  if (signal.aborted) return forgetAll();
  if (!state.photo.ref) remember({ photo: state.photo, paintings }, job.id);
  const show = async (/** @type {string} */ path) => {
    const url = await api.picture(path);
    if (!(await loaded(url))) return;
    image.src = url;
    image.hidden = false;
    button.disabled = false;
  };
  for await (const event of api.events(job.id, signal)) {
    if (event.type === "preview") await show(event.data.url);
    if (event.type === "job" && event.data.state === "done")
      await show(`${api.jobPath(job.id)}/result?format=png`);
    if (event.type === "job" && event.data.state === "failed")
      button.lastElementChild.textContent = `${cell.label}: failed`;
  }
}

async function paintSheet() {
  closing.abort();
  closing = new AbortController();
  const { signal } = closing;
  forgetAll();
  byId("sheet-save").disabled = true;
  const cells = await AXES[byId("sheet-axis").value]();
  if (signal.aborted) return;
  const tiles = cells.map(tile);
  byId("sheet-cells").replaceChildren(...tiles.map(({ item }) => item));
  const waiting = [...tiles];
  const worker = async () => {
    while (waiting.length && !signal.aborted) await fill(waiting.shift(), signal);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  if (!signal.aborted) byId("sheet-save").disabled = false;
}

/** Deletes the drafts of the sheet, which do not belong in the gallery. */
function forgetAll() {
  for (const id of jobs) {
    // The pictures on the stage must not refer to a deleted job; they are uploaded again.
    for (const source of [state.photo, ...state.paintings.map((each) => each.source)]) {
      if (source?.ref?.job === id && source.file) delete source.ref;
    }
    drop(id);
  }
  jobs.clear();
}

/** Saves all cells with their labels as one picture. */
const save = guarded(async () => {
  const tiles = [...byId("sheet-cells").querySelectorAll(".cell")];
  const { cell, gap, line } = SAVED;
  const columns = Math.ceil(Math.sqrt(tiles.length));
  const rows = Math.ceil(tiles.length / columns);
  const canvas = new OffscreenCanvas(gap + columns * (cell + gap), gap + rows * (cell + line + gap));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  Object.assign(pen, { fillStyle: "#222", font: "14px sans-serif", textAlign: "center" });
  for (const [place, each] of tiles.entries()) {
    const image = each.querySelector("img");
    const [x, y] = [
      gap + (place % columns) * (cell + gap),
      gap + Math.floor(place / columns) * (cell + line + gap),
    ];
    const scale = Math.min(cell / image.naturalWidth, cell / image.naturalHeight);
    const [wide, high] = [image.naturalWidth * scale, image.naturalHeight * scale];
    pen.drawImage(image, x + (cell - wide) / 2, y + (cell - high) / 2, wide, high);
    pen.fillText(each.textContent, x + cell / 2, y + cell + 19);
  }
  const link = make("a", {
    href: URL.createObjectURL(await canvas.convertToBlob()),
    download: "variations.png",
  });
  link.click();
  notify("Sheet saved to your downloads.", { seconds: 4 });
});

export function startSheet() {
  closable(byId("sheet"));
  byId("sheet-axis").append(...Object.keys(AXES).map((axis) => make("option", { value: axis }, axis)));
  byId("sheet-axis").addEventListener("change", guarded(paintSheet));
  byId("open-sheet").addEventListener(
    "click",
    guarded(async () => {
      byId("sheet").showModal();
      await paintSheet();
    }),
  );
  addEventListener("pagehide", forgetAll);
  byId("sheet").addEventListener("close", () => (closing.abort(), forgetAll()));
  byId("sheet-save").addEventListener("click", save);
}
