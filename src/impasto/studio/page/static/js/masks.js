/** The dialog for painting masks over the photo. */

import { byId, closable, guarded, make, notify } from "./dom.js";
import { MaskLayer } from "./mask-layer.js";
import { ordered } from "./request.js";
import { loaded } from "./sources.js";
import { edited, on, state } from "./state.js";

const LONGER = 768; // pixels of a mask
const COLORS = ["#e4572e", "#2f7fd0", "#2a9d6e", "#b35cc4", "#e0a526", "#39a7b5"];

let photo = /** @type {HTMLImageElement | null} */ (null);
let chosen = 0;
let touched = false;
let cursor = { x: 0.5, y: 0.5 };
let pen = /** @type {{x: number, y: number} | null} */ (null);

const canvas = () => /** @type {HTMLCanvasElement} */ (byId("mask-canvas"));
const dialog = () => /** @type {HTMLDialogElement} */ (byId("masks"));

/** @param {number} index */
export const maskColor = (index) => COLORS[index % COLORS.length];

/** @returns {MaskLayer} The mask of the chosen painting. */
function layer() {
  const painting = state.paintings[chosen];
  return (painting.mask ??= new MaskLayer(canvas().width, canvas().height));
}

/** @returns {import("./mask-layer.js").Brush} */
function brush() {
  const erase = /** @type {any} */ (document.querySelector("input[name=brush]:checked")).value === "erase";
  const radius = (Number(byId("brush-size").value) / 200) * Math.max(canvas().width, canvas().height);
  return { radius, softness: Number(byId("brush-soft").value) / 100, erase };
}

/** Draws the photo, bright where the chosen painting goes, with each mask tinted in its color. */
function draw() {
  const { width, height } = canvas();
  const context = canvas().getContext("2d");
  const light = new OffscreenCanvas(width, height).getContext("2d");
  const own = state.paintings[chosen]?.mask;
  light.drawImage(own?.canvas ?? new MaskLayer(1, 1).canvas, 0, 0, width, height);
  light.globalCompositeOperation = "lighten";
  light.fillStyle = "#707070";
  light.fillRect(0, 0, width, height);
  context.globalCompositeOperation = "source-over";
  context.drawImage(photo, 0, 0, width, height);
  context.globalCompositeOperation = "multiply";
  context.drawImage(light.canvas, 0, 0);
  context.globalCompositeOperation = "screen";
  for (const [index, { mask }] of state.paintings.entries()) {
    if (!isPlaced(mask)) continue;
    light.globalCompositeOperation = "source-over";
    light.drawImage(mask.canvas, 0, 0, width, height);
    light.globalCompositeOperation = "multiply";
    light.fillStyle = maskColor(index);
    light.fillRect(0, 0, width, height);
    context.globalAlpha = index === chosen ? 0.55 : 0.3;
    context.drawImage(light.canvas, 0, 0);
    context.globalAlpha = 1;
  }
  context.globalCompositeOperation = "source-over";
  ring(context);
}

/** @param {CanvasRenderingContext2D} context  To draw the outline of the brush. */
function ring(context) {
  const { width, height } = canvas();
  context.lineWidth = 2;
  context.beginPath();
  context.arc(cursor.x * width, cursor.y * height, brush().radius, 0, 2 * Math.PI);
  context.strokeStyle = "#0008";
  context.stroke();
  context.lineWidth = 1;
  context.strokeStyle = "#fff";
  context.stroke();
}

/** @param {PointerEvent} event */
function aim(event) {
  const box = canvas().getBoundingClientRect();
  cursor = { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  return { x: cursor.x * canvas().width, y: cursor.y * canvas().height };
}

function pointers() {
  canvas().addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas().setPointerCapture(event.pointerId);
    layer().keep();
    pen = aim(event);
    layer().stroke(pen, pen, brush());
    touched = true;
    draw();
  });
  canvas().addEventListener("pointermove", (event) => {
    const samples = event.getCoalescedEvents?.() ?? [event];
    for (const sample of samples.length ? samples : [event]) {
      const next = aim(sample);
      if (pen) layer().stroke(pen, next, brush());
      if (pen) pen = next;
    }
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas().addEventListener(end, () => {
      if (pen) layer().look();
      pen = null;
      tabs();
    });
  }
}

