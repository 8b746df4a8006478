/** The shelf of paintings, and the chosen ones: one, a blend, or each in its own part of the photo. */

import { describeWords, searchLibrary, similarStyles } from "./api.js";
import { byId, guarded, make } from "./dom.js";
import { openMasks } from "./masks.js";
import { fromDrawing, fromFile, fromShipped } from "./sources.js";
import { edited, on, state } from "./state.js";

/** @typedef {import("./types.js").Source} Source */
/** @typedef {import("./types.js").Painting} Painting */

/** @param {Source} source @returns {Painting} */
export const painting = (source) => ({ source, weight: 1, mask: null });

/** Replaces all paintings; the mask and the weight of a single one are kept. @param {Source} source */
function only(source) {
  const [first] = state.paintings;
  state.paintings = [state.paintings.length === 1 ? { ...first, source } : painting(source)];
  edited();
}

/** Adds a painting to the others. @param {Source} source */
function add(source) {
  state.paintings.push(painting(source));
  edited();
}

/** @param {File[]} files  The user's own. The first one replaces the paintings unless `beside` is set. */
export function addFiles(files, beside = false) {
  for (const [index, file] of files.entries()) (beside || index ? add : only)(fromFile(file));
}

/** @param {Painting} one */
function remove(one) {
  state.paintings = state.paintings.filter((each) => each !== one);
  edited();
}

const isChosen = (/** @type {string} */ name) => state.paintings.some(({ source }) => source.style === name);

/** @param {typeof state.styles[0]} style */
function tile(style) {
  const image = make("img", { alt: "", loading: "lazy", width: 140, height: 112 });
  fromShipped(style).then(({ url }) => (image.src = url));
  const pick = make(
    "button",
    {
      type: "button",
      className: "pick",
      title: `${style.title}. ${style.credit}`,
      dataset: { style: style.name },
    },
    image,
    make("span", {}, style.title),
  );
  pick.addEventListener(
    "click",
    guarded(async () => only(await fromShipped(style))),
  );
  const plus = make(
    "button",
    { type: "button", className: "plus", "aria-label": `Blend in ${style.title}` },
    "+",
  );
  plus.addEventListener(
    "click",
    guarded(async () => add(await fromShipped(style))),
  );
  const like = make(
    "button",
    { type: "button", className: "like", title: "More like this", "aria-label": `More like ${style.title}` },
    "≈",
  );
  like.addEventListener(
    "click",
    guarded(async () => showFound((await similarStyles(style.name)).styles, `Most like ${style.title}`)),
  );
  return make("li", {}, pick, plus, like);
}

/** Shows paintings of the library below the box. @param {typeof state.styles} styles @param {string} line */
function showFound(styles, line) {
  byId("found").replaceChildren(...styles.map(tile));
  byId("found").hidden = !styles.length;
  byId("words-said").textContent = line;
  render();
}

function ownTile() {
  const input = make("input", {
    id: "painting-input",
    className: "hidden",
    type: "file",
    accept: "image/*,.heic,.tif,.tiff",
    multiple: true,
  });
  input.addEventListener("change", () => {
    addFiles(
      [...input.files],
      state.paintings.some(({ source }) => !source.style),
    );
    input.value = "";
  });
  const label = make(
    "label",
    { className: "own", dataset: { drop: "painting" } },
    input,
    make("b", {}, "+"),
    "Your own",
  );
  return make("li", {}, label);
}

/** @param {Painting} each @param {number} index @param {boolean} shared */
function row(each, index, shared) {
  const { source } = each;
  const image = make("img", { src: source.url, alt: "", width: 48, height: 40 });
  const label = !each.mask || each.mask.isEmpty ? "Mask" : "Mask ✓";
  const place = make("button", { type: "button", className: "quiet", disabled: !state.photo || state.photo.isClip }, label);
  place.setAttribute("aria-label", `Paint the mask of ${source.name}`);
  place.addEventListener("click", () => openMasks(index));
  const close = make(
    "button",
    { type: "button", className: "quiet", "aria-label": `Remove ${source.name}` },
    "×",
  );
  close.addEventListener("click", () => remove(each));
  const share = make("input", {
    type: "range",
    min: "0.05",
    max: "1",
    step: "0.05",
    value: String(each.weight),
    "aria-label": `Share of ${source.name}`,
    hidden: !shared,
  });
  share.addEventListener("input", () => {
    each.weight = Number(share.value);
    edited();
  });
  return make("li", {}, image, make("span", { className: "name" }, source.name), place, close, share);
}

function render() {
  for (const pick of byId("panel").querySelectorAll("[data-style]")) {
    pick.setAttribute("aria-pressed", String(isChosen(pick.dataset.style)));
  }
  const masked = state.paintings.some(({ mask }) => mask && !mask.isEmpty);
  const shared = state.paintings.length > 1 && !masked;
  const now = state.paintings.map(({ source, mask }) => source.url + Boolean(mask && !mask.isEmpty));
  const key = [shared, Boolean(state.photo), state.photo?.isClip, ...now].join();
  const list = byId("chosen");
  if (list.dataset.key === key) return; // do not replace a slider while it is dragged
  list.dataset.key = key;
  list.hidden = state.paintings.every(({ source }) => source.style) && state.paintings.length < 2;
  list.replaceChildren(...state.paintings.map((each, index) => row(each, index, shared)));
}

/** Draws the painting that the box describes, and says what the words chose or what is wrong. */
async function drawWords() {
  const text = byId("words").value.trim();
  if (!text) return;
  byId("words-said").textContent = "Drawing …";
  byId("words-draw").disabled = true;
  try {
    const source = await fromDrawing(await describeWords(text));
    showFound([], source.name);
    only(source);
  } catch (error) {
    showFound([], error instanceof Error ? error.message : String(error));
  } finally {
    byId("words-draw").disabled = false;
  }
}

/** Finds the paintings that the box names. @returns {Promise<boolean>} Whether there are any. */
async function findNames() {
  const text = byId("words").value.trim();
  const { styles, nearest } = await searchLibrary(text);
  const [first] = styles;
  if (first && text) only(await fromShipped(first));
  const line = !text ? "The whole library" : first ? `${first.title}. ${first.credit}` : `No match; nearest are ${nearest.join(", ")}.`;
  showFound(styles, line);
  return Boolean(first);
}

export function startPaintings() {
  byId("words-draw").addEventListener("click", drawWords);
  byId("words-find").addEventListener("click", guarded(async () => void (await findNames())));
  byId("words").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault(); // do not paint
    guarded(async () => {
      if (byId("words").value.trim() && !(await findNames())) await drawWords();
    })();
  });
  byId("shelf").replaceChildren(...state.styles.map(tile), ownTile());
  on("inputs", render);
  render();
}
