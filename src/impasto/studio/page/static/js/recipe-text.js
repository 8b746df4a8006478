/** Shows a recipe as TOML, reduced to what differs from a shipped one, for the command line. */

import { restore } from "./api.js";
import { byId, guarded, notify } from "./dom.js";
import { fromShipped } from "./sources.js";
import { edited, on, state } from "./state.js";
import { changes, ordered } from "./request.js";
import { painting } from "./paintings.js";

const APART = new Set(["name", "description", "version"]);

/** @param {any} value */
function toml(value) {
  if (Array.isArray(value)) return `[${value.map(toml).join(", ")}]`;
  if (value && typeof value === "object") {
    return `{ ${Object.entries(value)
      .map(([key, each]) => `${key} = ${toml(each)}`)
      .join(", ")} }`;
  }
  if (typeof value === "number" && Number.isInteger(value)) return String(value);
  return JSON.stringify(value);
}

/** @param {any} recipe @param {string} key  Dotted. @param {any} value */
function assign(recipe, key, value) {
  const fields = key.split(".");
  const last = fields.pop();
  let table = recipe;
  for (const field of fields) table = table[field];
  table[last] = value;
}

/** @returns {any} The whole recipe that the panel describes. null: the shipped ones are not loaded yet. */
export function currentRecipe() {
  const { recipe } = state.settings;
  const base =
    typeof recipe === "string" ? state.recipes.find(({ name }) => name === recipe)?.recipe : recipe;
  if (!base) return null;
  const whole = structuredClone(base);
  const { placed, all } = placedOrAll();
  for (const [key, value] of Object.entries(changes(state.settings, all, all.length > 1 && !placed))) {
    assign(whole, key, value);
  }
  return whole;
}

function placedOrAll() {
  try {
    const { placed, all } = ordered(state.paintings);
    return { placed: placed.length, all };
  } catch {
    return { placed: 1, all: state.paintings };
  }
}

/** @param {any} recipe  Whole. */
export function recipeText(recipe) {
  const base = state.recipes.find(({ name }) => name === recipe.name);
  const plain = [];
  const tables = [];
  if (base) plain.push(`base = ${JSON.stringify(base.name)}`);
  for (const [key, value] of Object.entries(recipe)) {
    const before = base?.recipe[key];
    if (APART.has(key) || value === null || JSON.stringify(value) === JSON.stringify(before)) continue;
    if (typeof value !== "object") {
      plain.push(`${key} = ${toml(value)}`);
      continue;
    }
    const lines = Object.entries(value)
      .filter(([field, each]) => each !== null && JSON.stringify(each) !== JSON.stringify(before?.[field]))
      .map(([field, each]) => `${field} = ${toml(each)}`);
    if (lines.length) tables.push(`\n[${key}]\n${lines.join("\n")}`);
  }
  return `${[...plain, ...tables].join("\n")}\n`;
}

/**
 * Sets the panel to a recipe.
 *
 * @param {any} recipe  Whole.
 * @param {string} [job]  Job of the recipe, which has the picture that it starts from, if any.
 */
export function adopt(recipe, job) {
  const shipped = state.recipes.find(({ name }) => name === recipe.name);
  Object.assign(state.settings, {
    recipe: shipped && isPlain(recipe, shipped.recipe) ? recipe.name : recipe,
    strength: recipe.strength,
    scale: recipe.style.scale,
    colors: recipe.colors,
    size: recipe.size,
    iterations: recipe.schedule.total,
    init: job && recipe.start.image ? { job, what: "init" } : null,
  });
}

/** Tells whether a recipe differs from a shipped one only in what the panel shows. */
function isPlain(recipe, shipped) {
  const same = structuredClone(recipe);
  for (const key of ["strength", "colors", "size", "schedule.total", "style.scale", "style.weights"]) {
    const value = key.split(".").reduce((table, field) => table[field], shipped);
    assign(same, key, value);
  }
  return Object.keys(same).every(
    (key) => APART.has(key) || JSON.stringify(same[key]) === JSON.stringify(shipped[key]),
  );
}

/** @param {File} file  A finished picture. */
export const restoreFrom = guarded(async (file) => {
  const { recipe, photo, paintings, init } = await restore(file);
  adopt(recipe);
  const named = (paintings ?? []).map((/** @type {any} */ each) => each.name).filter(Boolean);
  const found = state.styles.filter(({ name, title }) =>
    named.some((each) => each.startsWith(`${name}.`) || each === title || each === name),
  );
  if (found.length && found.length === named.length) {
    const weights = recipe.style.weights;
    state.paintings = await Promise.all(found.map(async (style) => painting(await fromShipped(style))));
    state.paintings.forEach(
      (each, index) => (each.weight = weights.length ? weights[index] / Math.max(...weights) : 1),
    );
  }
  byId("recipe-box").open = true;
  edited();
  const sources = [photo?.name, ...named].filter(Boolean).join(" and ");
  const start = init ? ` It started from ${init}, which it does not contain; the photo is used instead.` : "";
  notify(`Recipe of ${file.name} restored.${sources ? ` Made from ${sources}.` : ""}${start}`, {
    seconds: 12,
  });
});

/** Copies text, even without a clipboard API, as over plain HTTP. @param {string} text */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  byId("recipe-text").select();
  document.execCommand("copy");
}

export function startRecipeText() {
  on("inputs", () => {
    const recipe = currentRecipe();
    byId("recipe-text").value = recipe ? recipeText(recipe) : "";
  });
  byId("copy").addEventListener(
    "click",
    guarded(async () => {
      await copy(byId("recipe-text").value);
      notify("Recipe copied.", { seconds: 4 });
    }),
  );
  byId("restore-input").addEventListener("change", async ({ target }) => {
    if (target.files[0]) await restoreFrom(target.files[0]);
    target.value = "";
  });
}
