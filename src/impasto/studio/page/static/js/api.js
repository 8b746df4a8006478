/** The server's HTTP API. Every request of the page goes through this module. */

import { entitled } from "./titles.js";

/** @typedef {import("./types.js").Job} Job */

export const FINAL = new Set(["stopped", "done", "failed", "cancelled"]);

/** A problem that the server reports (RFC 9457). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{title?: string, detail?: string, code?: string}} body
   * @param {number} retryAfter  Seconds; 0: unknown.
   */
  constructor(status, body, retryAfter) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.status = status;
    this.code = body.code ?? "";
    this.retryAfter = retryAfter;
  }
}

const token = () => sessionStorage.getItem("token");
export const keepToken = (/** @type {string} */ text) => sessionStorage.setItem("token", text);
export const forgetToken = () => sessionStorage.removeItem("token");

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 * @throws {Problem} The answer is not a success.
 */
export async function request(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token()) headers.set("Authorization", `Bearer ${token()}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Problem(response.status, body, Number(response.headers.get("Retry-After")) || 0);
}

/** @param {string} path */
const json = async (path, options = {}) => (await request(path, options)).json();

export const jobPath = (/** @type {string} */ id) => `/v1/jobs/${encodeURIComponent(id)}`;

/** @returns {Promise<Job>} */
export async function createJob(/** @type {FormData} */ body) {
  const key = Array.from(crypto.getRandomValues(new Uint32Array(4))).join("-");
  return entitled(await json("/v1/jobs", { method: "POST", body, headers: { "Idempotency-Key": key } }));
}
/** @returns {Promise<Job>} */
export const readJob = async (/** @type {string} */ id) => entitled(await json(jobPath(id)));
/** @returns {Promise<{jobs: Job[], next: string | null}>} */
export async function listJobs(/** @type {string | null} */ before, limit = 24) {
  const from = before ? `&before=${encodeURIComponent(before)}` : "";
  const page = await json(`/v1/jobs?limit=${limit}${from}`);
  return { ...page, jobs: page.jobs.map(entitled) };
}
export const stopJob = (/** @type {string} */ id) => request(`${jobPath(id)}/stop`, { method: "POST" });
export const resumeJob = (/** @type {string} */ id) => request(`${jobPath(id)}/resume`, { method: "POST" });
/** Deletes a job in any state, with its files. */
export const forgetJob = (/** @type {string} */ id) =>
  request(`${jobPath(id)}?forget=true`, { method: "DELETE", keepalive: true });
export const listRecipes = async () => (await json("/v1/recipes")).recipes;
export const listStyles = async () => (await json("/v1/styles")).styles;
/** Finds paintings of the library by what people call them. @returns {Promise<{styles: any[], nearest: string[]}>} */
export const searchLibrary = (/** @type {string} */ text) =>
  json(`/v1/library?text=${encodeURIComponent(text)}`);
/** @returns {Promise<{styles: any[]}>} */
export const similarStyles = (/** @type {string} */ name) =>
  json(`/v1/styles/${encodeURIComponent(name)}/similar`);
/** Says what words choose; fails if one is unknown. */
export const describeWords = (/** @type {string} */ words) =>
  json(`/v1/drawings?words=${encodeURIComponent(words)}`);
export const health = () => json("/healthz");
/** Fails if the server does not accept the token. */
export const checkToken = () => request("/v1/jobs?limit=1");

/** @param {string} code  From the server, for one use. */
export async function exchangeCode(code) {
  const body = JSON.stringify({ code });
  const headers = { "Content-Type": "application/json" };
  keepToken((await json("/v1/exchange", { method: "POST", body, headers })).token);
}

/** @param {File} picture */
export function restore(picture) {
  const body = new FormData();
  body.append("picture", picture);
  return json("/v1/restore", { method: "POST", body });
}

/**
 * Returns an address that an <img> can show: the same one, or the fetched picture if a token is needed.
 *
 * @param {string} path
 */
export async function picture(path) {
  if (!token()) return path;
  return URL.createObjectURL(await (await request(path)).blob());
}

/**
 * @param {string} path
 * @param {string} name  Name of the file.
 */
export async function download(path, name) {
  const blob = await (await request(path)).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Yields the events of a job until its final state, and reconnects when a connection ends.
 *
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<{type: string, data: any}>}
 */
export async function* events(id, signal) {
  let last = "";
  for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
    try {
      const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
      const response = await request(`${jobPath(id)}/events`, { headers, signal });
      if (response.status === 204) return yield { type: "job", data: await readJob(id) };
      for await (const event of parse(response.body)) {
        last = event.id || last;
        wait = 500;
        yield { type: event.type, data: event.type === "job" ? entitled(event.data) : event.data };
        if (event.type === "job" && FINAL.has(event.data.state)) return;
      }
    } catch (error) {
      const refused = error instanceof Problem && error.status !== 429;
      if (signal.aborted || refused) throw error;
    }
    await new Promise((done) => setTimeout(done, wait));
    if (signal.aborted) return;
  }
}

/** @param {ReadableStream<any>} body */
async function* parse(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (buffer + value.replaceAll("\r", "")).split("\n\n");
      buffer = blocks.pop();
      for (const block of blocks) {
        const event = { type: "message", id: "", data: "" };
        for (const line of block.split("\n")) {
          const [, field, text] = /^(event|id|data): ?(.*)$/.exec(line) ?? [];
          if (field === "event") event.type = text;
          else if (field === "id") event.id = text;
          else if (field === "data") event.data += text;
        }
        if (event.data) yield { ...event, data: JSON.parse(event.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
