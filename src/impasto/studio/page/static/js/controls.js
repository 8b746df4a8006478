/** The panel: sliders, colors, recipe, size, and the button that starts a picture. */

import { byId, guarded, make } from "./dom.js";
import { ONE_PASS } from "./request.js";
import { on, set, stale, state } from "./state.js";
import { followChanges, isReady, isRunning, paint } from "./run.js";

const COLORS = {
  style: "The colors of the painting.",
  match: "The painting, matched to the palette of the photo.",
  content: "The colors of the photo, moved along with the strokes.",
  luminance: "The colors of the photo, exactly in their places.",
};
const OURS = ["draft", "sketch", "standard", "best"];

/** @param {string} name */
const capital = (name) => name[0].toUpperCase() + name.slice(1);

function fillRecipes() {
  const option = (/** @type {string} */ name) => make("option", { value: name }, capital(name));
  const names = state.recipes.map(({ name }) => name);
  const others = make("optgroup", { label: "As published" });
  others.append(...names.filter((name) => !OURS.includes(name)).map(option));
  byId("recipe").replaceChildren(...OURS.filter((name) => names.includes(name)).map(option), others);
}

/** Tells whether a recipe uses a network. @param {any} recipe  Name of a shipped recipe, or a whole one. */
function isOnePass(recipe) {
  const whole = state.recipes.find(({ name }) => name === recipe)?.recipe ?? recipe;
  return (whole.engine?.kind ?? "optimizer") !== "optimizer";
}

/** A recipe from a finished picture has its own entry in the menu while it is in use. */
function renderRecipe() {
  const { recipe } = state.settings;
  const menu = byId("recipe");
  menu.querySelector("[value='']")?.remove();
  if (typeof recipe !== "string")
    menu.prepend(make("option", { value: "" }, `${capital(recipe.name || "custom")}, restored`));
  menu.value = typeof recipe === "string" ? recipe : "";
  const shipped = state.recipes.find(({ name }) => name === recipe);
  byId("recipe-help").textContent = shipped?.description ?? recipe.description ?? "";
}

function render() {
  const { recipe, strength, scale, colors, size, iterations, stability } = state.settings;
  byId("strength").value = String(strength);
  byId("strength").previousElementSibling.value = `${Math.round(100 * strength)} %`;
  byId("scale").value = String(Math.log2(scale));
  byId("scale").previousElementSibling.value = `${Number(scale.toFixed(2))} ×`;
  byId("scale").setAttribute("aria-valuetext", `${scale.toFixed(2)} times`);
  byId("stability-field").hidden = !state.photo?.isClip;
  byId("follow").parentElement.hidden = Boolean(state.photo?.isClip);
  byId("stability").value = String(stability);
  byId("stability").previousElementSibling.value = `${Math.round(100 * stability)} %`;
  for (const radio of byId("colors").querySelectorAll("input")) radio.checked = radio.value === colors;
  byId("colors-help").textContent = COLORS[colors];
  renderSize(size);
  const steps = byId("steps");
  steps.disabled = isOnePass(recipe);
  if (steps.disabled || document.activeElement !== steps) steps.value = iterations ?? "";
  renderRecipe();
  renderButton();
}

/** @param {number | null} size */
function renderSize(size) {
  const menu = byId("size");
  const value = size === null ? "" : String(size);
  if (![...menu.options].some((each) => each.value === value)) {
    menu.prepend(make("option", { value }, `${value} px`));
  }
  menu.value = value;
}

function renderButton() {
  const button = byId("paint");
  button.disabled = !isReady();
  const again = stale ? "Paint the changes" : "Paint again";
  button.textContent = state.photo?.isClip ? "Paint a preview" : state.job ? again : "Paint";
  button.classList.toggle("primary", !state.job || stale);
  byId("open-sheet").hidden = !isReady() || state.photo.isClip;
}

export function startControls() {
  fillRecipes();
  byId("strength").addEventListener("input", ({ target }) => set({ strength: Number(target.value) }));
  byId("scale").addEventListener("input", ({ target }) => set({ scale: 2 ** Number(target.value) }));
  byId("stability").addEventListener("input", ({ target }) => set({ stability: Number(target.value) }));
  byId("colors").addEventListener("change", ({ target }) => set({ colors: target.value }));
  byId("recipe").addEventListener("change", ({ target: { value } }) =>
    set({ recipe: value, init: null, ...(isOnePass(value) && ONE_PASS) }),
  );
  byId("size").addEventListener("change", ({ target }) => set({ size: Number(target.value) || null }));
  byId("steps").addEventListener("input", ({ target }) => set({ iterations: Number(target.value) || null }));
  byId("panel").addEventListener(
    "submit",
    guarded(async (event) => (event.preventDefault(), await paint())),
  );
  byId("follow").addEventListener(
    "change",
    () => stale && isReady() && byId("follow").checked && guarded(paint)(),
  );
  followChanges(() => byId("follow").checked);
  on("inputs", render);
  on("job", () => {
    renderButton();
    byId("paint").classList.toggle("idle", isRunning());
  });
  render();
}
