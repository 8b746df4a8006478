/** Progress of the picture: a line of text, a bar, and curves of the losses. */

import { announce, byId, make } from "./dom.js";
import { on, state } from "./state.js";
import { watch } from "./run.js";

/** @typedef {import("./types.js").Progress} Progress */

const TERMS = ["total", "style", "content"];
const SVG = "http://www.w3.org/2000/svg";
const MOST_POINTS = 600;
const WIDE = 400;
const HIGH = 64;

/** @type {Progress[]} */
let steps = [];
let of = "";
let scale = -1;

/** @param {number} seconds */
export function formatDuration(seconds) {
  if (seconds < 1) return "a moment";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** Formats a number with three digits. @param {number} value */
const short = (value) =>
  value === 0 || value >= 0.001 ? Number(value.toPrecision(3)).toString() : value.toExponential(1);

/** @param {import("./types.js").Job} job */
function words(job) {
  const problem = job.problem && (job.problem.detail || job.problem.title);
  switch (job.state) {
    case "queued":
      return job.position ? `Waiting, ${job.position} ahead` : "Waiting to start";
    case "running":
      if (job.progress?.unit === "frame") return "Painting the clip";
      return job.progress
        ? `${job.draft ? "Painting a draft" : "Painting"}, scale ${job.progress.scale + 1} of ${job.progress.scales}`
        : "Starting";
    case "stopped":
      return "Stopped. You can keep this picture or continue.";
    case "done":
      return job.draft ? "Draft finished" : job.clip?.preview ? "Preview finished" : "Finished";
    case "cancelled":
      return "Cancelled";
    default:
      return `Failed: ${problem ?? "unknown error"}`;
  }
}

function render() {
  const { job } = state;
  byId("run").hidden = !job;
  if (!job) return;
  if (job.id !== of) [of, steps, scale] = [job.id, [], -1];
  const { progress } = job;
  const running = job.state === "running" || job.state === "queued";
  byId("run").dataset.state = job.state;
  byId("status").textContent = words(job);
  const bar = byId("progress");
  bar.hidden = !running;
  if (progress) {
    bar.max = progress.iterations || 1;
    bar.value = progress.iteration;
  } else bar.removeAttribute("value");
  byId("time").textContent = progress ? detail(progress, running) : "";
  draw();
}

/** @param {Progress} progress @param {boolean} running */
function detail(progress, running) {
  const { width, height, iteration, iterations, unit } = progress;
  const isWhole = !running && iteration === iterations;
  const parts = [
    `${width} × ${height}`,
    isWhole ? `${iterations} ${unit}${iterations === 1 ? "" : "s"}` : `${unit} ${iteration} of ${iterations}`,
  ];
  if (running && progress.seconds_left != null) parts.push(`${formatDuration(progress.seconds_left)} left`);
  return parts.join(" · ");
}

/** @param {Progress} progress */
function note(progress) {
  if (steps.length > MOST_POINTS) steps = steps.filter((_, place) => place % 2);
  steps.push(progress);
  if (progress.scale !== scale) {
    scale = progress.scale;
    if (progress.unit === "frame") return announce(`Painting ${progress.iterations} frames.`);
    announce(
      `Painting scale ${scale + 1} of ${progress.scales}, ${progress.width} by ${progress.height} pixels.`,
    );
  }
}

/** Draws the losses on a logarithmic axis. */
function draw() {
  const chart = byId("chart");
  chart.hidden = steps.length < 2 || steps[0].unit === "frame"; // films have no losses
  if (chart.hidden) return;
  const values = steps.flatMap(({ losses }) =>
    TERMS.map((term) => losses[term]).filter((value) => value > 0),
  );
  const [low, high] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))];
  const last = steps[steps.length - 1];
  const x = (/** @type {Progress} */ step) => (WIDE * step.iteration) / (last.iterations || 1);
  const y = (/** @type {number} */ value) =>
    3 + (HIGH - 6) * (1 - (Math.log(value) - low) / (high - low || 1));
  const svg = element("svg", {
    viewBox: `0 0 ${WIDE} ${HIGH}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  for (const [place, step] of steps.entries()) {
    if (place && step.scale !== steps[place - 1].scale) {
      svg.append(element("line", { class: "scale", x1: x(step), x2: x(step), y1: 0, y2: HIGH }));
    }
  }
  const legend = make("ul", { className: "legend" });
  for (const term of TERMS) {
    const seen = steps.filter(({ losses }) => losses[term] > 0);
    if (!seen.length) continue;
    const points = seen.map((step) => `${x(step).toFixed(1)},${y(step.losses[term]).toFixed(1)}`).join(" ");
    svg.append(element("polyline", { class: term, points }));
    const value = short(seen[seen.length - 1].losses[term]);
    legend.append(make("li", { className: term }, `${term} loss `, make("b", {}, value)));
  }
  chart.replaceChildren(svg, legend);
}

/** @param {string} tag @param {Record<string, string | number>} attributes */
function element(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

export function startProgress() {
  on("job", render);
  watch((event) => {
    if (event.type !== "step") return;
    note(event.data);
    render();
  });
}
