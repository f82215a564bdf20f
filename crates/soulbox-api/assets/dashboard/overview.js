// The overview: tiles, charts and tables of the live figures. Owns which figure is shown where.

import { Chart } from "./charts.js";
import { $, h, keep, meter, setMeter, setText, show } from "./dom.js";
import { bytes, count, money, ms, percent, rate, words } from "./format.js";

// More lines than this in one chart cannot be told apart.
const MOST_LINES = 8;
// Bundles whose course is kept; the table has all of them.
const MOST_POOLS = 24;
const COLOURS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];
const LAYERS = [
  ["runs_private_bytes", "Runs, private", "--c1"],
  ["runs_shared_bytes", "Runs, shared", "--c2"],
  ["zygotes_bytes", "Zygotes", "--c4"],
  ["parked_bytes", "Parked", "--c3"],
  ["remains_bytes", "Left by runs", "--c8"],
  ["daemon_bytes", "Daemon", "--c6"],
];
const KINDS = ["parked", "zygote", "cold"];

/** The colour that goes with a status. */
export function tone(status) {
  if (status === "succeeded") return "good";
  if (status === "queued" || status === "running") return "active";
  if (status === "cancelled") return "plain";
  return status === "failed" || status === "compile_failed" ? "warn" : "bad";
}

export class Overview {
  #history;
  #charts = new Map();
  #tiles = new Map();
  #languages = [];
  #bundle = "";
  #bundleChoice;

