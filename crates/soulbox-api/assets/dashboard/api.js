// Talks to the server. Owns the key, which it keeps in this tab alone, and what an error of the API is here.

const STORED = "soulbox-key";

let key = stored();
let refused = () => {};

function stored() {
  try {
    return sessionStorage.getItem(STORED);
  } catch {
    return null;
  }
}

/** What the server refused: a problem document, or no answer at all (status 0). */
export class Problem extends Error {
  constructor(status, document, retryAfter = null) {
    super(document.detail || document.title || `the server answered ${status}`);
    this.status = status;
    this.code = document.code || "";
    this.title = document.title || "";
    this.retryAfter = retryAfter;
  }
}

export const hasKey = () => key !== null;

/** Another key, or none. */
export function useKey(next) {
  key = next || null;
  try {
    if (key === null) sessionStorage.removeItem(STORED);
    else sessionStorage.setItem(STORED, key);
  } catch {
    // It is kept as long as the page is open.
  }
}

/** What to do when a key is missing or unknown. */
export function onRefused(listener) {
  refused = listener;
}

/** A request with the key; fails with a Problem unless the answer is a good one. */
export async function ask(path, options = {}) {
  const headers = { accept: "application/json", ...options.headers };
  const shown = key;
  if (shown !== null) headers.authorization = `Bearer ${shown}`;
  let response;
  try {
    response = await fetch(path, { cache: "no-store", credentials: "omit", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "Unreachable", detail: "the server cannot be reached" });
  }
  if (response.ok) return response;
  const document = await response.json().catch(() => ({}));
  const after = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  const problem = new Problem(response.status, document, Number.isNaN(after) ? null : after);
  // An answer to a key that was replaced meanwhile says nothing of the new one.
  if (response.status === 401 && shown === key) refused(shown !== null);
  throw problem;
}

export async function get(path, options) {
  return (await ask(path, options)).json();
}

export async function post(path, document, options = {}) {
  const headers = { "content-type": "application/json" };
  return (await ask(path, { method: "POST", body: JSON.stringify(document), headers, ...options })).json();
}

export async function remove(path) {
  return (await ask(path, { method: "DELETE" })).json();
}
