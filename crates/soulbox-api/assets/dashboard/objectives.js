// What changes slowly: objectives, alerts, capacity. Owns these three panels; one whose route the server does not have
// is not shown.

import { get } from "./api.js";
import { $, h, keep, meter, setMeter, setText, show } from "./dom.js";
import { age, bytes, count, ms, number, percent, rate, words } from "./format.js";

const EVERY_MS = 10_000;

/** Asks for something again and again as long as it is wanted, and hides its panel where there is no such route. */
export function repeat(panel, every, wanted, load) {
  let due = 0;
  let absent = false;
  const step = async () => {
    if (absent || !wanted() || performance.now() < due) return;
    due = performance.now() + every;
    try {
      await load();
      show(panel, true);
    } catch (problem) {
      if ([403, 404, 405].includes(problem.status)) absent = true;
      if (problem.status !== 0) show(panel, false);
    }
  };
  setInterval(step, 1000);
  return () => {
    absent = false;
    due = 0;
    step();
  };
}

/** Starts the three; what is returned makes all of them ask anew. */
export function startObjectives(wanted) {
  const again = [
    repeat($("slo-panel"), EVERY_MS, wanted, async () => drawObjectives(await get("/v1/slo"))),
    repeat($("alerts-panel"), EVERY_MS, wanted, async () => drawAlerts(await get("/v1/alerts"))),
    repeat($("capacity-panel"), 3 * EVERY_MS, wanted, async () => drawCapacity(await get("/v1/capacity"))),
  ];
  $("capacity-form").addEventListener("submit", (event) => {
    event.preventDefault();
    estimate(Number.parseFloat($("capacity-rps").value));
  });
  return () => again.forEach((each) => each());
}

/** What a rate that somebody thinks of would need. */
async function estimate(rps) {
  if (!(rps > 0)) return setText($("capacity-answer"), "Type a rate above zero.");
  try {
    const { needed, here } = await get(`/v1/capacity?rps=${rps}`);
    if (!needed) return setText($("capacity-answer"), "Too little has been measured to tell.");
    const pools = needed.pools.map((pool) => `${pool.parked} ${pool.bundle}`).join(", ");
    const fits = here && here.sustainable === false ? " This machine is not enough." : "";
    const parked = pools === "" ? "" : `; parked: ${pools}`;
    setText($("capacity-answer"), `${count(needed.cores)} cores, ${bytes(needed.memory_bytes)}${parked}; P50 ${ms(needed.p50_ms)}, P99 ${ms(needed.p99_ms)}.${fits}`);
  } catch (problem) {
    setText($("capacity-answer"), problem.message);
  }
}

function drawObjectives(slo) {
  const create = (objective) =>
    h(
      "li", { class: "objective" },
      h("span", { class: "name", title: objective.description }, words(objective.name)),
      h("span", { class: "number value" }),
      meter(`Error budget left of ${words(objective.name)}`, 0, 1),
      h("span", { class: "muted number sub" }),
    );
  keep($("slo"), slo.objectives, (objective) => objective.name, create, (item, objective) => {
    const left = objective.budget_left ?? 1;
    const worst = Math.max(0, ...objective.burn_rates.map((rate) => rate.burn_rate ?? 0));
    setMeter(item.querySelector(".meter"), left, 1, !objective.met || left <= 0 ? "bad" : left < 0.25 ? "warn" : "good");
    setText(item.querySelector(".value"), `${percent(Math.max(0, left))} left`);
    const seen = objective.total === 0 ? "nothing seen yet" : `${percent(objective.ratio)} of ${percent(objective.target)} wanted`;
    const end = objective.exhausted_in_s ? `, used up in ${ageOf(objective.exhausted_in_s)}` : "";
    setText(item.querySelector(".sub"), `${seen}${worst > 0 ? `, burns ${number(worst)}×` : ""}${end}`);
    item.classList.toggle("missed", !objective.met);
  });
}

const ageOf = (seconds) => age(new Date(0), seconds * 1000);

function drawAlerts(document) {
  const now = Date.now();
  const alerts = document.alerts.slice(0, 50);
  show($("alerts-empty"), alerts.length === 0);
  const create = () =>
    h("li", {}, h("span", { class: "badge" }), h("span", { class: "summary" }), h("span", { class: "muted number when" }));
  keep($("alerts"), alerts, (alert) => alert.id, create, (item, alert) => {
    const firing = alert.status === "firing";
    const mark = item.querySelector(".badge");
    mark.className = `badge ${firing ? (alert.severity === "page" ? "bad" : "warn") : "plain"}`;
    setText(mark, firing ? alert.severity : "resolved");
    setText(item.querySelector(".summary"), alert.summary);
    setText(item.querySelector(".when"), `${age(new Date(firing ? alert.since : alert.resolved_at), now)} ago`);
  });
}

function drawCapacity(capacity) {
  const { here, machine, observed } = capacity;
  const facts = [];
  if (here) {
    facts.push(
      ["Most it can serve", rate(here.maximum_rps)],
      ["Knee of the curve", rate(here.knee_rps)],
      ["Limited by", words(here.limited_by)],
      ["Used", percent(here.utilization)],
    );
    if (here.p50_ms !== null && here.p50_ms !== undefined) facts.push(["Expected P50, P99", `${ms(here.p50_ms)}, ${ms(here.p99_ms)}`]);
  }
  if (capacity.cpu_ms_per_run) facts.push(["CPU of a run", ms(capacity.cpu_ms_per_run)]);
  if (machine) facts.push(["Machine", `${count(machine.cores)} cores, ${bytes(machine.memory_bytes)}`]);
  if (observed) facts.push(["Measured over", `${count(observed.runs)} runs`]);
  const create = ([name]) => h("div", {}, h("dt", {}, name), h("dd", { class: "number" }));
  keep($("capacity"), facts, ([name]) => name, create, (item, [, value]) => setText(item.lastElementChild, value));
}
