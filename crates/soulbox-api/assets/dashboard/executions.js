// Executions: those that run, with their cancel buttons, the recent ones, and the drill-down into one. Owns these lists;
// no more than a bounded number of rows is kept.

import { get, remove } from "./api.js";
import { confirmCancel, notice } from "./dialogs.js";
import { $, announce, h, keep, setText, show } from "./dom.js";
import { badge, executionView } from "./execution_view.js";
import { age, bytes, count, ms, number, shortId, words } from "./format.js";
import { repeat } from "./objectives.js";

const PAGE = 50;
const MOST_ROWS = 500;
const EVERY_MS = 2000;
const DETAIL_EVERY_MS = 1000;

export class Executions {
  #recent = [];
  #older = [];
  #operator = true;
  #opened = null;
  #again;

  constructor(wanted) {
    $("recent-status").addEventListener("change", () => {
      this.#recent = [];
      this.#older = [];
      this.refresh();
    });
    $("older").addEventListener("click", () => this.#loadOlder());
    // Rows do not move under a hand that is about to press one.
    const still = () => {
      const held = $("recent").matches(":hover") || $("recent").querySelector(":focus-visible") !== null;
      setText($("recent-held"), held ? "held while you choose" : "");
      return !held;
    };
    const panel = $("recent-table").closest(".panel");
    this.#again = repeat(panel, EVERY_MS, () => wanted() && (still() || this.#recent.length === 0), () => this.#load());
    for (const id of ["recent", "running"]) {
      $(id).addEventListener("click", (event) => {
        const row = event.target.closest("tr");
        // A click anywhere in a row opens it, unless it was meant to select text or to press something.
        if (row && !event.target.closest("a, button") && getSelection().isCollapsed) location.hash = `#executions/${row.dataset.key}`;
      });
    }
    $("detail-close").addEventListener("click", () => $("detail").close());
    $("detail").addEventListener("close", () => {
      this.#opened = null;
      if (location.hash.startsWith("#executions/")) history.replaceState(null, "", "#executions");
    });
    // A click beside the dialog closes it.
    $("detail").addEventListener("click", (event) => {
      if (event.target === $("detail")) $("detail").close();
    });
    setInterval(() => this.#follow(), DETAIL_EVERY_MS);
  }

  refresh() {
    this.#again();
  }

  /** With the live figures, running executions come from there; without, they are asked for. */
  useLive(operator) {
    this.#operator = operator;
  }

  drawRunning(running, total) {
    setText($("running-count"), total > running.length ? `${count(running.length)} of ${count(total)}` : running.length === 0 ? "" : count(running.length));
    show($("running-empty"), running.length === 0);
    show($("running-table"), running.length > 0);
    const create = (execution) => {
      const cells = ["elapsed", "cpu narrow-hidden", "memory narrow-hidden", "pids narrow-hidden"].map((name) => h("td", { class: `number ${name}` }));
      const cancel = h("button", { type: "button", class: "small danger", "aria-label": `Cancel ${execution.id}` }, "Cancel");
      cancel.addEventListener("click", () => this.#cancel(execution, cancel));
      return h("tr", {}, link(execution), h("td", {}, nameOf(execution), h("span", { class: "narrow-only muted number both" })), ...cells, h("td", { class: "key narrow-hidden mono" }, execution.key ?? "–"), h("td", { class: "action" }, cancel));
    };
    keep($("running"), running, (execution) => execution.id, create, (row, execution) => {
      const cell = (name, text) => setText(row.querySelector(`.${name}`), text);
      cell("elapsed", ms(execution.elapsed_ms));
      const cpu = execution.cpu_cores === null || execution.cpu_cores === undefined ? "–" : `${number(execution.cpu_cores)} cores`;
      const memory = bytes(execution.memory_bytes);
      cell("cpu", cpu);
      cell("memory", memory);
      cell("both", `${cpu}, ${memory}`);
      cell("pids", count(execution.pids));
    });
  }

  async #cancel(execution, button) {
    const running = `${execution.id} (${nameOf(execution)}) is ended at once, and whoever waits for it is told so.`;
    if (!(await confirmCancel(running))) return;
    button.disabled = true;
    try {
      const ended = await remove(`/v1/executions/${encodeURIComponent(execution.id)}`);
      announce(`Execution ${words(ended.status)}`);
      this.refresh();
    } catch (problem) {
      button.disabled = false;
      notice(`The execution could not be cancelled: ${problem.message}`);
    }
  }

  async #load() {
    const status = $("recent-status").value;
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (status !== "") query.set("status", status);
    const { executions } = await get(`/v1/executions?${query}`);
    // What was loaded by "Older" stays below.
    const first = new Set(executions.map(({ id }) => id));
    const last = executions.at(-1)?.id ?? "";
    const kept = this.#older.length > 0 ? this.#older.concat(this.#recent) : [];
    this.#older = kept.filter(({ id }) => !first.has(id) && id < last).sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, MOST_ROWS - PAGE);
    this.#recent = executions;
    this.#draw(executions.length === PAGE);
    if (!this.#operator) {
      const { executions: running } = await get("/v1/executions?status=running&limit=200");
      this.drawRunning(running.map((execution) => ({ ...execution, elapsed_ms: Date.now() - Date.parse(execution.created_at) })), running.length);
    }
  }

  async #loadOlder() {
    const before = (this.#older.at(-1) ?? this.#recent.at(-1))?.id;
    const status = $("recent-status").value;
    const query = new URLSearchParams({ limit: String(PAGE), before });
    if (status !== "") query.set("status", status);
    try {
      const { executions } = await get(`/v1/executions?${query}`);
      this.#older = this.#older.concat(executions).slice(0, MOST_ROWS - PAGE);
      this.#draw(executions.length === PAGE && this.#older.length < MOST_ROWS - PAGE);
      announce(`${executions.length} older executions`);
    } catch (problem) {
      notice(`Older executions could not be loaded: ${problem.message}`);
    }
  }

  #draw(more) {
    const now = Date.now();
    const rows = this.#recent.concat(this.#older);
    show($("recent-empty"), rows.length === 0);
    show($("recent-table"), rows.length > 0);
    if (this.#older.length === 0 || !more) show($("older"), more);
    const create = (execution) => {
      const cells = ["total", "run narrow-hidden", "cpu narrow-hidden", "memory narrow-hidden", "age narrow-hidden"].map((name) => h("td", { class: `number ${name}` }));
      return h("tr", {}, link(execution), h("td", { class: "status" }), h("td", {}, nameOf(execution)), h("td", { class: "start narrow-hidden" }), ...cells);
    };
    keep($("recent"), rows, (execution) => execution.id, create, (row, execution) => {
      const cell = (name, text) => setText(row.querySelector(`.${name}`), text);
      if (row.dataset.status !== execution.status) {
        row.dataset.status = execution.status;
        row.querySelector(".status").replaceChildren(badge(execution.status));
        if (execution.detail) row.title = execution.detail;
      }
      cell("start", execution.start_kind ?? "–");
      cell("total", ms(execution.total_ms));
      cell("run", ms(execution.run_ms));
      cell("cpu", ms(execution.cpu_time_ms));
      cell("memory", bytes(execution.memory_peak_bytes));
      cell("age", age(new Date(execution.created_at), now));
    });
  }

  /** Shows one whole. */
  async open(id) {
    this.#opened = { id, ended: false };
    setText($("detail-title"), id);
    $("detail-body").replaceChildren(h("p", { class: "empty" }, "Loading …"));
    if (!$("detail").open) $("detail").showModal();
    await this.#follow();
  }

  async #follow() {
    const opened = this.#opened;
    if (opened === null || opened.ended || document.hidden) return;
    try {
      const execution = await get(`/v1/executions/${encodeURIComponent(opened.id)}`);
      if (this.#opened !== opened || opened.ended) return;
      opened.ended = !["queued", "running"].includes(execution.status);
      if (opened.ended || opened.status !== execution.status) {
        opened.status = execution.status;
        const since = h("p", { class: "muted number" }, `Asked for at ${new Date(execution.created_at).toLocaleString()}`);
        const pending = h("p", { class: "empty" }, "It has not ended yet; the rest is shown when it has.");
        $("detail-body").replaceChildren(since, opened.ended ? executionView(execution) : h("div", {}, badge(execution.status), pending));
      }
    } catch (problem) {
      if (this.#opened !== opened || problem.status === 0) return;
      opened.ended = true;
      $("detail-body").replaceChildren(h("p", { class: "detail bad" }, problem.message));
    }
  }
}

function link(execution) {
  return h("th", { scope: "row", class: "mono" }, h("a", { href: `#executions/${execution.id}`, title: execution.id, "aria-label": `Show ${execution.id}` }, shortId(execution.id)));
}

const nameOf = ({ language, bundle }) => (language === bundle ? language : `${language} (${bundle})`);
