// Line and area charts over the last minutes, by uPlot. Owns how a chart looks and reads: its legend, its colours, its
// table for those who do not see it. It never knows what is measured.

import { h, setText } from "./dom.js";
import { clock } from "./format.js";
import { WINDOW_S } from "./history.js";

// Steps of the axes: those of the clock, of counts, and of sizes.
const TIME_STEPS = [5, 10, 15, 30, 60, 120, 180, 300, 600];
const STEPS = {
  counts: Array.from({ length: 8 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat(),
  sizes: Array.from({ length: 50 }, (_, power) => 2 ** power),
};

const all = new Set();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** With another theme the canvases are drawn anew, since they do not follow styles. */
export function recolour() {
  for (const chart of all) chart.rebuild();
}

/**
 * A chart with its frame. `series` is a list of {name, label, colour, dash}, or what returns one; `format` makes text
 * of values, `right` of those of series with an axis of their own on the right; `steps` are those of the axis; `stacked`
 * puts one on the other, but for those with `line`.
 */
export class Chart {
  #history;
  #options;
  #series = [];
  #plot = null;
  #holder;
  #legend;
  #table;
  #details;
  #entries = new Map();
  #hovered = null;
  #summarised = -Infinity;
  #shape = "";

  constructor(history, options) {
    this.#history = history;
    this.#options = options;
    const id = `chart-${options.id}`;
    this.#holder = h("div", { class: "plot", role: "img", "aria-label": options.title });
    this.#legend = h("ul", { class: "legend" });
    this.#table = h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `${options.title}, as a table` });
    this.#details = h("details", { class: "as-table", toggle: () => this.#fillTable() }, h("summary", {}, "Table"), this.#table);
    const head = h("div", { class: "panel-head" }, h("h2", { id: `${id}-title` }, options.title));
    if (options.control) head.append(options.control);
    this.element = h("section", { class: "panel chart", id, "aria-labelledby": `${id}-title` }, head, this.#holder, this.#legend, this.#details);
    new ResizeObserver(() => this.#resize()).observe(this.#holder);
    all.add(this);
  }

  /** Draws what there is now. */
  draw() {
    if (this.element.hidden || this.#holder.clientWidth === 0) return;
    const series = typeof this.#options.series === "function" ? this.#options.series() : this.#options.series;
    const shape = JSON.stringify(series);
    if (shape !== this.#shape || !this.#plot) {
      this.#shape = shape;
      this.#series = series;
      this.rebuild();
    }
    const data = this.#data();
    this.#plot.setData(data, false);
    const [from, to] = this.#span();
    this.#plot.setScale("x", { min: from, max: to });
    this.#readOut();
    const now = performance.now();
    if (now - this.#summarised > 5000) {
      this.#summarised = now;
      this.#summarise();
      if (this.#details.open) this.#fillTable();
    }
  }

  rebuild() {
    if (this.#shape === "") return;
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#settings(), this.#data(), this.#holder);
    this.#makeLegend();
  }

  /** From the first point on, but no less than a minute and no more than what is kept. */
  #span() {
    const times = this.#history.times;
    const to = times.at(-1) ?? Date.now() / 1000;
    const from = Math.max(to - WINDOW_S, Math.min(times[0] ?? to, to - 60));
    return [from, to];
  }

  #data() {
    const columns = this.#series.map(({ name }) => this.#history.column(name));
    if (this.#options.stacked) {
      let below = null;
      this.#series.forEach((series, index) => {
        if (series.line) return;
        const own = columns[index];
        if (below !== null) {
          const under = below;
          columns[index] = own.map((value, at) => (value === null || under[at] === null ? value : value + under[at]));
        }
        below = columns[index];
      });
    }
    return [this.#history.times, ...columns];
  }

  #settings() {
    const { format, stacked, right, least = 0 } = this.#options;
    const range = (_, __, most) => [0, Math.max(least, (most ?? 0) * 1.12) || 1];
    const ticks = (format) => (_, values) => values.map((value) => trimmed(format(value)));
    const incrs = STEPS[this.#options.steps];
    const font = "11px system-ui, sans-serif";
    const grid = { stroke: colour("--grid"), width: 1 };
    const axis = { stroke: colour("--muted"), font, grid, ticks: { show: false } };
    const areas = this.#series.flatMap(({ line }, index) => (line ? [] : [index + 1]));
    return {
      width: Math.max(60, this.#holder.clientWidth),
      height: this.#options.height ?? 150,
      padding: [8, right ? 0 : 18, 0, 0],
      legend: { show: false },
      select: { show: false },
      cursor: { sync: { key: "soulbox" }, drag: { x: false, y: false }, points: { size: 6 }, y: false },
      scales: {
        x: { time: true, auto: false },
        y: { range },
        right: { range },
      },
      axes: [
        {
          ...axis, size: 26, space: 70, grid: { show: false }, incrs: TIME_STEPS,
          values: (_, ticks, __, ___, step) => ticks.map((tick) => clock(new Date(tick * 1000)).slice(0, step < 60 ? 8 : 5)),
        },
        { ...axis, size: 58, space: 30, values: ticks(format), ...(incrs && { incrs }) },
        ...(right ? [{ ...axis, scale: "right", side: 1, size: 46, space: 30, grid: { show: false }, values: ticks(right) }] : []),
      ],
      series: [
        {},
        ...this.#series.map((series) => ({
          label: series.label,
          scale: series.right ? "right" : "y",
          stroke: colour(series.colour),
          width: stacked && !series.line ? 1 : 1.75,
          dash: series.dash,
          fill: (stacked && !series.line) || series.fill ? tint(colour(series.colour), stacked ? 0.5 : 0.12) : undefined,
          points: { show: (_, __, first, last) => last - first < 2 },
        })),
      ],
      bands: stacked ? areas.slice(1).map((area, index) => ({ series: [area, areas[index]] })) : [],
      hooks: {
        setCursor: [
          (plot) => {
            const at = plot.cursor.left >= 0 ? plot.cursor.idx : null;
            if (at !== this.#hovered) {
              this.#hovered = at;
              this.#readOut();
            }
          },
        ],
      },
    };
  }

  #makeLegend() {
    this.#entries.clear();
    this.#legend.replaceChildren(
      ...this.#series.map((series, index) => {
        const value = h("span", { class: "value number" });
        this.#entries.set(series.name, value);
        const swatch = h("span", { class: `swatch ${series.dash ? "dashed " : ""}${series.colour.slice(2)}`, "aria-hidden": "true" });
        return h("li", { "data-index": index }, swatch, h("span", { class: "name" }, series.label), value);
      }),
    );
  }

  /** The values at the pointer, else the last ones. */
  #readOut() {
    for (const series of this.#series) {
      const column = this.#history.column(series.name);
      setText(this.#entries.get(series.name), this.#text(series, column[this.#hovered ?? column.length - 1]));
    }
  }

  #text(series, value) {
    return series.right ? this.#options.right(value) : this.#options.format(value);
  }

  #summarise() {
    const [from, to] = this.#span();
    const parts = this.#series.map((series) => `${series.label} ${this.#text(series, this.#history.column(series.name).at(-1))}`);
    const minutes = Math.max(1, Math.round((to - from) / 60));
    this.#holder.setAttribute("aria-label", `${this.#options.title} over ${minutes} min; now: ${parts.join(", ")}`);
  }

  /** Ten lines tell the course; the last one is now. */
  #fillTable() {
    if (!this.#details.open) return;
    const times = this.#history.times;
    const rows = Math.min(10, times.length);
    const picked = Array.from({ length: rows }, (_, row) => Math.round(((times.length - 1) * row) / Math.max(1, rows - 1)));
    const head = h("tr", {}, h("th", { scope: "col" }, "Time"), ...this.#series.map(({ label }) => h("th", { scope: "col", class: "number" }, label)));
    const body = [...new Set(picked)].reverse().map((at) =>
      h(
        "tr", {},
        h("th", { scope: "row", class: "number" }, clock(new Date(times[at] * 1000))),
        ...this.#series.map((series) => h("td", { class: "number" }, this.#text(series, this.#history.column(series.name)[at]))),
      ),
    );
    this.#table.replaceChildren(h("table", {}, h("thead", {}, head), h("tbody", {}, ...body)));
  }

  #resize() {
    const width = this.#holder.clientWidth;
    if (this.#plot && width > 0 && Math.abs(this.#plot.width - width) > 1) {
      this.#plot.setSize({ width, height: this.#options.height ?? 150 });
    }
  }
}

/** On an axis zeros behind the point say nothing. */
function trimmed(text) {
  return text.replace(/(\.\d*?)0+(?!\d)/, "$1").replace(/\.(?!\d)/, "");
}

function tint(hex, share) {
  const value = Number.parseInt(hex.slice(1), 16);
  return `rgba(${value >> 16}, ${(value >> 8) & 255}, ${value & 255}, ${share})`;
}
