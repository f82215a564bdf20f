// Shows one execution: what it printed, where the time went, what it used. Owns that picture, for the dialog and for the
// editor alike.

import { h } from "./dom.js";
import { bytes, count, ms, words } from "./format.js";
import { tone } from "./overview.js";

// A page can show more, but nobody reads it; a button shows the rest.
const MOST_SHOWN = 200_000;
const PICTURES = { png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp" };

/** The status as a word with its colour. */
export function badge(status) {
  return h("span", { class: `badge ${tone(status)}` }, words(status));
}

/** The execution's document as elements. */
export function executionView(execution) {
  const compiled = execution.compile;
  return h(
    "div", { class: "execution" },
    heading(execution),
    execution.detail ? h("p", { class: `detail ${tone(execution.status)}` }, execution.detail) : null,
    compiled && (compiled.stderr || compiled.stdout) ? output("Compiler", compiled.stdout + compiled.stderr, compiled.stdout_truncated || compiled.stderr_truncated) : null,
    output("Standard output", execution.stdout, execution.stdout_truncated),
    execution.stderr ? output("Standard error", execution.stderr, execution.stderr_truncated, "stderr") : null,
    files(execution.files ?? []),
    waterfall(execution),
    h("div", { class: "columns" }, use(execution), denied(execution)),
    h("details", { class: "raw" }, h("summary", {}, "Whole answer"), h("pre", { class: "output", tabindex: "0" }, JSON.stringify(execution, null, 2).slice(0, MOST_SHOWN))),
  );
}

function heading(execution) {
  const facts = [execution.language === execution.bundle ? execution.language : `${execution.language} in ${execution.bundle}`];
  if (execution.start_kind) facts.push(`${execution.start_kind} start`);
  if (execution.exit_code !== null && execution.exit_code !== undefined) facts.push(`exit code ${execution.exit_code}`);
  if (execution.signal) facts.push(`signal ${execution.signal}`);
  if (execution.compile?.cached) facts.push("compiled before");
  return h("div", { class: "headline" }, badge(execution.status), h("span", { class: "muted" }, facts.join(" · ")));
}

function output(title, text, truncated, kind = "stdout") {
  const id = `output-${Math.random().toString(36).slice(2)}`;
  const pre = h("pre", { class: `output ${kind}`, tabindex: "0", role: "region", "aria-labelledby": id });
  pre.textContent = text.slice(0, MOST_SHOWN);
  const head = h("div", { class: "output-head" }, h("h3", { id }, title));
  if (truncated) head.append(h("span", { class: "badge warn" }, "cut at its limit"));
  if (text === "") return h("div", {}, head, h("p", { class: "empty" }, "Nothing was written."));
  const copy = h("button", { type: "button", class: "small quiet", "aria-label": `Copy ${title.toLowerCase()}` }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text).catch(() => {});
    copy.textContent = "Copied";
  });
  head.append(copy);
  const block = h("div", {}, head, pre);
  if (text.length > MOST_SHOWN) {
    const more = h("button", { type: "button", class: "small" }, `Show all ${count(text.length)} characters`);
    more.addEventListener("click", () => {
      pre.textContent = text;
      more.remove();
    });
    block.append(more);
  }
  return block;
}

function files(list) {
  if (list.length === 0) return null;
  const items = list.map((file) => {
    const content = contentOf(file);
    const url = URL.createObjectURL(new Blob([content], { type: typeOf(file.path) }));
    const item = h("li", {}, h("a", { href: url, download: file.path.split("/").pop() }, file.path), h("span", { class: "muted number" }, ` ${bytes(content.length)}`));
    if (typeOf(file.path).startsWith("image/")) item.append(h("img", { src: url, alt: `The picture ${file.path}`, class: "picture" }));
    return item;
  });
  return h("div", {}, h("h3", {}, "Files"), h("ul", { class: "files" }, ...items));
}

