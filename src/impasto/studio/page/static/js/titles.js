/** Titles of pictures: by default, the names of their photo and paintings. */

/** @param {string} name */
export const stem = (name) => name.replace(/\.[a-z0-9]{2,5}$/i, "");

/** @param {string} photo @param {string[]} paintings  File names. */
export const titleOf = (photo, paintings) =>
  [stem(photo), paintings.map(stem).join(" and ")].filter(Boolean).join(", ");

/** @param {import("./types.js").Job} job  Jobs of other HTTP clients may have no title. */
export const entitled = (job) => ({
  ...job,
  title: job.title || titleOf(job.photo?.name ?? "photo", (job.paintings ?? []).map(({ name }) => name)),
});
