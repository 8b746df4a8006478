/** Entry point of the studio's page. */

import { health, listRecipes, listStyles } from "./api.js";
import { startComparison } from "./compare.js";
import { startControls } from "./controls.js";
import { byId, complain } from "./dom.js";
import { startDrops } from "./drops.js";
import { startFilm } from "./film.js";
import { reopen, showGallery, startGallery } from "./gallery.js";
import { logIn } from "./login.js";
import { startMasks } from "./masks.js";
import { startPaintings } from "./paintings.js";
import { startProgress } from "./progress.js";
import { startRecipeText } from "./recipe-text.js";
import { startSheet } from "./sheet.js";
import { startStage } from "./stage.js";
import { emit, state } from "./state.js";

const THEMES = ["light", "dark"];

function startTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const apply = (/** @type {string} */ theme) => {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
    byId("theme").setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colors`);
  };
  apply(localStorage.getItem("theme") ?? system);
  byId("theme").addEventListener("click", () => {
    const next = THEMES[1 - THEMES.indexOf(document.documentElement.dataset.theme)];
    localStorage.setItem("theme", next);
    apply(next);
  });
}

function showView() {
  const gallery = location.hash === "#gallery";
  byId("gallery").hidden = !gallery;
  byId("studio").hidden = gallery;
  /** @type {NodeListOf<HTMLElement>} */
  const links = document.querySelectorAll("[data-view]");
  for (const link of links) {
    const here = (link.dataset.view === "gallery") === gallery;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (gallery) showGallery();
}

async function showFoot() {
  const { version, device, upload_limit: limit } = await health();
  state.limit = limit;
  byId("foot").textContent = ["impasto", version, device && `on ${device}`].filter(Boolean).join(" ");
}

async function start() {
  startTheme();
  await logIn();
  [state.recipes, state.styles] = await Promise.all([listRecipes(), listStyles()]);
  for (const begin of [
    startStage,
    startFilm,
    startProgress,
    startMasks,
    startPaintings,
    startControls,
    startRecipeText,
    startDrops,
    startGallery,
    startComparison,
    startSheet,
  ]) {
    begin();
  }
  addEventListener("hashchange", showView);
  showView();
  await reopen();
  emit("inputs");
  document.documentElement.dataset.ready = "true";
  await showFoot();
}

start().catch(complain);
