/** Small conveniences over the document. */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties]  `dataset` and `aria-*` included; undefined is left out.
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * @param {string} id
 * @returns {any} The element, which index.html has.
 */
export const byId = (id) => document.getElementById(id);

/** @param {string} text  Said by a screen reader, once. */
export function announce(text) {
  byId("live").textContent = text;
}

let hiding = 0;

/** What was notified is over. */
export const hush = () => void (byId("notice").hidden = true);

/**
 * A line that floats over the page for a while.
 *
 * @param {string} text
 * @param {{action?: string, act?: () => void, seconds?: number, ask?: boolean}} [options]  One button;
 *   `ask`: a question of somebody's own making, so that the keyboard is taken to it.
 */
export function notify(text, { action, act, seconds = 8, ask = false } = {}) {
  const notice = byId("notice");
  const button = action ? make("button", { type: "button", textContent: action }) : null;
  button?.addEventListener("click", () => (hush(), act?.()));
  const close = make("button", { type: "button", className: "quiet", "aria-label": "Dismiss" }, "×");
  close.addEventListener("click", hush);
  notice.replaceChildren(make("span", {}, text), ...(button ? [button] : []), close);
  notice.hidden = false;
  if (ask) button?.focus();
  clearTimeout(hiding);
  hiding = setTimeout(hush, seconds * 1000);
}

/** @param {unknown} error  Told in one line; what was aborted is nothing to tell. */
export function complain(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  notify(error instanceof Error ? error.message : String(error), { seconds: 14 });
}

/**
 * An event handler whose failure is told.
 *
 * @template {any[]} A
 * @param {(...args: A) => Promise<void> | void} handler
 * @returns {(...args: A) => Promise<void>}
 */
export function guarded(handler) {
  return async (...args) => {
    try {
      await handler(...args);
    } catch (error) {
      complain(error);
    }
  };
}

/** @param {HTMLDialogElement} dialog  Closed by its buttons and by a click beside it. */
export function closable(dialog) {
  dialog.addEventListener("click", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target === dialog || target.closest("[data-close]")) dialog.close();
  });
}
