// The last minutes of what was measured, for the charts. Owns their bound: older points go, however long the page stays
// open.

/** So many seconds are kept. */
export const WINDOW_S = 600;

/** More points than seconds: those of the server's accounting may come before. */
const MOST_POINTS = WINDOW_S + 60;

export class History {
  #times = [];
  #columns = new Map();

  /** Adds a point; `time` in seconds. A name that is not among the values has a gap there. */
  push(time, values) {
    const last = this.#times.at(-1);
    if (last !== undefined && time <= last) return;
    // A pause of some seconds is shown as one, and not as a line between before and after.
    if (last !== undefined && time - last > 5) this.#append(last + 1, {});
    this.#append(time, values);
    const old = this.#times.findIndex((kept) => kept > time - WINDOW_S);
    this.#drop(Math.max(old, this.#times.length - MOST_POINTS));
  }

  /** Puts points before the first one. */
  prepend(points) {
    const first = this.#times[0] ?? Infinity;
    const earlier = points.filter((point) => point.time < first).slice(-60);
    const columns = this.#columns;
    for (const { values } of earlier) for (const name of Object.keys(values)) this.#column(name);
    for (const [name, column] of columns) column.unshift(...earlier.map((point) => point.values[name] ?? null));
    this.#times.unshift(...earlier.map((point) => point.time));
  }

  clear() {
    this.#times = [];
    this.#columns.clear();
  }

  get times() {
    return this.#times;
  }

  /** The values of a name, one for each time; null where there is none. */
  column(name) {
    return this.#columns.get(name) ?? this.#times.map(() => null);
  }

  #column(name) {
    let column = this.#columns.get(name);
    if (!column) {
      column = this.#times.map(() => null);
      this.#columns.set(name, column);
    }
    return column;
  }

  #append(time, values) {
    for (const name of Object.keys(values)) this.#column(name);
    this.#times.push(time);
    for (const [name, column] of this.#columns) column.push(values[name] ?? null);
  }

  #drop(number) {
    if (number <= 0) return;
    this.#times.splice(0, number);
    for (const [name, column] of this.#columns) {
      column.splice(0, number);
      // A language that nobody uses any more takes no memory.
      if (column.every((value) => value === null)) this.#columns.delete(name);
    }
  }
}
