// The operator's page: log in, find an order, look at it, act.
import { Api } from "./api.js";
import { Lists, showTotals } from "./lists.js";
import { showOrder, titleOf } from "./order.js";
import { $, button, element, oneAtATime } from "./view.js";

// After this time without a key or a pointer, the operator has left the screen.
const IDLE_MINUTES = 30;

// What shows orders, or who has looked at them.
const SHOWN = ["name", "client", "search-status", "matches", "totals", "totals-status", "list", "list-status", "order-title",
  "order-status", "order-body", "dialog-title", "dialog-text", "dialog-fields", "dialog-error"];

let session = null, idle;

async function logIn() {
  const api = new Api($("key").value.trim());
  $("log-in-error").textContent = "";
  try {
    const me = await api.me();
    $("key").value = "";
    begin(new Session(api, me));
  } catch (error) {
    $("log-in-error").textContent = error.status === 401 ? "This key belongs to no operator." : error.message;
  }
}

function begin(started) {
  session = started;
  const { me } = started;
  $("mode").textContent = me.livemode ? "Live mode" : "Test mode";
  $("mode").dataset.live = String(me.livemode);
  $("name").textContent = `${me.operator}, ${me.role === "act" ? "may act" : "may read"}`;
  $("client").replaceChildren(...(me.all_clients ? [new Option("any", "")] : []), ...me.clients.map((id) => new Option(id, id)));
  $("who").hidden = $("work").hidden = false;
  $("log-in").hidden = true;
  $("main").focus();
  stayAwake();
  started.readAll();
}

function logOut(text = "") {
  session = null;
  clearTimeout(idle);
  if ($("dialog").open) $("dialog").close();
  for (const id of SHOWN) $(id).replaceChildren();
  for (const id of ["who", "work", "order"]) $(id).hidden = true;
  $("order-number").value = "";
  $("log-in").hidden = false;
  $("log-in-error").textContent = text;
  $("key").focus();
}

function stayAwake() {
  clearTimeout(idle);
  if (session) idle = setTimeout(() => logOut("You were logged out: the page was not used for half an hour."), IDLE_MINUTES * 60_000);
}

class Session {
  constructor(api, me) {
    Object.assign(this, { api, me, role: me.role });
    this.lists = new Lists(this);
  }

  /** The client that the operator has chosen; empty for all. */
  client = () => $("client").value;

  readAll = () => Promise.all([this.lists.read(), showTotals(this)]);

  /** Read an order and show it. `more`: further parameters, such as refresh. */
  async open({ order_id, client_id }, more = {}) {
    try {
      this.show(await this.api.order({ order_id, client_id, ...more }), "");
    } catch (error) {
      const said = this.explain(error);
      if (session !== this) return;
      const title = titleOf(order_id);
      if ($("order-title").textContent !== title) $("order-body").replaceChildren();
      $("order-title").textContent = title;
      $("order-status").textContent = said;
      $("order").hidden = false;
    }
  }

  /** Show an order; `said` is announced. After an action, the lists have changed, too. */
  show(order, said) {
    if (session !== this) return;
    showOrder(order, this);
    $("order-status").textContent = said;
    $("order-title").focus();
    if (said) this.readAll();
  }

  explain(error) {
    if (error.status === 401 && session === this) logOut("The key is no longer valid.");
    return error.message;
  }
}

async function search() {
  const order_id = $("order-number").value, client_id = session.client();
  $("matches").hidden = true;
  $("search-status").textContent = "Searching …";
  try {
    const { clients } = await session.api.find({ order_id, client_id });
    $("search-status").textContent = clients.length ? "" : `There is no order ${order_id}.`;
    if (clients.length === 1) return session.open({ order_id, client_id: clients[0] });
    if (clients.length) offer(order_id, clients);
  } catch (error) {
    $("search-status").textContent = session?.explain(error) ?? "";
  }
}

function offer(order_id, clients) {
  $("search-status").textContent = `${clients.length} clients have an order ${order_id}.`;
  $("matches").replaceChildren(...clients.map((client_id) =>
    element("li", {}, button(client_id ?? "no client", () => session.open({ order_id, client_id })))));
  $("matches").hidden = false;
}

for (const [id, work] of Object.entries({ "log-in": logIn, search })) {
  $(id).addEventListener("submit", oneAtATime($(id).querySelector("button"), work));
}
$("client").addEventListener("change", () => session.readAll());
$("log-out").addEventListener("click", () => logOut());
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, stayAwake);
// A page that comes back from the browser's cache would still have the key.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
