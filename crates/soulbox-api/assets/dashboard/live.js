// The stream of live figures. Owns the connection: it comes back by itself with back-off, polls where the server has no
// room for another listener, and lets go when nobody has looked for a while.

import { ask, get } from "./api.js";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
const POLL_MS = 3000;
// While it polls it asks for a place in the stream every so often.
const TRY_STREAM_MS = 30_000;
// One figure a second is due; more than this without one and what is shown is old.
const STALE_MS = 4000;
// A hidden page gives its place in the stream to others after this long.
const HIDDEN_MS = 120_000;

/**
 * Follows `/v1/live`. `onSample(sample)` gets each object, `onState({state, text})` each change of: connecting, live,
 * polling, stale, waiting, resting, key, denied, absent.
 */
export class Feed {
  #onSample;
  #onState;
  #run = 0;
  #abort = null;
  #failures = 0;
  #lastSample = 0;
  #streaming = false;
  #wake = () => {};
  #restTimer = null;
  #resting = false;

  constructor(onSample, onState) {
    this.#onSample = onSample;
    this.#onState = onState;
    setInterval(() => this.#watch(), 1000);
    document.addEventListener("visibilitychange", () => this.#visibility());
    addEventListener("online", () => this.retry());
  }

  /** Begins anew, for example with another key. */
  restart() {
    this.stop();
    this.#failures = 0;
    this.#state("connecting", "Connecting");
    this.#follow(this.#run);
  }

  stop() {
    this.#run += 1;
    this.#abort?.abort();
    this.#wake();
  }

  /** Does not wait any longer. */
  retry() {
    if (this.#resting) return;
    this.#failures = 0;
    this.#wake();
  }

  async #follow(run) {
    let pollUntil = 0;
    let why = "";
    while (run === this.#run) {
      try {
        if (performance.now() < pollUntil) {
          this.#sample(await get("/v1/live"), run);
          if (run === this.#run) this.#state("polling", why);
          this.#failures = 0;
          await this.#pause(POLL_MS);
        } else {
          await this.#stream(run);
          // The server has ended it, as when it shuts down.
          this.#failures += 1;
          await this.#backOff(run, "The stream ended");
        }
      } catch (problem) {
        if (run !== this.#run) return;
        if (problem.status === 401) return this.#state("key", "API key needed");
        if (problem.status === 403) return this.#state("denied", problem.message);
        const polling = performance.now() < pollUntil;
        if (problem.status === 404) {
          if (polling) return this.#state("absent", "This server has no live figures");
          pollUntil = Infinity;
          why = "This server has no stream";
          continue;
        }
        if ((problem.status === 503 || problem.status === 429) && !polling) {
          // Other pages have all the places in the stream.
          pollUntil = performance.now() + TRY_STREAM_MS * (0.75 + Math.random() / 2);
          why = "All places in the stream are taken";
          continue;
        }
        this.#failures += 1;
        await this.#backOff(run, problem.status === 0 ? "Server unreachable" : problem.message, problem.retryAfter);
      }
    }
  }

  async #stream(run) {
    const abort = new AbortController();
    this.#abort = abort;
    try {
      const headers = { accept: "text/event-stream" };
      const response = await ask("/v1/live/events", { headers, signal: abort.signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done || run !== this.#run) return;
        const events = (rest + value.replaceAll("\r\n", "\n")).split("\n\n");
        rest = events.pop();
        for (const event of events) this.#event(event, run);
      }
    } catch (error) {
      // It broke off, which is no problem document.
      if (error.status === undefined) error.status = 0;
      throw error;
    } finally {
      this.#streaming = false;
      abort.abort();
    }
  }

  #event(text, run) {
    let name = "message";
    const data = [];
    for (const line of text.split("\n")) {
      if (line.startsWith("event:")) name = line.slice(6).trim();
      else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    }
    if (name !== "live" || data.length === 0) return;
    this.#streaming = true;
    this.#failures = 0;
    this.#sample(JSON.parse(data.join("\n")), run);
    this.#state("live", "Live");
  }

  #sample(sample, run) {
    if (run !== this.#run) return;
    this.#lastSample = performance.now();
    this.#onSample(sample);
  }

  /** Waits twice as long as the last time, and not as long as others do. */
  async #backOff(run, why, atLeastS = null) {
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures - 1, 10));
    const pause = Math.max(longest * (0.75 + Math.random() / 2), (atLeastS ?? 0) * 1000);
    const until = performance.now() + pause;
    const tell = () => {
      const left = Math.max(1, Math.ceil((until - performance.now()) / 1000));
      if (run === this.#run) this.#state("waiting", `${why}; again in ${left} s`);
    };
    tell();
    const ticker = setInterval(tell, 1000);
    await this.#pause(pause);
    clearInterval(ticker);
  }

  #pause(time) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, time);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Says so when nothing has come for a while. */
  #watch() {
    const silence = performance.now() - this.#lastSample;
    if (this.#streaming && silence > STALE_MS) {
      this.#state("stale", `No figures for ${Math.round(silence / 1000)} s`);
    }
    // A connection that says nothing at all is probably dead.
    if (this.#streaming && silence > 4 * STALE_MS) this.#abort?.abort();
  }

  #visibility() {
    clearTimeout(this.#restTimer);
    if (document.hidden) {
      this.#restTimer = setTimeout(() => {
        this.#resting = true;
        this.stop();
        this.#state("resting", "Resting while hidden");
      }, HIDDEN_MS);
    } else if (this.#resting) {
      this.#resting = false;
      this.restart();
    }
  }

  #state(state, text) {
    this.#onState({ state, text });
  }
}
