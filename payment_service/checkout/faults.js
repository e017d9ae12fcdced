// The page of faults: its rows and buttons, and the live counts of a scenario.
import { authorization } from "./order.js";
import { Lane, SandboxControls, pause } from "./lanes.js";
import { oneAtATime } from "./pay.js";
import { SCENARIOS, verdict } from "./scenarios.js";

const LOOK_SECONDS = 0.3;

const $ = (id) => document.getElementById(id);
const { sandbox: sandboxUrl, paypal: paypalUrl, stage, client } = document.body.dataset;
const sandbox = new SandboxControls(sandboxUrl, paypalUrl);

const lanes = Object.fromEntries(Object.entries({
  service: {
    name: "This service",
    url: "/create-payment-intent",
    account: "sandbox",
    headers: authorization(),
    more: paypalUrl ? { accept_gateways: ["stripe", "paypal"] } : {},
    customId: (id) => client ? `${client}:${id}` : id,
  },
  plain: { name: "Tutorial code, no key", url: `${stage}/plain/create-payment-intent`, account: "tutorialplain" },
  keyed: { name: "Tutorial code, order as key", url: `${stage}/keyed/create-payment-intent`, account: "tutorialkeyed" },
  failover: {
    name: "Tutorial code, failover",
    url: `${stage}/failover/pay`,
    account: "tutorialfailover",
    captureUrl: `${stage}/failover/capture`,
    customId: (id) => `tutorial-${id}`,
  },
}).map(([id, lane]) => [id, new Lane(lane, sandbox)]));

const WORDS = { 6: "six", 7: "seven" };
const MAIN = ["service", "plain", "keyed"];
const lanesOf = (scenario) => (scenario.lanes ?? MAIN).map((id) => lanes[id]);
const PLAYED = SCENARIOS.filter(({ several }) => !several || paypalUrl);

const kill = () => fetch(`${stage}/kill`, { method: "POST" });

async function run(scenario, row) {
  const order = { order_id: `F-${Date.now()}`, amount: 4200, currency: "usd" };
  const ours = lanesOf(scenario);
  await Promise.all(ours.map((lane) => lane.begin(order.order_id)));
  row.cells.forEach((cell) => cell.begin());
  row.element.setAttribute("aria-busy", "true");
  await watch(row, ours, scenario.play({ lanes: ours, order, sandbox, kill }).finally(() => sandbox.clearFaults()));
  row.element.removeAttribute("aria-busy");
  await Promise.all(ours.map(async (lane, at) => row.cells[at].end(scenario, await lane.look())));
  say(`${scenario.title}: ${row.cells.map((cell) => cell.said).join("; ")}.`);
}

async function watch(row, ours, playing) {
  let over = false;
  const end = playing.finally(() => { over = true; });
  while (!over) {
    await Promise.race([end, pause(LOOK_SECONDS)]);
    await Promise.all(ours.map(async (lane, at) => row.cells[at].show(await lane.look())));
  }
  await end;
}

function sum() {
  const kept = Object.values(lanes).map((lane) => {
    const results = rows.flatMap(({ cells }) => cells.filter((cell) => cell.lane === lane));
    return results.length ? [`${lane.name} in ${results.filter(({ good }) => good).length} of ${results.length}`] : [];
  }).flat();
  say(`It came out right: ${kept.join("; ")}.`);
}

const say = (text) => { $("said").textContent = text; };

class Cell {
  /** `isUsual`: whether the head of the column names the lane. */
  constructor(lane, isUsual) {
    this.lane = lane;
    this.element = $("cell").content.cloneNode(true).firstElementChild;
    this.element.setAttribute("aria-label", lane.name);
    this.part("lane").textContent = lane.name;
    this.part("lane").classList.toggle("unusual", !isUsual);
  }

  part(name) {
    return this.element.querySelector(`.${name}`);
  }

  begin() {
    this.element.dataset.state = "running";
    this.part("verdict").textContent = "Running …";
    this.show({ requests: 0, creates: 0, reads: 0, made: 0 });
  }

  show({ requests, creates, reads, made }) {
    this.part("dots").replaceChildren(...Array.from({ length: made }, () => document.createElement("i")));
    const sends = [plural(creates, "create"), ...(reads ? [plural(reads, "read")] : [])].join(", ");
    this.part("counts").textContent = `${requests} in · ${sends} · ${made} made`;
  }

  end(scenario, found) {
    const { good, text } = verdict(scenario, found);
    this.show(found);
    this.good = good;
    this.said = `${this.lane.name}: ${text}`;
    this.element.dataset.state = good ? "good" : "bad";
    this.part("dots").dataset.wanted = scenario.orders;
    this.part("verdict").textContent = text;
  }
}

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

function rowOf(scenario) {
  const element = $("row").content.cloneNode(true).firstElementChild;
  const cells = lanesOf(scenario).map((lane, at) => new Cell(lane, lane === lanes[MAIN[at]]));
  element.id = scenario.id;
  element.querySelector("h2").textContent = scenario.title;
  element.querySelector("p").textContent = scenario.text;
  element.querySelector("button").setAttribute("aria-label", `Run: ${scenario.title}`);
  element.append(...cells.map((cell) => cell.element));
  $("rows").append(element);
  return { element, cells };
}

const rows = PLAYED.map(rowOf);

$("all").textContent = `Run all ${WORDS[PLAYED.length]}`;

const buttons = () => document.querySelectorAll("main button");
const play = oneAtATime($("all"), async ({ currentTarget }) => {
  const all = currentTarget === $("all");
  for (const button of buttons()) button.setAttribute("aria-disabled", "true");
  try {
    for (const [at, scenario] of PLAYED.entries()) {
      if (all || rows[at].element.contains(currentTarget)) await run(scenario, rows[at]);
    }
    if (all) sum();
  } catch (error) {
    say(`The demo stopped: ${error.message}. Is everything that make run starts still there?`);
  } finally {
    for (const button of buttons()) button.removeAttribute("aria-disabled");
  }
});

for (const button of buttons()) button.addEventListener("click", play);

$("source").addEventListener("toggle", async () => {
  const code = $("source").querySelector("code");
  if (!code.textContent) code.textContent = await (await fetch(`${stage}/source`)).text();
});
