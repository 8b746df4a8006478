/** One mask: white where its painting goes, gray where it fades, black elsewhere. */

const DEEP = 24; // undo steps
const SPACING = 0.2; // distance of two touches in one stroke, as a share of the brush radius

/** @typedef {{radius: number, softness: number, erase: boolean}} Brush  Pixels; 0 to 1. */

export class MaskLayer {
  /** @param {number} width @param {number} height  Pixels of the mask, not of the photo. */
  constructor(width, height) {
    this.canvas = document.createElement("canvas");
    this.canvas.width = width;
    this.canvas.height = height;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    /** @type {ImageData[]} */
    this.past = [];
    this.isEmpty = true;
    this.fill("#000");
  }

  /** @param {CanvasImageSource} image  An existing mask. */
  static from(image, width, height) {
    const layer = new MaskLayer(width, height);
    layer.context.drawImage(image, 0, 0, width, height);
    layer.look();
    return layer;
  }

  /** Stores the present state for undo. */
  keep() {
    this.past.push(this.context.getImageData(0, 0, this.canvas.width, this.canvas.height));
    if (this.past.length > DEEP) this.past.shift();
  }

  undo() {
    const before = this.past.pop();
    if (before) this.context.putImageData(before, 0, 0);
    this.look();
  }

  clear() {
    this.keep();
    this.fill("#000");
    this.look();
  }

  invert() {
    this.keep();
    this.context.globalCompositeOperation = "difference";
    this.fill("#fff");
    this.look();
  }

  /**
   * Draws a piece of a stroke. Where touches overlap, the stronger one counts, so soft edges stay soft.
   *
   * @param {{x: number, y: number}} from
   * @param {{x: number, y: number}} to
   * @param {Brush} brush
   */
  stroke(from, to, brush) {
    const far = Math.hypot(to.x - from.x, to.y - from.y);
    const touches = Math.max(1, Math.ceil(far / (SPACING * brush.radius)));
    this.context.globalCompositeOperation = brush.erase ? "darken" : "lighten";
    for (let touch = 1; touch <= touches; touch++) {
      const share = touch / touches;
      this.touch(from.x + share * (to.x - from.x), from.y + share * (to.y - from.y), brush);
    }
    this.context.globalCompositeOperation = "source-over";
    this.isEmpty = false;
  }

  /** @param {number} x @param {number} y @param {Brush} brush */
  touch(x, y, { radius, softness, erase }) {
    const [inner, outer] = erase ? ["#000", "#fff"] : ["#fff", "#000"];
    const shade = this.context.createRadialGradient(x, y, 0, x, y, radius);
    shade.addColorStop(0, inner);
    shade.addColorStop(Math.min(0.98, 1 - softness), inner);
    shade.addColorStop(1, outer);
    this.context.fillStyle = shade;
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
    this.context.fill();
  }

  /** @param {string} color */
  fill(color) {
    this.context.fillStyle = color;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.context.globalCompositeOperation = "source-over";
  }

  /** Updates `isEmpty`. */
  look() {
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    this.isEmpty = true;
    for (let at = 0; at < data.length && this.isEmpty; at += 4) this.isEmpty = data[at] < 8;
  }

  /** @returns {Promise<Blob>} PNG. */
  toBlob() {
    return new Promise((done) => this.canvas.toBlob(done, "image/png"));
  }
}
