// The lists of orders, and the totals of today.
import { $, badge, element, kindOf, money, oneAtATime, statusOf, timeOf } from "./view.js";

const TABS = {
  unknown: { text: "Unknown", query: { unknown: "true" }, none: "No order is unknown." },
  alarms: { text: "Alarms", query: { alarm: "true" }, none: "No order needs a person." },
  overdue: { text: "Overdue", query: {}, none: "Nothing is overdue." },
  authorized: { text: "Authorized", query: { status: "requires_capture" }, none: "No order waits for a capture." },
  all: { text: "All", query: {}, none: "There are no orders." },
};

const NAMES = {
  two_paid: "two payments", stray_paid: "stray paid", event_parked: "shop not told", disputed: "disputed",
  paid_before: "paid before", refunded_twice: "refunded twice", refund_unknown: "refund unknown", capture_unknown: "capture unknown",
  update_unknown: "update unknown", refund_failed: "refund failed", authorization_lapses: "authorization ends",
  event_waits: "event waits", look_up_waits: "look-up waits",
};

export class Lists {
  #session;
  #tab = "unknown";
  #next = null;

  constructor(session) {
    this.#session = session;
    $("tabs").replaceChildren(...Object.entries(TABS).map(([name, { text }]) => this.#button(name, text)));
    $("more").onclick = oneAtATime($("more"), () => this.#fetch());
  }

  /** Read the current list again. */
  async read() {
    for (const each of $("tabs").children) each.setAttribute("aria-pressed", String(each.dataset.tab === this.#tab));
    this.#next = null;
    $("list").replaceChildren();
    await this.#fetch();
  }

  #button(name, text) {
    const made = element("button", { type: "button", className: "quiet" }, text);
    made.dataset.tab = name;
    made.addEventListener("click", oneAtATime(made, () => {
      this.#tab = name;
      return this.read();
    }));
    return made;
  }

  async #fetch() {
    const tab = this.#tab, { query, none } = TABS[tab], client_id = this.#session.client();
    $("list-status").textContent = "Reading …";
    try {
      const page = tab === "overdue" ? await this.#session.api.overdue({ client_id })
        : await this.#session.api.orders({ ...query, client_id, cursor: this.#next });
      // The operator may have pressed another tab meanwhile.
      if (tab !== this.#tab) return;
      this.#next = page.next_cursor ?? null;
      $("list").append(...page.orders.map((order) => this.#rowOf(order)));
      $("list-status").textContent = $("list").children.length ? "" : none;
    } catch (error) {
      $("list-status").textContent = this.#session.explain(error);
    }
    $("more").hidden = this.#next === null;
  }

  #rowOf(order) {
    const marks = [...order.alarms, ...(order.open ?? [])];
    const open = element("button", { type: "button", className: "row" },
      element("span", { className: "number" }, order.order_id),
      element("span", { className: "small" }, order.client_id ?? ""),
      badge(statusOf(order.status), kindOf(order.status)),
      element("span", {}, money(order.amount, order.currency)),
      ...[...new Set(marks)].map((name) => badge(NAMES[name] ?? name, "bad")),
      element("span", { className: "small" }, "changed ", timeOf(order.updated_at)));
    open.addEventListener("click", oneAtATime(open, () => this.#session.open(order)));
    return element("li", {}, open);
  }
}

/** Show the totals of this browser's day. */
export async function showTotals(session) {
  const start = new Date(), end = new Date();
  start.setHours(0, 0, 0, 0);
  end.setHours(24, 0, 0, 0);
  try {
    const period = { since: start.getTime() / 1000, until: end.getTime() / 1000 };
    const totals = await session.api.totals({ ...period, client_id: session.client() });
    $("totals").replaceChildren(...rowsOf(totals).map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value))));
    $("totals-status").textContent = totals.complete ? "Orders created today." : "The newest orders of today; there are more.";
  } catch (error) {
    $("totals-status").textContent = session.explain(error);
  }
}

function rowsOf({ orders, statuses, received, refunded, alarms }) {
  const sums = (amounts) => Object.entries(amounts).map(([currency, amount]) => money(amount, currency)).join(", ") || "0";
  return [
    ["Orders", String(orders)],
    ["Paid", String(statuses.succeeded ?? 0)],
    ["Received", sums(received)],
    ["Refunded", sums(refunded)],
    ["Unknown", String(statuses.unknown ?? 0)],
    ["Alarms", String(alarms)],
  ];
}
