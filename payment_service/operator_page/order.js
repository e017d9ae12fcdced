// One order: its state, why it needs attention, what may be done, and its story.
import { ask } from "./dialogs.js";
import { reasonsOf } from "./reasons.js";
import { gatewayName, sentenceOf } from "./story.js";
import { $, amountOf, badge, button, element, kindOf, money, plainAmount, statusOf, timeOf } from "./view.js";

const LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ";

// Refunds with such names were begun on this page, so it can send them again.
const BY_HAND = "by-hand-";

const REASONS = [["requested_by_customer", "The customer asked for it"], ["duplicate", "A duplicate"],
  ["fraudulent", "Fraud"], ["abandoned", "Abandoned"]];

export const titleOf = (orderId) => `Order ${orderId}`;

/** Show an order. `session` has the api, the role, and `show`, which is called with a newer state. */
export function showOrder(order, session) {
  $("order").hidden = false;
  $("order-title").textContent = titleOf(order.order_id);
  $("order-body").replaceChildren(summaryOf(order), ...reasonsOf(order).map(reasonOf), buttonsOf(order, session),
    ...refundsOf(order, session), storyOf(order));
}

function summaryOf(order) {
  const facts = [
    ["Status", badge(statusOf(order.status), kindOf(order.status))],
    ["Client", order.client_id ?? "none"],
    ["Amount", money(order.amount, order.currency)],
    order.amount_received && ["Received", money(order.amount_received, order.currency)],
    order.amount_refunded && ["Refunded", money(order.amount_refunded, order.currency)],
    ["Payment", paymentOf(order)],
    ["Created", timeOf(order.created_at)],
    ["Changed", timeOf(order.updated_at)],
    order.attempt > 1 && ["Attempt", String(order.attempt)],
    order.capture_before && ["Capture before", timeOf(order.capture_before)],
    order.strays.length && ["Other payments, canceled", order.strays.join(", ")],
  ];
  const list = element("dl", { className: "facts" });
  for (const [name, value] of facts.filter(Boolean)) {
    list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  }
  return list;
}

function paymentOf({ payment_intent_id: id, dashboard_url: url, gateway }) {
  if (!id) return `none yet, at ${gatewayName(gateway)}`;
  if (!url) return `${id}, at ${gatewayName(gateway)}`;
  return element("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, `${id} in ${gatewayName(gateway)}'s dashboard`);
}

function reasonOf({ title, why, next, kind }) {
  const box = element("section", { className: "reason" }, element("h3", {}, title), element("p", {}, why), element("p", {}, next));
  box.dataset.kind = kind;
  return box;
}

// The actions.

const ACTIONS = {
  resolve: ["Resolve now", resolve],
  capture: ["Capture", capture],
  refund: ["Refund", refund],
  cancel: ["Cancel the payment", cancel],
};

function buttonsOf(order, session) {
  const row = element("div", { className: "buttons" });
  row.append(button("Read again", () => session.open(order)));
  if (session.role !== "act") return row;
  if (order.payment_intent_id) {
    row.append(button(`Ask ${gatewayName(order.gateway)}`, () => session.open(order, { refresh: "true" })));
  }
  for (const [name, [text, act]] of Object.entries(ACTIONS)) {
    if (order.actions.includes(name)) row.append(button(text, () => act(order, session)));
  }
  return row;
}

const named = ({ order_id, client_id }) => ({ order_id, client_id });

async function run(session, question, done) {
  const changed = await ask(question);
  if (changed) session.show(changed, done);
}

function resolve(order, session) {
  return run(session, {
    title: `Resolve order ${order.order_id} now?`,
    text: order.status === "unknown"
      ? "The service does now what the shop's next request would do: it sends the same request again with the same key, or "
        + "looks for the payment. This cannot create a second payment."
      : `The service asks ${gatewayName(order.gateway)} for the payment, its refunds and its disputes, and records what it shows.`,
    yes: "Resolve now",
    act: () => session.api.act("resolve", named(order)),
  }, "Resolved.");
}

function cancel(order, session) {
  const held = order.status === "requires_capture" ? " The reserved money is released." : "";
  return run(session, {
    title: `Cancel the payment of order ${order.order_id}?`,
    text: `${money(order.amount, order.currency)} can then no longer be paid.${held} The shop can create the order again.`,
    fields: [{ name: "reason", label: "Reason", value: "requested_by_customer", options: REASONS }],
    yes: "Cancel the payment",
    act: ({ reason }) => session.api.act("cancel", { ...named(order), reason }),
  }, "The payment is canceled.");
}

function capture(order, session) {
  return run(session, {
    title: `Capture order ${order.order_id}?`,
    text: `${money(order.amount, order.currency)} is authorized. A capture takes the money, once; the rest is released.`,
    fields: [amountField(order.amount, order.currency)],
    yes: "Capture",
    act: ({ amount }) => session.api.act("capture", { ...named(order), amount_to_capture: parsed(amount, order) }),
  }, "The payment is captured.");
}

function refund(order, session) {
  const refundId = BY_HAND + newName();
  return run(session, {
    title: `Refund order ${order.order_id}?`,
    text: `${money(order.left, order.currency)} is left to refund. A refund cannot be taken back. Its name is ${refundId}.`,
    fields: [amountField(order.left, order.currency)],
    yes: "Refund",
    act: ({ amount }) => session.api.act("refund", { ...named(order), refund_id: refundId, amount: parsed(amount, order) }),
  }, "The refund is made.");
}

function sendAgain(order, entry, session) {
  return run(session, {
    title: `Send the refund ${entry.refund_id} again?`,
    text: `The service sends the same refund of ${money(entry.amount, order.currency)} again. It cannot be made twice.`,
    yes: "Send again",
    act: () => session.api.act("refund", { ...named(order), refund_id: entry.refund_id, amount: entry.amount }),
  }, "The refund is settled.");
}

const amountField = (amount, currency) => ({ name: "amount", label: `Amount in ${currency.toUpperCase()}`,
  value: plainAmount(amount, currency) });

function parsed(text, { currency }) {
  const amount = amountOf(text, currency);
  if (!amount) throw new Error(`“${text}” is no amount in ${currency.toUpperCase()}.`);
  return amount;
}

const newName = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => LETTERS[byte % LETTERS.length]).join("");

// The refunds and the story.

function refundsOf(order, session) {
  if (!order.refunds.length) return [];
  const list = element("ul", { className: "refunds" });
  for (const each of order.refunds) {
    const row = element("li", {}, `${each.refund_id ?? "made elsewhere"}: ${money(each.amount, order.currency)} `,
      badge(each.status, each.status === "unknown" ? "bad" : ""), " ", timeOf(each.created_at));
    const ours = each.status === "unknown" && each.refund_id?.startsWith(BY_HAND);
    if (ours && session.role === "act") row.append(" ", button("Send again", () => sendAgain(order, each, session)));
    list.append(row);
  }
  return [element("h3", {}, "Refunds"), list];
}

function storyOf(order) {
  const list = element("ol", { className: "story" });
  for (const entry of order.history) {
    const { text, kind, by } = sentenceOf(entry, order);
    const item = element("li", {}, timeOf(entry.at), element("p", {}, text));
    if (by) item.append(element("p", { className: "by" }, `by the operator ${by}`));
    item.dataset.kind = kind;
    list.append(item);
  }
  const title = element("h3", { id: "story-title" }, "What happened");
  list.setAttribute("aria-labelledby", title.id);
  const note = element("p", { className: "small" }, "The record keeps the first entry and the last nineteen.");
  return element("section", {}, title, list, order.history.length >= 20 ? note : "");
}
