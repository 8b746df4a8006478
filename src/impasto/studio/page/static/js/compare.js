/** Compares two finished pictures, in one frame or side by side, and their recipes. */

import { picture } from "./api.js";
import { byId, closable, make } from "./dom.js";
import { createSplit } from "./split.js";

/** @typedef {import("./types.js").Job} Job */

/** @type {ReturnType<typeof createSplit>} */
let split;

/**
 * @param {any} table
 * @param {string} [above]
 * @returns {[string, string][]} Dotted keys, and values as text.
 */
function fields(table, above = "") {
  return Object.entries(table).flatMap(([key, value]) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? fields(value, `${above}${key}.`)
      : [[above + key, value === null ? "none" : String(value)]],
  );
}

/** @param {Job} job @returns {Map<string, string>} */
function facts(job) {
  const recipe = fields(job.recipe).filter(([key]) => key !== "description");
  const from = /** @type {[string, string][]} */ ([
    ["photo", job.photo?.name ?? ""],
    ["paintings", (job.paintings ?? []).map(({ name }) => name).join(", ")],
    ["total loss", job.progress?.losses.total?.toPrecision(3) ?? ""],
  ]);
  return new Map([...from, ...recipe]);
}

/** @param {Job} one @param {Job} other */
function differences(one, other) {
  const [left, right] = [facts(one), facts(other)];
  const keys = [...new Set([...left.keys(), ...right.keys()])].filter(
    (key) => left.get(key) !== right.get(key),
  );
  const head = make("tr", {}, make("th", { scope: "col" }, "Difference"));
  head.append(
    make("th", { scope: "col" }, `Left: ${one.title}`),
    make("th", { scope: "col" }, `Right: ${other.title}`),
  );
  const rows = keys.map((key) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, key),
      ...[left, right].map((each) => make("td", {}, each.get(key) ?? "")),
    ),
  );
  if (!rows.length) return [make("caption", {}, "Both have the same recipe.")];
  return [make("thead", {}, head), make("tbody", {}, ...rows)];
}

/** @param {Job[]} jobs  Two. */
export async function openComparison([one, other]) {
  const urls = await Promise.all([one, other].map(({ links }) => picture(links.result)));
  byId("compare-table").replaceChildren(...differences(one, other));
  byId("compare-beside").replaceChildren(
    ...[one, other].map((job, place) =>
      make(
        "figure",
        {},
        make("img", { src: urls[place], alt: job.title }),
        make("figcaption", {}, job.title),
      ),
    ),
  );
  byId("compare").showModal();
  await Promise.all([
    split.show("before", urls[0], `Left: ${one.title}`),
    split.show("after", urls[1], `Right: ${other.title}`),
  ]);
  split.move(50);
}

export function startComparison() {
  split = createSplit(byId("compare-split"), "Left and right picture");
  closable(byId("compare"));
  byId("compare").addEventListener("change", ({ target }) => {
    if (target.name !== "compare") return;
    byId("compare-split").hidden = target.value !== "slider";
    byId("compare-beside").hidden = target.value === "slider";
  });
}
