// The editor: runs a program in any language of the server. Owns what was typed, for as long as the tab is open.

import { get, post } from "./api.js";
import { $, announce, h, setText, show } from "./dom.js";
import { executionView } from "./execution_view.js";
import { words } from "./format.js";

const DRAFTS = "soulbox-drafts";
const CHOSEN = "soulbox-language";
const INDENT = "    ";

let languages = [];
let drafts = restore(DRAFTS, {});
let abort = null;
// After Esc, Tab moves on as everywhere else.
let leaving = false;

function restore(name, otherwise) {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function store(name, value) {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // A draft that is too large is kept as long as the page is open.
  }
}

const chosen = () => languages.find(({ name }) => name === $("try-language").value);

/** Fills the list of languages, and keeps what was chosen and typed. */
export async function loadLanguages() {
  languages = (await get("/v1/languages")).languages;
  const select = $("try-language");
  const before = select.value || restore(CHOSEN, "");
  const options = languages.map((language) => {
    const reason = language.unavailable_reason;
    return h("option", { value: language.name, disabled: Boolean(reason), title: reason }, reason ? `${language.name} (not available)` : language.name);
  });
  select.replaceChildren(...options);
  const usable = languages.filter((language) => !language.unavailable_reason);
  const first = usable.find(({ name }) => name === before) ?? usable.find(({ name }) => name === "python") ?? usable[0];
  if (first) select.value = first.name;
  showLanguage();
}

function showLanguage() {
  const language = chosen();
  if (!language) return;
  store(CHOSEN, language.name);
  setText($("try-version"), language.version ?? "");
  $("try-code").value = drafts[language.name] ?? language.example;
  number();
}

function keepDraft() {
  const language = chosen();
  if (!language) return;
  const code = $("try-code").value;
  if (code === language.example) delete drafts[language.name];
  else drafts[language.name] = code;
  store(DRAFTS, drafts);
}

/** The numbers of the lines. */
function number() {
  const lines = $("try-code").value.split("\n").length;
  const shown = Array.from({ length: Math.min(lines, 20_000) }, (_, line) => line + 1).join("\n");
  setText($("try-lines"), shown);
  $("try-lines").scrollTop = $("try-code").scrollTop;
}

function indent(event) {
  const area = event.target;
  const { selectionStart: from, selectionEnd: to, value } = area;
  if (event.shiftKey) {
    const line = value.lastIndexOf("\n", from - 1) + 1;
    const spaces = value.slice(line, line + INDENT.length).match(/^ */)[0].length;
    if (spaces > 0) area.setRangeText("", line, line + spaces, "preserve");
  } else {
    area.setRangeText(value[from - 1] === "\t" ? "\t" : INDENT, from, to, "end");
  }
  event.preventDefault();
  area.dispatchEvent(new Event("input"));
}

function keyDown(event) {
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
    event.preventDefault();
    run();
  } else if (event.key === "Escape") {
    leaving = true;
    announce("Tab leaves the editor now");
  } else if (event.key === "Tab" && event.target === $("try-code")) {
    if (!leaving && !event.ctrlKey && !event.altKey) indent(event);
  } else if (event.key !== "Shift") {
    leaving = false;
  }
}

function request() {
  const limits = {};
  const wall = Number.parseFloat($("try-wall").value);
  const memory = Number.parseFloat($("try-memory").value);
  if (wall > 0) limits.wall_time_ms = wall;
  if (memory > 0) limits.memory_bytes = Math.round(memory * 1024 * 1024);
  const document = { language: $("try-language").value, code: $("try-code").value, stdin: $("try-stdin").value, limits };
  const patterns = $("try-files").value.split(",").map((pattern) => pattern.trim()).filter(Boolean);
  if (patterns.length > 0) document.output_files = patterns;
  return document;
}

async function run() {
  if (abort !== null) return;
  abort = new AbortController();
  $("try-run").disabled = true;
  show($("try-stop"), true);
  setText($("try-state"), "Running …");
  try {
    const execution = await post("/v1/executions", request(), { signal: abort.signal });
    $("try-result").replaceChildren(executionView(execution));
    setText($("try-state"), `Ended: ${words(execution.status)}`);
  } catch (problem) {
    if (problem.name === "AbortError") {
      setText($("try-state"), "Stopped");
    } else {
      const again = problem.retryAfter ? ` Try again in ${problem.retryAfter} s.` : "";
      $("try-result").replaceChildren(h("p", { class: "detail bad" }, `${problem.message}.${again}`.replace("..", ".")));
      setText($("try-state"), "Refused");
    }
  } finally {
    abort = null;
    const hadFocus = document.activeElement === $("try-stop");
    $("try-run").disabled = false;
    show($("try-stop"), false);
    if (hadFocus) $("try-run").focus();
  }
}

/** Makes the form work. */
export function startTryIt() {
  $("try-form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  // Whoever hangs up cancels the execution.
  $("try-stop").addEventListener("click", () => abort?.abort());
  $("try-language").addEventListener("change", showLanguage);
  $("try-reset").addEventListener("click", () => {
    const language = chosen();
    if (!language) return;
    $("try-code").value = language.example;
    keepDraft();
    number();
    $("try-code").focus();
  });
  $("try-code").addEventListener("input", () => {
    keepDraft();
    number();
  });
  $("try-code").addEventListener("scroll", () => {
    $("try-lines").scrollTop = $("try-code").scrollTop;
  });
  $("try-code").addEventListener("keydown", keyDown);
  $("try-stdin").addEventListener("keydown", keyDown);
  $("try-code").addEventListener("focus", () => {
    leaving = false;
  });
}
