// Wires the page: views, key, theme, and what each sample of the stream changes. Owns no panel.

import { hasKey, onRefused, useKey } from "./api.js";
import { recolour } from "./charts.js";
import { earlier, startCost } from "./cost.js";
import { askKey, keyAccepted, notice } from "./dialogs.js";
import { $, announce, setText, show } from "./dom.js";
import { Executions } from "./executions.js";
import { duration } from "./format.js";
import { History } from "./history.js";
import { Feed } from "./live.js";
import { startObjectives } from "./objectives.js";
import { Overview } from "./overview.js";
import { loadLanguages, startTryIt } from "./try_it.js";

const VIEWS = ["overview", "executions", "try"];
const TITLES = { overview: "Overview", executions: "Executions", try: "Try it" };

const history = new History();
const overview = new Overview(history);
let view = "";
let latest = null;
let paused = false;
let frame = null;
let keyAsked = false;
// Nothing is asked for until there is another key.
let locked = false;
let backfilled = false;

const visible = (name) => () => view === name && !document.hidden && !paused && !locked;
const executions = new Executions(visible("executions"));
const refreshers = [startObjectives(visible("overview")), startCost(visible("overview")), () => executions.refresh()];

function draw() {
  frame = null;
  if (latest === null || document.hidden || paused) return;
  if (view === "overview") overview.draw(latest);
  if (view === "executions") executions.drawRunning(latest.running ?? [], latest.queue?.running ?? 0);
}

/** Once a frame, and never in a page that nobody sees. */
function drawSoon() {
  if (frame === null && !document.hidden) frame = requestAnimationFrame(draw);
}

function onSample(sample) {
  latest = sample;
  history.push(Date.parse(sample.at) / 1000, Overview.values(sample));
  setText($("version"), `v${sample.version}`);
  setText($("uptime"), `Up ${duration(sample.uptime_s)}`);
  if (!backfilled) {
    backfilled = true;
    earlier().then((points) => {
      history.prepend(points);
      drawSoon();
    }).catch(() => {});
  }
  drawSoon();
}

function onState({ state, text }) {
  const connection = $("connection");
  if (connection.dataset.state !== state) {
    connection.dataset.state = state;
    if (state !== "connecting") announce(text);
  }
  setText($("connection-text"), state === "polling" ? "Polling" : text);
  connection.title = text;
  show($("retry"), state === "waiting" || state === "stale");
  document.body.classList.toggle("old", ["stale", "waiting"].includes(state) && latest !== null);
  const live = ["live", "polling", "stale", "connecting", "waiting", "resting"].includes(state);
  executions.useLive(state !== "denied" && state !== "absent");
  if (state === "polling") notice(`${text}: figures come every few seconds until there is a place.`);
  else if (state === "denied") notice(`${text} Your own executions and the editor are here.`.replace(/([^.])( Your)/, "$1.$2"));
  else if (state === "absent") notice(`${text}.`);
  else notice("");
  document.body.classList.toggle("no-live", !live);
  if (!live && state !== "key" && view === "overview") location.hash = "#executions";
}

const feed = new Feed(onSample, onState);

function route() {
  const [name, id] = location.hash.slice(1).split("/");
  if (name === "main") return;
  const next = VIEWS.includes(name) ? name : "overview";
  if (next !== view) {
    const first = view === "";
    view = next;
    for (const each of VIEWS) show($(`view-${each}`), each === view);
    for (const link of document.querySelectorAll("nav a")) {
      if (link.dataset.view === view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${TITLES[view]} · SoulBox`;
    if (!first) {
      scrollTo(0, 0);
      announce(TITLES[view]);
    }
    for (const refresh of refreshers) refresh();
    drawSoon();
  }
  if (view === "executions" && id) executions.open(decodeURIComponent(id));
  else if ($("detail").open) $("detail").close();
}

/** Asks for everything anew, as with another key. */
async function begin() {
  try {
    await loadLanguages();
  } catch (problem) {
    // Without a key there is nothing to show; else the rest of the page says what is wrong.
    if (problem.status === 401) return;
    if (problem.status === 0) setTimeout(() => loadLanguages().catch(() => {}), 5000);
  }
  locked = false;
  keyAccepted();
  show($("key"), keyAsked || hasKey());
  feed.restart();
  for (const refresh of refreshers) refresh();
}

onRefused((wrong) => {
  keyAsked = true;
  locked = true;
  feed.stop();
  onState({ state: "key", text: "API key needed" });
  show($("key"), true);
  askKey(wrong, (key) => {
    useKey(key);
    begin();
  });
});

function startTools() {
  const theme = $("theme");
  theme.value = document.documentElement.dataset.theme ?? "auto";
  theme.addEventListener("change", () => {
    if (theme.value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.value;
    try {
      localStorage.setItem("soulbox-theme", theme.value);
    } catch {
      // It holds for this page alone.
    }
    recolour();
    drawSoon();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    recolour();
    drawSoon();
  });
  $("pause").addEventListener("click", () => {
    paused = !paused;
    $("pause").setAttribute("aria-pressed", String(paused));
    setText($("pause"), paused ? "Resume" : "Pause");
    document.body.classList.toggle("paused", paused);
    if (!paused) drawSoon();
  });
  $("retry").addEventListener("click", () => feed.retry());
  $("key").addEventListener("click", () => {
    askKey(false, (key) => {
      useKey(key);
      begin();
    });
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("main").focus();
  });
  document.addEventListener("visibilitychange", drawSoon);
  addEventListener("hashchange", route);
}

startTools();
startTryIt();
route();
begin();
