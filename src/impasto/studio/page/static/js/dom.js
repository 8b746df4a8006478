/** Helpers for the document. */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties]  `dataset` and `aria-*` work too; undefined values are skipped.
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
 * @returns {any} An element of index.html.
 */
export const byId = (id) => document.getElementById(id);

/** @param {string} text  For screen readers. */
export function announce(text) {
  byId("live").textContent = text;
}

let hiding = 0;

/** Hides the notice. */
export const hush = () => void (byId("notice").hidden = true);

/**
 * Shows a notice over the page for a while.
 *
 * @param {string} text
 * @param {{action?: string, act?: () => void, seconds?: number, ask?: boolean}} [options]  One button;
 *   `ask`: the notice answers a click, so its button gets the focus.
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

/** @param {unknown} error  Shown in one line, unless it is an aborted request. */
export function complain(error) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  notify(error instanceof Error ? error.message : String(error), { seconds: 14 });
}

/**
 * Wraps an event handler so that its errors are shown.
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

/** @param {HTMLDialogElement} dialog  To be closed by its buttons and by a click outside it. */
export function closable(dialog) {
  dialog.addEventListener("click", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target === dialog || target.closest("[data-close]")) dialog.close();
  });
}
