/** Two pictures in one frame with a slider between them, and a lens over both. */

import { make } from "./dom.js";
import { addLens } from "./lens.js";
import { loaded } from "./sources.js";

/**
 * @param {HTMLElement} host  Empty.
 * @param {string} label  Label of the slider.
 */
export function createSplit(host, label) {
  const after = make("img", { className: "after", alt: "" });
  const before = make("img", { className: "before", alt: "" });
  const slider = make("input", {
    type: "range",
    className: "split-slider",
    min: "0",
    max: "100",
    step: "0.5",
    value: "0",
    "aria-label": label,
  });
  const frame = make("div", { className: "split" }, after, before, slider);
  const lens = addLens(frame, before, after);
  host.append(frame);

  const place = () => {
    frame.style.setProperty("--split", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${Math.round(Number(slider.value))} % before`);
  };
  slider.addEventListener("input", place);
  place();

  /** @type {Record<string, number>} */
  const asked = { before: 0, after: 0 };
  /**
   * @param {"before" | "after"} which
   * @param {string | null} url
   * @param {string} [alt]
   * @param {number} [wide]  Least width in pixels for the picture to be shown.
   * @returns {Promise<HTMLImageElement | null>} The picture. null: it is not shown.
   */
  async function show(which, url, alt = "", wide = 0) {
    const image = which === "before" ? before : after;
    const mine = ++asked[which];
    if (!url) {
      image.hidden = true;
      image.removeAttribute("src");
      return null;
    }
    const ready = await loaded(url);
    if (mine !== asked[which] || !ready || ready.naturalWidth < wide) return null;
    if (which === "after" && image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
    image.src = url;
    image.alt = alt;
    image.hidden = false;
    if (which === "before" || before.hidden) {
      frame.style.setProperty("--ratio", String(ready.naturalWidth / ready.naturalHeight));
    }
    lens.draw();
    return ready;
  }

  return {
    frame,
    show,
    lens,
    /** @param {boolean} both  Whether there are two pictures. */
    setComparable: (both) => void (slider.hidden = !both),
    /** @param {number} percent */
    move: (percent) => void ((slider.value = String(percent)), place()),
  };
}
