// How numbers look: three digits that matter, and the unit. Owns no number.

const NONE = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const formats = [0, 1, 2, 3].map(
  (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

/** Three digits that matter, but no more decimals than two, or three of what is very small. */
export function number(value) {
  if (missing(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.0005) return value < 0 ? "0" : "< 0.001";
  if (size < 0.01) return formats[3].format(value);
  if (size < 10) return formats[2].format(value);
  if (size < 100) return formats[1].format(value);
  return whole.format(value);
}

/** A count. */
export function count(value) {
  return missing(value) ? NONE : whole.format(value);
}

/** Requests, runs: so many a second. */
export function rate(value) {
  return missing(value) ? NONE : `${number(value)}/s`;
}

/** A duration in milliseconds. */
export function ms(value) {
  if (missing(value)) return NONE;
  if (Math.abs(value) < 1000) return `${number(value)} ms`;
  if (Math.abs(value) < 60_000) return `${number(value / 1000)} s`;
  return duration(value / 1000);
}

/** A long duration in seconds. */
export function duration(seconds) {
  if (missing(seconds)) return NONE;
  if (seconds < 60) return `${number(Math.floor(seconds))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A size in bytes. */
export function bytes(value) {
  if (missing(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let rest = value;
  let unit = 0;
  while (Math.abs(rest) >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(rest) : number(rest)} ${units[unit]}`;
}

/** A share of one. */
export function percent(value) {
  if (missing(value)) return NONE;
  const percentage = value * 100;
  if (percentage > 0 && percentage < 0.01) return "< 0.01 %";
  if (percentage < 100 && percentage > 99.99) return "> 99.99 %";
  return `${percentage === 0 || percentage >= 100 ? whole.format(percentage) : number(percentage)} %`;
}

/** Money; small amounts keep digits that matter. */
export function money(value, currency) {
  if (missing(value)) return NONE;
  const size = Math.abs(value);
  const digits = size === 0 || size >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(size)));
  try {
    const style = { style: "currency", currency, minimumFractionDigits: 2, maximumFractionDigits: digits };
    return new Intl.NumberFormat("en", style).format(value);
  } catch {
    return `${value.toFixed(digits)} ${currency}`;
  }
}

/** A moment, as the time of day. */
export function clock(date) {
  return date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** How long ago a moment was. */
export function age(date, now) {
  const seconds = Math.max(0, (now - date) / 1000);
  if (seconds < 1.5) return "now";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A word of the API for people: `timed_out` is "timed out". */
export function words(name) {
  return missing(name) ? NONE : String(name).replaceAll("_", " ");
}

/** An id in few letters: ids sort by time, so that the last letters tell them apart. */
export function shortId(id) {
  return id.length > 14 ? `…${id.slice(-6)}` : id;
}
