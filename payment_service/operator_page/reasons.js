// Says why an order needs attention, what happens next, and when. Pure functions.
import { causeOf, gatewayName } from "./story.js";
import { moment, money } from "./view.js";

/** Returns the reasons of an order: [{ title, why, next, kind }], the most urgent first. */
export function reasonsOf(order) {
  return [...states(order), ...refunds(order), ...alarms(order), ...open(order), ...leftovers(order)];
}

function states(order) {
  const about = { unknown, in_flight: inFlight, rejected }[order.status];
  return about ? [about(order, gatewayName(order.gateway))] : [];
}

function unknown(order, gateway) {
  const last = order.history.at(-1);
  const why = last?.what === "unknown"
    ? `At ${moment(last.at)}, ${causeOf(last.code, gateway)}. So the service does not know whether the payment was created.`
    : `At ${moment(last?.at ?? order.updated_at)}, a request began to create the payment and recorded no result: its process `
      + `was stopped, or it lost the key store. So the service does not know whether ${gateway} was reached.`;
  return { title: "Why this order is unknown", why, next: nextOf(order, gateway), kind: "bad" };
}

function nextOf(order, gateway) {
  const who = `The shop's next request for this order, an event from ${gateway}, the reconcile command or Resolve now settles it.`;
  const until = order.key_is_safe_until;
  const how = until && until * 1000 > Date.now()
    ? `Until ${moment(until)} that sends the same request again with the same key, which cannot create a second payment. `
      + "After that, it looks for the payment first."
    : `It first looks for the payment at ${gateway}.`;
  return `${who} ${how}`;
}

function inFlight(order) {
  return { title: "A request works on this order", kind: "warn", why: "Its payment is being created now.",
    next: `If the process of that request has died, the next request takes over after ${moment(order.held_until)}.` };
}

function rejected(order, gateway) {
  const last = order.history.findLast(({ what }) => what === "rejected");
  const nothing = last?.code === "nothing_made";
  return { title: nothing ? "This order has no payment" : `${gateway} rejected this order`, kind: "warn",
    why: nothing ? `${gateway} shows no payment of the last attempt, so the attempt is closed.`
      : `${gateway} rejected the request with the code ${last?.code}.`,
    next: "The shop's next request for this order creates the payment, also with corrected parameters." };
}

function refunds(order) {
  const gateway = gatewayName(order.gateway);
  return order.refunds.filter(({ status }) => status === "unknown").map((refund) => {
    const last = order.history.findLast(({ what, refund_id: id }) => what === "refund unknown" && id === refund.refund_id);
    return { title: `The refund ${refund.refund_id} is unknown`, kind: "bad",
      why: `${last ? `At ${moment(last.at)}, ${causeOf(last.code, gateway)}` : "The request that sent it recorded no result"}. `
        + `So the service does not know whether ${money(refund.amount, order.currency)} was refunded.`,
      next: "The same refund, sent again, settles it and cannot refund twice. Resolve now takes over what "
        + `${gateway} shows; an hour after the last send, it frees the amount of a refund that was never made.` };
  });
}

const ALARMS = {
  paid_before: ["This order was paid before", "The gateway has taken a payment of this order that the record has forgotten.",
    "Nothing is sent for the order until a person has compared it with the gateway's dashboard."],
  two_paid: ["Two payments of this order were taken", "Another program created one of them, or a record was lost.",
    "Compare both in the gateway's dashboard, refund one there, and tell the shop."],
  stray_paid: ["A payment that was not the order's was paid", "The service recorded it and canceled the other one, so the shopper paid once.",
    "Find the program that writes this order's number into payments, and compare the amount."],
  refunded_twice: ["A refund was made twice", "The gateway shows two refunds with one name.",
    "Compare both in the gateway's dashboard. A refund cannot be taken back."],
  event_parked: ["The shop does not know about this order", "It did not accept an order event for three days.",
    "Repair the shop's receiver, then run “deliver --parked”."],
  disputed: ["The payment is disputed", "The shopper's bank took the payment back or asks about it.",
    "Respond in the gateway's dashboard in time. It accepts no refund meanwhile."],
};

function alarms(order) {
  return order.alarms.filter((name) => name in ALARMS).map((name) => {
    const [title, why, next] = ALARMS[name];
    return { title, why, next: name === "disputed" ? `${next}${respondBy(order)}` : next, kind: "bad" };
  });
}

function respondBy(order) {
  const ends = order.disputes.map((each) => each.respond_by).filter(Boolean);
  return ends.length ? ` It asks for a response by ${moment(Math.min(...ends))}.` : "";
}

const OPEN = {
  update_unknown: () => ["An update has an unknown outcome", "Its answer was lost.",
    "The next update of this order, or the same one again, settles it."],
  capture_unknown: (order) => ["The capture is unknown", `The answer to the capture of ${money((order.capture ?? order).amount, order.currency)} was lost.`,
    "The same capture, sent again, or Resolve now settles it. It captures once."],
  refund_failed: () => ["A refund failed", "The gateway had accepted it. The shopper has no money.",
    "Refund again: that is another refund, with another name."],
  authorization_lapses: (order) => ["The authorization ends soon", "It was not captured yet.",
    `Capture it before ${moment(order.capture_before)}. After that, the money is released.`],
  event_waits: (order) => ["The shop has not accepted an order event", `${order.events[0]?.type} was tried ${order.events[0]?.tries} times.`,
    order.events[0] ? `The next try is at ${moment(order.events[0].next_at)}, and the last at ${moment(order.events[0].until)}.` : ""],
  look_up_waits: (order) => ["A payment may appear late", "An earlier attempt was given up without a clear answer.",
    `The service looks for its payment at ${order.look_ups.map(moment).join(", and at ")}, and cancels it if it is there.`],
};

function open(order) {
  return order.open.filter((name) => name in OPEN).map((name) => {
    const [title, why, next] = OPEN[name](order);
    return { title, why, next, kind: "warn" };
  });
}

// Attempts that the service gave up when it went on at another gateway.
function leftovers(order) {
  return order.leftovers.map(({ gateway, attempt }) => ({ title: `Attempt ${attempt} at ${gatewayName(gateway)} is left over`,
    why: `The service went on at another gateway. ${gatewayName(gateway)} may still show a payment of that attempt.`,
    next: "The service looks for it several times within the next hour, and cancels it. Nothing was given to the shopper that could pay it.",
    kind: "warn" }));
}