function contentOf(file) {
  if (file.encoding !== "base64") return new TextEncoder().encode(file.content);
  return Uint8Array.from(atob(file.content), (character) => character.charCodeAt(0));
}

/** Pictures of these types alone are shown; all else can only be downloaded. */
function typeOf(path) {
  return PICTURES[path.split(".").pop().toLowerCase()] ?? "application/octet-stream";
}

/** The stages one after the other, on one scale. */
function waterfall(execution) {
  const timing = execution.timing ?? {};
  if (timing.total_ms === null || timing.total_ms === undefined) return null;
  const stages = [["Queued", timing.queued_ms], ["Compile", timing.compile_ms], ["Start", timing.start_ms], ["Run", timing.run_ms]];
  const known = stages.reduce((sum, [, time]) => sum + (time ?? 0), 0);
  if (timing.total_ms - known > 0.005) stages.push(["Finish", timing.total_ms - known]);
  let begun = 0;
  const rows = stages.filter(([, time]) => time !== null && time !== undefined).map(([name, time]) => {
    const bar = h("span", { class: `bar ${name.toLowerCase()}` });
    const total = Math.max(timing.total_ms, known, 1e-9);
    bar.style.marginInlineStart = `${(begun / total) * 100}%`;
    bar.style.width = `${(time / total) * 100}%`;
    begun += time;
    return h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "track" }, bar), h("td", { class: "number" }, ms(time)));
  });
  rows.push(h("tr", { class: "sum" }, h("th", { scope: "row" }, "Total"), h("td", {}), h("td", { class: "number" }, ms(timing.total_ms))));
  return h("div", {}, h("h3", {}, "Timing"), h("table", { class: "waterfall" }, h("tbody", {}, ...rows)));
}

function use(execution) {
  const { usage = {}, limits = {} } = execution;
  const facts = [
    ["CPU time", usage.cpu_time_ms, limits.cpu_time_ms, ms],
    ["Wall time", execution.timing?.run_ms, limits.wall_time_ms, ms],
    ["Memory peak", usage.memory_peak_bytes, limits.memory_bytes, bytes],
    ["Processes", usage.pids_peak, limits.pids, count],
    ["Written", usage.disk_written_bytes, limits.disk_bytes, bytes],
    ["Output", execution.stdout.length + execution.stderr.length, limits.output_bytes, bytes],
  ];
  const unenforced = execution.unenforced_limits ?? [];
  const rows = facts.filter(([, , most]) => most !== undefined).map(([name, value, most, format]) => {
    const share = most > 0 ? Math.min(1, (value ?? 0) / most) : 0;
    const bar = h("progress", { class: `meter ${share > 0.9 ? "bad" : share > 0.7 ? "warn" : ""}`, max: "1", value: share, "aria-label": `${name} of its limit` });
    return h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "number" }, format(value)), h("td", {}, bar), h("td", { class: "number muted" }, format(most)));
  });
  const head = h("tr", {}, h("th", { scope: "col" }, h("span", { class: "hidden" }, "What")), h("th", { scope: "col", class: "number" }, "Used"), h("th", { scope: "col" }, h("span", { class: "hidden" }, "Share")), h("th", { scope: "col", class: "number" }, "Limit"));
  return h(
    "div", {}, h("h3", {}, "Use and limits"),
    h("table", { class: "use" }, h("thead", {}, head), h("tbody", {}, ...rows)),
    unenforced.length > 0 ? h("p", { class: "detail warn" }, `Not enforced on this host: ${unenforced.map(words).join(", ")}.`) : null,
  );
}

function denied(execution) {
  const calls = [...(execution.denied_syscalls ?? []), ...(execution.compile?.denied_syscalls ?? [])];
  if (calls.length === 0) return null;
  const rows = calls.map((call) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, call.name)), h("td", { class: "number" }, `${count(call.count)}×`)));
  return h("div", {}, h("h3", {}, "Denied system calls"), h("table", { class: "denied" }, h("tbody", {}, ...rows)));
}
