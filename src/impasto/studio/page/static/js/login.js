/** Logs in: with what the address holds, or with the token that the user types. */

import { checkToken, exchangeCode, forgetToken, keepToken, Problem } from "./api.js";
import { byId } from "./dom.js";

/** Takes the token, or the code for it, out of the address; the token stays in this tab. */
async function takeFromAddress() {
  const [, kind, value] = /^#(token|code)=(.+)$/.exec(location.hash) ?? [];
  if (!kind) return;
  history.replaceState(null, "", location.pathname);
  const text = decodeURIComponent(value);
  if (kind === "token") keepToken(text);
  else await exchangeCode(text).catch(() => {}); // used up, for example by a page that is reloaded
}

/** @returns {Promise<boolean>}  Whether the server accepts this tab's token, or needs none. */
async function isAccepted() {
  try {
    await checkToken();
    return true;
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return false;
    throw error;
  }
}

/** Asks for the token until the server accepts it. */
function askForToken() {
  const dialog = byId("login");
  const input = /** @type {HTMLInputElement} */ (byId("login-token"));
  const form = /** @type {HTMLFormElement} */ (byId("login-form"));
  return new Promise((resolve, reject) => {
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      keepToken(input.value.trim());
      try {
        if (await isAccepted()) {
          /** @type {HTMLDialogElement} */ (dialog).close();
          resolve(undefined);
          return;
        }
      } catch (error) {
        reject(error);
        return;
      }
      forgetToken();
      byId("login-problem").hidden = false;
      input.select();
    });
    /** @type {HTMLDialogElement} */ (dialog).showModal();
  });
}

export async function logIn() {
  await takeFromAddress();
  if (!(await isAccepted())) await askForToken();
}
