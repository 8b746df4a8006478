/** Pictures that go into a job, wherever they come from. */

import { jobPath, picture, request } from "./api.js";

/** @typedef {import("./types.js").Source} Source */

/** @param {File} file @returns {Source} */
export const fromFile = (file) => ({ name: file.name || "picture", url: URL.createObjectURL(file), file });

const MOVING = /\.(mp4|m4v|mov|webm|mkv|avi|ts)$/i; // for files whose type the browser does not know
const FRAME = "\x21\xf9\x04"; // precedes each frame of a GIF
const SEARCHED = 2 ** 20;

/** @param {File} file */
export const isVideo = ({ type, name }) => type.startsWith("video/") || MOVING.test(name);

/** Tells whether a file is a video or a GIF with several frames. @param {File} file */
export async function isClip(file) {
  if (file.type !== "image/gif") return isVideo(file);
  const head = new TextDecoder("latin1").decode(await file.slice(0, SEARCHED).arrayBuffer());
  return head.split(FRAME).length > 2;
}

/** @param {{name: string, title: string, url: string}} style @returns {Promise<Source>} */
export const fromShipped = async (style) => ({
  name: style.title,
  url: await picture(style.url),
  style: style.name,
});

/**
 * @param {{words: string, description: string, url: string}} drawing  As the server describes it.
 * @returns {Promise<Source>}
 */
export const fromDrawing = async ({ words, description, url }) => ({
  name: description,
  url: URL.createObjectURL(await (await request(url)).blob()), // an answer that it was not drawn is an error
  words,
});

/**
 * @param {string} job  Id.
 * @param {string} what  "photo" or "style/0".
 * @param {string} name
 * @returns {Promise<Source>}
 */
export async function fromJob(job, what, name) {
  const file = await (await request(`${jobPath(job)}/${what.replace("/", "s/")}`)).blob();
  return { name, url: URL.createObjectURL(file), file, ref: { job, what } };
}

/**
 * Returns a picture as a job's JSON names it, and appends what the server does not have to the uploads.
 *
 * @param {Source} source
 * @param {[Blob, string][]} uploads
 */
export function named(source, uploads) {
  if (source.style) return { style_name: source.style };
  if (source.words) return { words: source.words };
  if (source.ref) return source.ref;
  uploads.push([source.file, source.name]);
  return { file: uploads.length - 1 };
}

/**
 * @param {string} url
 * @returns {Promise<HTMLImageElement | null>}  null: the browser does not support the format.
 */
export async function loaded(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  }
}
