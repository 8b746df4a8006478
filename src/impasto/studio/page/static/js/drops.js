/** Accepts files that are chosen, dropped or pasted. */

import { byId, guarded, hush, notify } from "./dom.js";
import { addFiles } from "./paintings.js";
import { restoreFrom } from "./recipe-text.js";
import { fromFile, isClip, isVideo } from "./sources.js";
import { edited, state } from "./state.js";
import { leave } from "./run.js";

const ODD = /\.(heic|heif|tiff?|avif)$/i; // pictures whose type browsers may not know
const SEARCHED = 262_144; // bytes at the start of a file that may hold its recipe

/** @param {File} file  A photo, or a clip. */
async function takePhoto(file) {
  const moving = await isClip(file);
  leave();
  hush(); // notices about the previous photo
  state.photo = { ...fromFile(file), isClip: moving };
  for (const each of state.paintings) each.mask = null;
  edited();
  if (!moving) await offerRecipe(file);
}

/** Offers to use the recipe inside a picture that impasto made. @param {File} file */
async function offerRecipe(file) {
  const head = new TextDecoder("latin1").decode(await file.slice(0, SEARCHED).arrayBuffer());
  if (!/iTXtimpasto|impasto:record/.test(head)) return;
  notify("This picture was painted by impasto and contains its recipe.", {
    action: "Use the recipe",
    act: () => restoreFrom(file),
    seconds: 20,
  });
}

/**
 * @param {string} where  "photo", "painting" or "recipe".
 * @param {File[]} files
 */
const take = guarded(async (where, files) => {
  const still = files.filter((each) => !isVideo(each));
  if (where !== "photo" && !still.length) notify("Drop a still picture here, not a clip.");
  else if (where === "recipe") await restoreFrom(still[0]);
  else if (where === "painting") addFiles(still);
  else {
    await takePhoto(files[0]);
    addFiles(still.filter((each) => each !== files[0]));
  }
});

const pictures = (/** @type {DataTransfer} */ data) =>
  [...data.files].filter(
    (file) => file.type.startsWith("image/") || ODD.test(file.name) || isVideo(file),
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
    if (!files.length) return notify("This file is neither a picture nor a clip.");
    take(zone?.dataset.drop ?? (state.photo ? "painting" : "photo"), files);
  });
}

export function startDrops() {
  dropping();
  byId("photo-input").addEventListener("change", ({ target }) => {
    if (target.files.length) take("photo", [...target.files]);
    target.value = "";
  });
  addEventListener("paste", (event) => {
    const files = pictures(event.clipboardData);
    if (files.length) take(state.photo ? "painting" : "photo", files);
  });
}