  constructor(history) {
    this.#history = history;
    this.#bundleChoice = h("select", { class: "small", id: "pool-bundle", "aria-label": "Bundle of the chart", change: (event) => this.#choose(event.target.value) });
    this.#chart({
      id: "rate", title: "Requests", format: rate,
      series: [
        { name: "completions", label: "Completed", colour: "--c1", fill: true },
        { name: "arrivals", label: "Arrived", colour: "--c2" },
        { name: "rejections", label: "Rejected", colour: "--c5" },
      ],
    });
    this.#chart({
      id: "latency", title: "Latency", format: ms,
      series: [
        { name: "p50", label: "P50", colour: "--c1" },
        { name: "p95", label: "P95", colour: "--c3" },
        { name: "p99", label: "P99", colour: "--c5" },
      ],
    });
    this.#chart({ id: "start", title: "Start time by language", format: ms, series: () => this.#languageSeries() });
    this.#chart({
      id: "memory", title: "Memory by layer", format: bytes, stacked: true, steps: "sizes",
      series: [
        ...LAYERS.map(([name, label, colour]) => ({ name, label, colour })),
        { name: "cgroup_bytes", label: "Cgroup", colour: "--muted", line: true, dash: [5, 4] },
      ],
    });
    this.#chart({
      id: "pool", title: "Pool", format: count, steps: "counts", right: rate, control: this.#bundleChoice, least: 4,
      series: () => [
        { name: `pool:${this.#bundle}:parked`, label: "Parked", colour: "--c1", fill: true },
        { name: `pool:${this.#bundle}:wanted`, label: "Wanted", colour: "--c4" },
        { name: `pool:${this.#bundle}:predicted`, label: "Predicted", colour: "--c3", dash: [5, 4] },
        { name: `pool:${this.#bundle}:demand`, label: "Demand", colour: "--c7", right: true },
      ],
    });
    this.#chart({
      id: "queue", title: "Running and queued", format: count, steps: "counts", least: 4,
      series: [
        { name: "running", label: "Running", colour: "--c1", fill: true },
        { name: "queued", label: "Queued", colour: "--c3" },
      ],
    });
    this.#chart({
      id: "pressure", title: "Pressure", format: (value) => percent(value === null || value === undefined ? value : value / 100), least: 5,
      series: [
        { name: "cpu_some_avg10", label: "CPU", colour: "--c1" },
        { name: "memory_some_avg10", label: "Memory", colour: "--c4" },
        { name: "io_some_avg10", label: "IO", colour: "--c3" },
      ],
    });
    this.#chart({
      id: "cost", title: "Cost", format: (value) => money(value, this.currency ?? "USD"),
      series: [{ name: "cost", label: "Per hour", colour: "--c8", fill: true }],
    });
    show(this.#charts.get("pressure").element, false);
    show(this.#charts.get("cost").element, false);
  }

  #chart(options) {
    const chart = new Chart(this.#history, options);
    this.#charts.set(options.id, chart);
    $("charts").append(chart.element);
  }

  /** What a sample adds to the history. */
  static values(sample) {
    const values = {
      arrivals: sample.rate?.arrivals_per_s, completions: sample.rate?.completions_per_s, rejections: sample.rate?.rejections_per_s,
      p50: sample.latency?.p50_ms, p95: sample.latency?.p95_ms, p99: sample.latency?.p99_ms,
      running: sample.queue?.running, queued: sample.queue?.queued, cost: sample.cost?.per_hour, cgroup_bytes: sample.memory?.cgroup_bytes, ...sample.pressure,
    };
    for (const [layer] of LAYERS) values[layer] = sample.memory?.[layer];
    for (const language of (sample.languages ?? []).slice(0, MOST_LINES)) values[`start:${language.language}`] = language.start_p50_ms;
    for (const pool of (sample.pools ?? []).slice(0, MOST_POOLS)) {
      values[`pool:${pool.bundle}:parked`] = pool.parked;
      values[`pool:${pool.bundle}:wanted`] = pool.wanted;
      values[`pool:${pool.bundle}:predicted`] = pool.predicted;
      values[`pool:${pool.bundle}:demand`] = pool.arrivals_per_s;
    }
    return values;
  }

  /** Shows a sample, whose values are in the history already. */
  draw(sample) {
    this.#drawTiles(sample);
    this.#drawPools(sample.pools ?? []);
    this.#drawLanguages(sample.languages ?? []);
    this.#drawStatuses(sample.statuses ?? {});
    this.currency = sample.cost?.currency;
    show(this.#charts.get("memory").element, Boolean(sample.memory));
    show(this.#charts.get("pressure").element, Boolean(sample.pressure));
    show(this.#charts.get("cost").element, Boolean(sample.cost));
    const shown = [...this.#charts.values()].filter((chart) => !chart.element.hidden);
    $("charts").dataset.count = String(shown.length);
    for (const chart of shown) chart.draw();
  }

  #drawTiles(sample) {
    const { pressure, cost, slo, memory } = sample;
    const [rates, latency, queue] = [sample.rate ?? {}, sample.latency ?? {}, sample.queue ?? {}];
    const ended = Object.values(sample.statuses ?? {}).reduce((sum, each) => sum + each, 0);
    const good = sample.statuses?.succeeded ?? 0;
    const tiles = [
      ["requests", "Requests", rate(rates.completions_per_s), `${rate(rates.arrivals_per_s)} arriving`, rates.rejections_per_s > 0 ? "warn" : "", `${rate(rates.rejections_per_s)} rejected`],
      ["latency", "Latency P95", ms(latency.p95_ms), `P50 ${ms(latency.p50_ms)}`, "", `P99 ${ms(latency.p99_ms)}`],
      ["running", "Running", count(queue.running), `of ${count(queue.max_concurrent)}`, queue.queued > 0 ? "warn" : "", queue.queued > 0 ? `${count(queue.queued)} queued, ${ms(queue.estimated_wait_ms)}` : "none queued"],
      ["succeeded", "Succeeded", ended === 0 ? "–" : percent(good / ended), `${count(ended)} in 60 s`, "", ended === good ? "" : `${count(ended - good)} otherwise`],
    ];
    if (memory) tiles.push(["memory", "Memory", bytes(memory.total_bytes), `of ${bytes(sample.host_memory_bytes)}`, "", `${bytes(memory.zygotes_bytes + memory.parked_bytes)} ready`]);
    if (pressure) tiles.push(["pressure", "CPU pressure", percent(pressure.cpu_some_avg10 / 100), `memory ${percent(pressure.memory_some_avg10 / 100)}`, pressure.memory_full_avg10 > 5 ? "bad" : "", `IO ${percent(pressure.io_some_avg10 / 100)}`]);
    if (cost) tiles.push(["cost", "Cost", `${money(cost.per_hour, cost.currency)}`, "per hour", "", `${money(cost.per_hour * 730, cost.currency)} a month`]);
    if (slo) {
      const met = slo.objectives.filter((objective) => objective.met).length;
      const least = Math.min(1, ...slo.objectives.map((objective) => objective.budget_left ?? 1));
      tiles.push(["slo", "Objectives met", `${met}/${slo.objectives.length}`, `least budget ${percent(least)}`, met < slo.objectives.length ? "bad" : "good", ""]);
    }
    if (sample.alerts !== null && sample.alerts !== undefined) tiles.push(["alerts", "Alerts", count(sample.alerts), sample.alerts === 0 ? "all quiet" : "see below", sample.alerts > 0 ? "bad" : "", ""]);
    const create = ([name, label]) => {
      const parts = { value: h("dd", { class: "value number", id: `tile-${name}` }), first: h("dd", { class: "sub number" }), second: h("dd", { class: "sub number" }) };
      this.#tiles.set(name, parts);
      return h("div", { class: "tile" }, h("dt", {}, label), parts.value, parts.first, parts.second);
    };
    keep($("tiles"), tiles, ([name]) => name, create, (element, [name, , value, first, mood, second]) => {
      const parts = this.#tiles.get(name);
      setText(parts.value, value);
      setText(parts.first, first);
      setText(parts.second, second);
      const wanted = `tile ${mood}`;
      if (element.className !== wanted) element.className = wanted;
    });
  }

  #drawPools(pools) {
    const sorted = [...pools].sort((a, b) => b.arrivals_per_s - a.arrivals_per_s || a.bundle.localeCompare(b.bundle));
    if (!pools.some((pool) => pool.bundle === this.#bundle)) this.#bundle = sorted[0]?.bundle ?? "";
    const names = pools.slice(0, MOST_POOLS).map((pool) => pool.bundle).sort();
    keep(this.#bundleChoice, names, (name) => name, (name) => h("option", { value: name }, name), () => {});
    if (this.#bundleChoice.value !== this.#bundle) this.#bundleChoice.value = this.#bundle;
    show(this.#bundleChoice, names.length > 1);
    const create = (pool) => {
      const cells = ["demand", "parked", "wanted", "predicted", "hits", "memory"].map((name) => h("td", { class: `number ${name}` }));
      return h("tr", {}, h("th", { scope: "row" }, pool.bundle), ...cells, h("td", { class: "zygote" }));
    };
    keep($("pools"), sorted, (pool) => pool.bundle, create, (row, pool) => {
      const cell = (name, text) => setText(row.querySelector(`.${name}`), text);
      const taken = pool.hits + pool.misses;
      cell("demand", rate(pool.arrivals_per_s));
      cell("parked", count(pool.parked));
      cell("wanted", count(pool.wanted));
      cell("predicted", count(pool.predicted));
      cell("hits", taken === 0 ? "–" : percent(pool.hits / taken));
      cell("memory", bytes(pool.memory_bytes));
      const zygote = row.querySelector(".zygote");
      if (zygote.dataset.up !== String(pool.zygote_up)) {
        zygote.dataset.up = String(pool.zygote_up);
        zygote.replaceChildren(h("span", { class: `badge ${pool.zygote_up ? "good" : "plain"}` }, pool.zygote_up ? "up" : "down"));
      }
    });
  }

  #choose(bundle) {
    this.#bundle = bundle;
    this.#charts.get("pool").draw();
  }

  #drawLanguages(languages) {
    for (const { language } of languages) if (!this.#languages.includes(language) && this.#languages.length < MOST_LINES) this.#languages.push(language);
    const used = languages.filter((language) => language.count > 0);
    show($("languages-empty"), used.length === 0);
    const create = (language) => {
      const cells = ["runs", "start50", "start95", "total50", "total95"].map((name) => h("td", { class: `number ${name}` }));
      const kinds = h("div", { class: "segments", role: "img" }, ...KINDS.map((kind) => h("span", { class: kind })));
      return h("tr", {}, h("th", { scope: "row" }, language.language), ...cells, h("td", {}, h("div", { class: "kinds" }, kinds, h("span", { class: "number share" }))));
    };
    keep($("languages"), used, (language) => language.language, create, (row, language) => {
      const cell = (name, text) => setText(row.querySelector(`.${name}`), text);
      cell("runs", count(language.count));
      cell("start50", ms(language.start_p50_ms));
      cell("start95", ms(language.start_p95_ms));
      cell("total50", ms(language.total_p50_ms));
      cell("total95", ms(language.total_p95_ms));
      const kinds = language.start_kinds ?? {};
      const sum = KINDS.reduce((all, kind) => all + (kinds[kind] ?? 0), 0);
      for (const kind of KINDS) row.querySelector(`.${kind}`).style.flexGrow = kinds[kind] ?? 0;
      cell("share", sum === 0 ? "–" : `${percent((kinds.parked ?? 0) / sum)} parked`);
      const told = KINDS.map((kind) => `${count(kinds[kind] ?? 0)} ${kind}`).join(", ");
      const bar = row.querySelector(".segments");
      bar.setAttribute("aria-label", told);
      bar.title = told;
    });
  }

  #languageSeries() {
    return [...this.#languages].sort().map((language, index) => ({ name: `start:${language}`, label: language, colour: COLOURS[index % COLOURS.length] }));
  }

  #drawStatuses(statuses) {
    const counted = Object.entries(statuses).filter(([, number]) => number > 0).sort((a, b) => b[1] - a[1]);
    const all = counted.reduce((sum, [, number]) => sum + number, 0);
    show($("statuses-empty"), all === 0);
    const create = ([status]) =>
      h("li", {}, h("span", { class: "name" }, words(status)), meter(words(status), 0, 1, tone(status)), h("span", { class: "number value" }));
    keep($("statuses"), counted, ([status]) => status, create, (item, [, number]) => {
      setMeter(item.querySelector(".meter"), number, all);
      setText(item.querySelector(".value"), `${count(number)} · ${percent(number / all)}`);
    });
  }
}
