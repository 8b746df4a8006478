/** A magnifying lens whose left half shows the picture before, and its right half the picture after. */

import { make } from "./dom.js";

const SIZE = 220; // CSS pixels
const ZOOM = 3;
const STEP = 0.02; // of the frame, one press of an arrow key

/**
 * @param {HTMLElement} frame
 * @param {HTMLImageElement} before
 * @param {HTMLImageElement} after
 */
export function addLens(frame, before, after) {
  const density = Math.min(2, devicePixelRatio || 1);
  const glass = make("canvas", {
    className: "lens",
    width: SIZE * density,
    height: SIZE * density,
    hidden: true,
  });
  glass.setAttribute("role", "img");
  glass.setAttribute(
    "aria-label",
    "Lens: the left half shows before, the right half after. Arrow keys move it.",
  );
  glass.tabIndex = 0;
  frame.append(glass);
  const at = { x: 0.5, y: 0.5 };

  /** @param {HTMLImageElement} image @param {number} left @param {number} width  In the glass. */
  function half(image, left, width) {
    if (image.hidden || !image.naturalWidth) return;
    const context = glass.getContext("2d");
    const box = frame.getBoundingClientRect();
    const scale = ZOOM * density;
    context.save();
    context.beginPath();
    context.rect(left, 0, width, glass.height);
    context.clip();
    context.imageSmoothingQuality = "high";
    context.drawImage(
      image,
      glass.width / 2 - at.x * box.width * scale,
      glass.height / 2 - at.y * box.height * scale,
      box.width * scale,
      box.height * scale,
    );
    context.restore();
  }

  function draw() {
    if (glass.hidden) return;
    const context = glass.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, glass.width, glass.height);
    const both = !before.hidden && !after.hidden;
    half(before.hidden ? after : before, 0, both ? glass.width / 2 : glass.width);
    if (both) half(after, glass.width / 2, glass.width / 2);
    context.fillStyle = "#fff9";
    if (both) context.fillRect(glass.width / 2 - density / 2, 0, density, glass.height);
    frame.style.setProperty("--lens-x", `${100 * at.x}%`);
    frame.style.setProperty("--lens-y", `${100 * at.y}%`);
  }

  /** @param {number} x @param {number} y  Shares of the frame. */
  function move(x, y) {
    at.x = Math.min(1, Math.max(0, x));
    at.y = Math.min(1, Math.max(0, y));
    draw();
  }

  frame.addEventListener("pointermove", (event) => {
    if (glass.hidden) return;
    const box = frame.getBoundingClientRect();
    move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  glass.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    move(at.x + STEP * way[0], at.y + STEP * way[1]);
  });

  return {
    draw,
    /** @param {boolean} shown */
    show(shown) {
      glass.hidden = !shown;
      frame.classList.toggle("with-lens", shown);
      draw();
      if (shown) glass.focus({ preventScroll: true });
    },
  };
}
