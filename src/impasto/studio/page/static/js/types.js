/**
 * The shapes that modules share; nothing runs here.
 *
 * @typedef {{job: string, what: string}} Reference  A file that an earlier job keeps.
 *
 * @typedef {Object} Source  A picture that goes into a job.
 * @property {string} name  Shown, and the upload's file name.
 * @property {string} url  What an <img> can show.
 * @property {Blob} [file]  Where the page has the file itself.
 * @property {string} [style]  Id of a shipped style.
 * @property {Reference} [ref]  Where the server has it already.
 * @property {number} [side]  The longer one in pixels, once it has been shown.
 * @property {boolean} [isClip]  It moves.
 * @property {boolean} [isOdd]  Of a format that the browser cannot show.
 *
 * @typedef {Object} Painting
 * @property {Source} source
 * @property {number} weight  Share in a blend, above 0.
 * @property {import("./mask-layer.js").MaskLayer | null} mask
 *
 * @typedef {Object} Settings
 * @property {string | any} recipe  Name of a shipped one, or one whole.
 * @property {number} strength  0 to 1.
 * @property {number} scale  Of the painting's strokes, 1 as they are.
 * @property {"style"|"content"|"luminance"|"match"} colors
 * @property {number | null} size  Longer side in pixels; null: the photo's.
 * @property {number | null} iterations  Of all scales together; null: the recipe's.
 * @property {number} stability  Of a clip, 0 to 1.
 * @property {Reference | null} init  A picture that the restored recipe begins with.
 *
 * @typedef {Object} Progress
 * @property {number} iteration
 * @property {number} iterations
 * @property {"step" | "frame"} unit  What an iteration is.
 * @property {number} scale  From 0, the coarsest.
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
