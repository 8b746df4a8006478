/** What a picture is called where nobody gave it a title: after what it is made of. */

/** @param {string} name */
export const stem = (name) => name.replace(/\.[a-z0-9]{2,5}$/i, "");

/** @param {string} photo @param {string[]} paintings  Names of files. */
export const titleOf = (photo, paintings) =>
  [stem(photo), paintings.map(stem).join(" and ")].filter(Boolean).join(", ");

/** @param {import("./types.js").Job} job  Those that come over HTTP may have none. */
export const entitled = (job) => ({
  ...job,
  title: job.title || titleOf(job.photo?.name ?? "photo", (job.paintings ?? []).map(({ name }) => name)),
});
