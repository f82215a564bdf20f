// What was used in the last day and what it cost, and the minutes before the page was opened. Owns the questions to
// `/v1/accounting`.

import { get } from "./api.js";
import { $, h, keep, setText, show } from "./dom.js";
import { bytes, count, money, ms } from "./format.js";
import { repeat } from "./objectives.js";

const EVERY_MS = 30_000;
const GIB_HOUR = 1024 ** 3 * 3600;

/** Starts the panel; what is returned makes it ask anew. */
export function startCost(wanted) {
  return repeat($("cost-panel"), EVERY_MS, wanted, async () => drawUse(await get("/v1/accounting?group_by=language&from=24h")));
}

function drawUse({ rows, total, prices, records, store }) {
  const priced = Boolean(prices);
  for (const cell of document.querySelectorAll("#cost-panel .priced")) show(cell, priced);
  show($("cost-empty"), rows.length === 0);
  const sorted = [...rows].sort((a, b) => b.executions - a.executions);
  const lines = rows.length > 1 ? [...sorted, { ...total, language: "All" }] : sorted;
  const create = (row) => {
    const cells = ["runs", "cpu", "each", "memory"].map((name) => h("td", { class: `number ${name}` }));
    return h("tr", {}, h("th", { scope: "row" }, row.language), ...cells, h("td", { class: "number priced" }));
  };
  keep($("cost"), lines, (row) => row.language, create, (line, row) => {
    const cell = (name, text) => setText(line.querySelector(`.${name}`), text);
    cell("runs", count(row.executions));
    cell("cpu", ms(row.cpu_time_ms));
    cell("each", row.executions > 0 && row.cpu_time_ms !== null ? ms(row.cpu_time_ms / row.executions) : "–");
    cell("memory", row.memory_byte_seconds === null ? "–" : `${bytes(row.memory_byte_seconds / GIB_HOUR * 1024 ** 3)}·h`);
    show(line.querySelector(".priced"), priced);
    if (priced) cell("priced", money(row.cost, prices.currency));
  });
  const troubles = [];
  if (records?.lost > 0) troubles.push(`${count(records.lost)} executions could not be recorded.`);
  if (store?.trouble) troubles.push(store.trouble);
  setText($("records"), troubles.join(" "));
  show($("records"), troubles.length > 0);
}

/** The last minutes as points for the charts, from the accounting of whole minutes. */
export async function earlier() {
  const { rows } = await get("/v1/accounting?bucket=minute&from=11m");
  return rows
    .filter((row) => row.at)
    .map((row) => ({
      time: Date.parse(row.at) / 1000 + 30,
      values: { completions: row.executions / 60, p50: row.total_p50_ms, p95: row.total_p95_ms, p99: row.total_p99_ms },
    }))
    .sort((a, b) => a.time - b.time);
}
