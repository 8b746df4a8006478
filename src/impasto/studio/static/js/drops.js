/** Files that come in: chosen, dropped on a place of the page, or pasted. */

import { byId, notify } from "./dom.js";
import { addFiles } from "./paintings.js";
import { restoreFrom } from "./recipe-text.js";
import { fromFile } from "./sources.js";
import { edited, state } from "./state.js";
import { leave } from "./run.js";

const SEARCHED = 262_144; // bytes at a file's beginning in which its recipe would be

/** @param {File} file */
export function takePhoto(file) {
  leave();
  state.photo = fromFile(file);
  for (const each of state.paintings) each.mask = null;
  edited();
  offerRecipe(file);
}

/** @param {File} file  A picture of impasto's has its recipe inside. */
async function offerRecipe(file) {
  const head = new TextDecoder("latin1").decode(await file.slice(0, SEARCHED).arrayBuffer());
  if (!/iTXtimpasto|impasto:record/.test(head)) return;
  notify("This picture was painted by impasto, and its recipe is inside.", {
    action: "Use the recipe",
    act: () => restoreFrom(file),
    seconds: 20,
  });
}

/**
 * @param {string} where  "photo", "painting" or "recipe".
 * @param {File[]} files
 */
function take(where, files) {
  if (!files.length) return;
  if (where === "recipe") restoreFrom(files[0]);
  else if (where === "painting") addFiles(files);
  else {
    takePhoto(files[0]);
    if (files.length > 1) addFiles(files.slice(1));
  }
}

const pictures = (/** @type {DataTransfer} */ data) =>
  [...data.files].filter(
    ({ type, name }) => type.startsWith("image/") || /\.(heic|heif|tiff?|avif)$/i.test(name),
  );

function dropping() {
  const targets = byId("targets");
  let depth = 0;
  const carries = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
  const away = () => ((depth = 0), (targets.hidden = true));
  addEventListener("dragenter", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth++;
    targets.hidden = Boolean(document.querySelector("dialog[open]"));
  });
  addEventListener("dragleave", (event) => {
    if (carries(event) && --depth <= 0) away();
  });
  addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    for (const zone of targets.children) zone.classList.toggle("over", zone.contains(event.target));
  });
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    const zone = /** @type {HTMLElement | null} */ (
      /** @type {Element} */ (event.target).closest?.("[data-drop]")
    );
    away();
    const files = pictures(event.dataTransfer);
    if (document.querySelector("dialog[open]")) return;
    if (!files.length) return notify("That is not a picture.");
    take(zone?.dataset.drop ?? (state.photo ? "painting" : "photo"), files);
  });
}

export function startDrops() {
  dropping();
  byId("photo-input").addEventListener("change", ({ target }) => {
    take("photo", [...target.files]);
    target.value = "";
  });
  addEventListener("paste", (event) => {
    const files = pictures(event.clipboardData);
    if (files.length) take(state.photo ? "painting" : "photo", files);
  });
}