/** @param {KeyboardEvent} event */
function keys(event) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const { width, height } = canvas();
  if (way) {
    const step = brush().radius / 2;
    cursor.x = Math.min(1, Math.max(0, cursor.x + (way[0] * step) / width));
    cursor.y = Math.min(1, Math.max(0, cursor.y + (way[1] * step) / height));
  } else if (event.key === " " || event.key === "Enter") {
    const place = { x: cursor.x * width, y: cursor.y * height };
    layer().keep();
    layer().stroke(place, place, brush());
    layer().look();
    touched = true;
    tabs();
  } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo();
  else return;
  event.preventDefault();
  draw();
}

function undo() {
  layer().undo();
  touched = true;
  tabs();
  draw();
}

/** @param {MaskLayer | null} mask */
const isPlaced = (mask) => Boolean(mask) && !mask.isEmpty;

function tabs() {
  const rest = state.paintings.length > 1 ? " (the rest)" : "";
  const choices = state.paintings.map(({ source, mask }, index) => {
    const radio = make("input", {
      type: "radio",
      name: "mask-of",
      value: String(index),
      checked: index === chosen,
    });
    const swatch = make("i");
    swatch.style.background = maskColor(index);
    const where = isPlaced(mask)
      ? ""
      : state.paintings.some((each) => isPlaced(each.mask))
        ? rest
        : " (everywhere)";
    return make("label", {}, radio, swatch, make("span", {}, source.name + where));
  });
  const held = document.activeElement?.closest("#mask-tabs");
  byId("mask-tabs").replaceChildren(...choices);
  if (held) byId("mask-tabs").querySelector("input:checked").focus();
  byId("mask-help").textContent =
    state.paintings.length > 1
      ? "One painting without a mask is used for the rest of the photo."
      : "Outside the mask the photo stays unchanged. Add a painting for the rest.";
}

function show() {
  for (const id of ["brush-size", "brush-soft"])
    byId(id).previousElementSibling.value = `${byId(id).value} %`;
  if (photo) draw();
}

/** @param {number} index  Of the painting that is chosen first. */
export const openMasks = guarded(async (index = 0) => {
  photo = await loaded(state.photo.url);
  if (!photo) return notify("This browser cannot display the photo, so masks cannot be painted on it.");
  const scale = LONGER / Math.max(photo.naturalWidth, photo.naturalHeight);
  canvas().width = Math.round(photo.naturalWidth * scale);
  canvas().height = Math.round(photo.naturalHeight * scale);
  canvas().style.setProperty("--ratio", String(canvas().width / canvas().height));
  chosen = Math.min(index, state.paintings.length - 1);
  touched = false;
  tabs();
  dialog().showModal();
  show();
  canvas().focus();
});

function closed() {
  if (!touched) return;
  try {
    ordered(state.paintings);
  } catch (error) {
    notify(/** @type {Error} */ (error).message, { action: "Paint it", act: () => openMasks(), seconds: 20 });
  }
  edited();
}

export function startMasks() {
  closable(dialog());
  pointers();
  canvas().addEventListener("keydown", keys);
  dialog().addEventListener("close", closed);
  dialog().addEventListener("input", show);
  byId("mask-tabs").addEventListener("change", (event) => {
    chosen = Number(/** @type {any} */ (event.target).value);
    show();
  });
  byId("mask-undo").addEventListener("click", undo);
  for (const act of /** @type {const} */ (["clear", "invert"])) {
    byId(`mask-${act}`).addEventListener("click", () => {
      layer()[act]();
      touched = true;
      tabs();
      draw();
    });
  }
  byId("open-masks").addEventListener("click", () => openMasks());
  on("inputs", () => {
    const button = byId("open-masks");
    button.hidden = !state.photo || state.photo.isClip || !state.paintings.length;
    button.textContent =
      state.paintings.length > 1 ? "Paint where each one goes" : "Paint only part of the photo";
  });
}
