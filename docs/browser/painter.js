// The two exported graphs, and tensors from and to pixels. Codes are blended between the graphs.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;
// More threads need the page to be isolated from other origins, which a plain file server is not.
ort.env.wasm.numThreads = 1;

// A code is taken of at most this many pixels squared. impasto measures the strength of octaves, its
// last 60 numbers, at the size of the result instead, so that larger ones differ a little; and it paints
// photos with a little grain, from which strokes begin where they are flat. Here there is none.
const CODE_SIDE = 384;
const SHORTEST = 16;

export class Painter {
  static async load(folder) {
    const [style, picture] = await Promise.all(
      ["style.onnx", "stylize.onnx"].map((name) => ort.InferenceSession.create(folder + name)),
    );
    return new Painter(style, picture);
  }

  constructor(style, picture) {
    this.style = style;
    this.picture = picture;
  }

  // The statistics of a picture, at the size that its strokes have beside the result.
  async code(image, result) {
    const area = Math.min(result.width * result.height, CODE_SIDE ** 2);
    const scale = Math.sqrt(area / (image.width * image.height));
    const sides = [image.width, image.height].map((s) => Math.max(SHORTEST, Math.round(s * scale)));
    const { code } = await this.style.run({ painting: tensorOf(image, ...sides) });
    return code;
  }

  // ImageData of the photo, at the size asked for, in the style of the painting.
  async paint(photo, painting, { size, strength }) {
    const scale = size / Math.max(photo.width, photo.height);
    const [width, height] = [photo.width, photo.height].map((s) => Math.max(SHORTEST, Math.round(s * scale)));
    let code = await this.code(painting, { width, height });
    if (strength < 1) {
      const own = await this.code(photo, { width, height });
      code = new ort.Tensor("float32", code.data.map((c, i) => own.data[i] + strength * (c - own.data[i])), code.dims);
    }
    const { picture } = await this.picture.run({ photo: tensorOf(photo, width, height), code });
    return imageOf(picture);
  }
}

// [1, 3, height, width] in [0, 1] of anything that can be drawn; what is transparent has the mean
// color of the rest.
function tensorOf(image, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d", { colorSpace: "srgb" });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, width, height);
  const levels = pen.getImageData(0, 0, width, height).data;
  const sums = [0, 0, 0, 0];
  for (let i = 0; i < levels.length; i++) sums[i % 4] += i % 4 < 3 ? levels[i] * levels[i | 3] : levels[i];
  const mean = sums.map((sum) => (sums[3] ? sum / sums[3] : 127.5));
  const values = new Float32Array(3 * width * height);
  for (let i = 0; i < width * height; i++) {
    const share = levels[4 * i + 3] / 255;
    for (let c = 0; c < 3; c++)
      values[c * width * height + i] = (share * levels[4 * i + c] + (1 - share) * mean[c]) / 255;
  }
  return new ort.Tensor("float32", values, [1, 3, height, width]);
}

function imageOf({ data, dims: [, , height, width] }) {
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * data[c * width * height + i]);
    image.data[4 * i + 3] = 255;
  }
  return image;
}
