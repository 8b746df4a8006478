/** Shows a clip on the stage: the original, the painted film, and the contact sheet of its preview. */

import { picture } from "./api.js";
import { byId, guarded, make } from "./dom.js";
import { on, state } from "./state.js";

/** The address on the stage, so that a playing film is not restarted. */
let shown = "";
let sheet = "";

/** Returns what plays: the film, or the clip before its first job. null: nothing plays. */
function playing() {
  const { photo, job } = state;
  if (!photo?.isClip) return null;
  if (job?.links.result)
    return { url: job.links.result, type: job.clip.media_type, name: `Painted: ${job.title}` };
  if (job || !photo.file) return null;
  return { url: photo.url, type: photo.file.type, name: `Clip: ${photo.name}` };
}

const isMoving = () => !matchMedia("(prefers-reduced-motion: reduce)").matches;

/** @param {{url: string, type: string, name: string}} film */
async function player({ url, type, name }) {
  const src = url.startsWith("blob:") ? url : await picture(url);
  if (type === "image/gif") return make("img", { src, alt: name });
  const sound = { controls: true, loop: true, muted: true, autoplay: isMoving(), playsInline: true };
  const video = make("video", { ...sound, src, "aria-label": name });
  const text = "This browser cannot play the clip, but impasto can paint it.";
  video.addEventListener("error", () => video.replaceWith(make("p", { className: "muted" }, text)));
  return video;
}

async function renderPlayer() {
  const film = playing();
  byId("film").hidden = !film;
  byId("split").hidden = Boolean(film) || !state.photo;
  if ((film?.url ?? "") === shown) return;
  shown = film?.url ?? "";
  const made = film ? [await player(film)] : [];
  if (shown === (film?.url ?? "")) byId("film").replaceChildren(...made);
}

async function renderSheet() {
  const url = state.job?.links.sheet ?? "";
  byId("film-sheet").hidden = !url;
  if (url === sheet) return;
  sheet = url;
  if (url) byId("film-sheet").querySelector("img").src = await picture(url);
}

const render = guarded(async () => void (await Promise.all([renderPlayer(), renderSheet()])));

export function startFilm() {
  on("inputs", render);
  on("job", render);
}
