/**
 * Types that modules share.
 *
 * @typedef {{job: string, what: string}} Reference  A file of an earlier job.
 *
 * @typedef {Object} Source  A picture that goes into a job.
 * @property {string} name  For people, and as the file name of the upload.
 * @property {string} url  Address for an <img>.
 * @property {Blob} [file]  The file, if the page has it.
 * @property {string} [style]  Id of a shipped painting.
 * @property {string} [words]  Words that the server draws it from.
 * @property {Reference} [ref]  The server's copy, if it has one.
 * @property {number} [side]  Longer side in pixels, once it is known.
 * @property {boolean} [isClip]  It is a clip.
 * @property {boolean} [isOdd]  The browser cannot display its format.
 *
 * @typedef {Object} Painting
 * @property {Source} source
 * @property {number} weight  Weight in a blend, above 0.
 * @property {import("./mask-layer.js").MaskLayer | null} mask
 *
 * @typedef {Object} Settings
 * @property {string | any} recipe  Name of a shipped recipe, or a whole one.
 * @property {number} strength  0 to 1.
 * @property {number} scale  Stroke size; 1 is the size in the painting.
 * @property {"style"|"content"|"luminance"|"match"} colors
 * @property {number | null} size  Longer side in pixels. null: automatic.
 * @property {number | null} iterations  Of all scales together. null: as in the recipe.
 * @property {number} stability  Steadiness of a film, 0 to 1.
 * @property {Reference | null} init  A picture that the restored recipe starts from.
 *
 * @typedef {Object} Progress
 * @property {number} iteration
 * @property {number} iterations
 * @property {"step" | "frame"} unit  What one iteration is.
 * @property {number} scale  From 0, which is the coarsest.
 * @property {number} scales
 * @property {number} width
 * @property {number} height
 * @property {{total: number, content?: number, style?: number}} losses
 * @property {number | null} seconds_left
 *
 * @typedef {Object} Job
 * @property {string} id
 * @property {string} title
 * @property {boolean} draft
 * @property {"queued"|"running"|"stopped"|"done"|"failed"|"cancelled"} state
 * @property {string} created
 * @property {string | null} ended
 * @property {Progress | null} progress
 * @property {{title: string, detail?: string, code: string} | null} problem
 * @property {Object} recipe
 * @property {number} styles
 * @property {number} masks
 * @property {number | null} position
 * @property {{preview: boolean, stability: number, media_type: string} | null} clip
 * @property {{result: string | null, thumbnail: string | null, preview: string | null,
 *   sheet: string | null}} links
 * @property {{name: string}} [photo]
 * @property {{name: string, style_name?: string | null}[]} [paintings]
 */

export {};
