// The history of an order, entry by entry, in sentences. Pure functions.
import { money } from "./view.js";

const GATEWAYS = { stripe: "Stripe", paypal: "PayPal" };

export const gatewayName = (name) => GATEWAYS[name] ?? name;

/** Says why a call has no clear result, by the code of the service's error. */
export function causeOf(code, gateway) {
  return {
    unreachable: `${gateway} did not answer`,
    error: `${gateway} failed, or its answer could not be read`,
    rate_limited: `${gateway} refused the request because of its rate limit`,
    misconfigured: `${gateway} refused the service's key or account`,
  }[code?.replace(/^(stripe|paypal)_/, "")] ?? `the request to ${gateway} ended with “${code}”`;
}

// What each entry says. `e` is the entry; `gateway` its name; `amount` formats the entry's amount.
const SENTENCES = {
  "claimed": (e) => `A request began attempt ${e.attempt}.`,
  "taken over": () => "A request took the order over, to find out what became of the one before.",
  "looked up": (e, { gateway }) => `A look at ${gateway} found no earlier payment of this order.`,
  "created": (e, { gateway }) => `${gateway} created the payment ${e.payment_intent_id}.`,
  "adopted": (e, { gateway }) => `The payment ${e.payment_intent_id} was found at ${gateway} and recorded.`,
  "adopted, paid": (e) => `Another payment of this order, ${e.payment_intent_id}, was paid. It is now the recorded one.`,
  "rejected": (e, { gateway }) => e.code === "nothing_made"
    ? `The attempt is closed: ${gateway} shows no payment of it.`
    : `${gateway} rejected the request (${e.code}).`,
  "unknown": (e, { gateway }) => `${capital(causeOf(e.code, gateway))}. The outcome is unknown.`,
  "seen": (e, { gateway }) => `A look at ${gateway} showed the status ${e.status}.`,
  "reconciled": (e) => `The reconciler recorded the status ${e.status}.`,
  "webhook": (e, { gateway }) => `${gateway} reported ${e.type}. The status is ${e.status}.`,
  "canceled": () => "The payment was canceled.",
  "gone": (e, { gateway }) => `${gateway} no longer has the payment ${e.payment_intent_id}.`,
  "freed": (e) => `The order was freed by hand: ${e.reason}.`,
  "ending": (e) => `The payment ${e.payment_intent_id} is not this order's, and is being canceled.`,
  "two_paid": (e) => `A second payment of this order was taken: ${e.payment_intent_id}.`,
  "update sent": (e) => `Update ${e.revision} was sent.`,
  "update taken over": (e) => `A request took over update ${e.revision}, to find out what became of it.`,
  "update unknown": (e) => `The outcome of update ${e.revision} is unknown.`,
  "update not applied": (e) => `Update ${e.revision} was not applied.`,
  "updated": (e) => `Update ${e.revision} was applied.`,
  "capture claimed": (e, { amount }) => `A capture of ${amount} was begun.`,
  "capture taken over": () => "A request took over the capture, to find out what became of it.",
  "capture seen": (e) => `The capture is recorded: the status is ${e.status}.`,
  "capture rejected": (e, { gateway }) => `${gateway} rejected the capture (${e.code}).`,
  "capture unknown": (e, { gateway }) => `${capital(causeOf(e.code, gateway))}. The outcome of the capture is unknown.`,
  "refund claimed": (e, { amount }) => `The refund ${e.refund_id} of ${amount} was begun.`,
  "refund taken over": (e) => `A request took over the refund ${e.refund_id}.`,
  "refund rejected": (e, { gateway }) => `${gateway} rejected the refund ${e.refund_id} (${e.code}).`,
  "refund unknown": (e, { gateway }) => `${capital(causeOf(e.code, gateway))}. The outcome of the refund ${e.refund_id} is unknown.`,
  "refunded": (e, { amount }) => `The refund ${e.refund_id} of ${amount} was made; its status is ${e.status}.`,
  "refund adopted": (e, { gateway }) => `The refund ${e.refund_id} was found at ${gateway} and recorded.`,
  "refund changed": (e) => `The refund ${e.refund_id} has another status now.`,
  "money closed": () => "What was begun and never made is closed. Its amount is free again.",
  "order event delivered": (e) => `The shop received ${e.type}.`,
  "order event parked": (e) => `The shop did not accept ${e.type} for three days. The service gave it up.`,
  "switched": (e) => `The service went on at ${gatewayName(e.to)} with attempt ${e.attempt}, because ${causeOf(e.why, gatewayName(e.from))}.`,
  "witness": (e) => `The payment is marked at ${gatewayName("stripe")} (${e.moved_to}), so that nothing else is paid for this order there.`,
  "witness refused": (e) => `${gatewayName("stripe")} refused the mark of the payment (${e.code}).`,
  "witness given up": () => `The payment was not marked at ${gatewayName("stripe")} within a day. The service gave it up.`,
  "leftover canceled": (e) => `The payment ${e.payment_intent_id} of an earlier attempt was canceled.`,
  "capture sent": (e, { gateway }) => `The service requested the approved payment from ${gateway}.`,
  "capture declined": (e, { gateway }) => `${gateway} declined the payment (${e.code}). The shopper must act again.`,
  "capture not approved": (e, { gateway }) => `${gateway} needs the shopper's approval again (${e.code}).`,
  "capture not sent": (e) => `Nothing was captured (${e.code}). The payment is still approved.`,
  "captured": (e, { gateway }) => `${gateway} has taken the payment.`,
  "paid before": (e, { gateway }) => `${gateway} has taken a payment that this record had forgotten. Nothing more is sent.`,
  "by hand": (e) => ({
    cancel: "Asked to cancel the payment. It was canceled.",
    capture: "Asked to capture the payment. It was captured.",
    refund: "Asked for a refund that had been made.",
    resolve: "Looked at the order. Nothing was left to settle.",
  }[e.action] ?? "Changed the order."),
};

const MARKS = { "unknown": "bad", "capture unknown": "bad", "refund unknown": "bad", "update unknown": "bad", "two_paid": "bad",
  "adopted, paid": "bad", "order event parked": "bad", "rejected": "warn", "capture rejected": "warn",
  "refund rejected": "warn", "capture declined": "warn", "paid before": "bad", "switched": "warn", "gone": "warn", "freed": "warn" };

// Facts that the sentence or another column shows.
const SHOWN = ["at", "what", "by"];

/** Returns { text, kind, by } of an entry; of one that this page does not know, with all its facts. */
export function sentenceOf(entry, { gateway, currency }) {
  const facts = { gateway: gatewayName(entry.gateway ?? gateway), amount: money(entry.amount, currency) };
  const said = SENTENCES[entry.what] ?? (entry.what.startsWith("webhook ") ? reported : plainly);
  return { text: said(entry, facts), kind: MARKS[entry.what] ?? "", by: personOf(entry.by) };
}

const reported = (e, { gateway }) => `${gateway} reported ${e.what.slice("webhook ".length)}. The status is ${e.status}.`;

function plainly(entry) {
  const facts = Object.entries(entry).filter(([name]) => !SHOWN.includes(name)).map(([name, value]) => `${name} ${value}`);
  return facts.length ? `${capital(entry.what)}: ${facts.join(", ")}.` : `${capital(entry.what)}.`;
}

/** "operator:anna" → "anna" */
export const personOf = (by) => by?.replace(/^operator:/, "");

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
