// The operator's page in words: the entries of a history, and why an order needs attention.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { Api, ApiError } from "../../../payment_service/operator_page/api.js";
import { reasonsOf } from "../../../payment_service/operator_page/reasons.js";
import { sentenceOf } from "../../../payment_service/operator_page/story.js";
import { amountOf, plainAmount } from "../../../payment_service/operator_page/view.js";

const PAYMENTS = new URL("../../../payment_service/payments/", import.meta.url);
const STORY = { gateway: "stripe", currency: "usd" };

const order = (more = {}) => ({ order_id: "A-1", status: "succeeded", gateway: "stripe", currency: "usd", history: [], refunds: [],
  disputes: [], alarms: [], open: [], leftovers: [], events: [], look_ups: [], capture: null, updated_at: 1_800_000_000, ...more });

const say = (entry, about = STORY) => sentenceOf({ at: 1, ...entry }, about);

test("an entry is a sentence, with its facts and who caused it", () => {
  assert.deepEqual(say({ what: "refund claimed", refund_id: "R-1", amount: 500, by: "operator:anna" }),
    { text: "The refund R-1 of $5.00 was begun.", kind: "", by: "anna" });
  assert.equal(say({ what: "unknown", code: "stripe_unreachable" }).text, "Stripe did not answer. The outcome is unknown.");
  assert.equal(say({ what: "webhook charge.refunded", status: "succeeded" }).text, "Stripe reported charge.refunded. The status is succeeded.");
  assert.equal(say({ what: "unknown", code: "stripe_error" }, { ...STORY, gateway: "paypal" }).text,
    "PayPal failed, or its answer could not be read. The outcome is unknown.");
});

test("a switch of the gateway names both", () => {
  assert.equal(say({ what: "switched", from: "stripe", to: "paypal", why: "stripe_unreachable", attempt: 2 }).text,
    "The service went on at PayPal with attempt 2, because Stripe did not answer.");
});

test("an entry of another version is shown with its facts", () => {
  assert.equal(say({ what: "of tomorrow", gateway: "paypal", reason: "slow" }).text, "Of tomorrow: gateway paypal, reason slow.");
  assert.equal(say({ what: "of_tomorrow" }).text, "Of_tomorrow.");
});

// Every entry that the rules write, as a literal, has a sentence.
function* written(folder = PAYMENTS) {
  for (const each of readdirSync(folder, { withFileTypes: true })) {
    const url = new URL(each.name + (each.isDirectory() ? "/" : ""), folder);
    if (each.isDirectory()) yield* written(url);
    else if (each.name.endsWith(".py")) yield readFileSync(url, "utf8");
  }
}

test("every entry that the rules name has a sentence of its own", () => {
  const named = /(?:touched|noted|_written|_next_version|seen|with_fetched|adopted)\((?:[\w.()]+, )+"([a-z ,_]+)"/g;
  const whats = new Set([...written()].flatMap((text) => [...text.matchAll(named)].map(([, what]) => what)));
  assert.ok(whats.size > 15, [...whats].join());
  const facts = { attempt: 1, code: "c", status: "s", type: "t", revision: 1, refund_id: "R", amount: 1, payment_intent_id: "pi", reason: "r", action: "cancel", moved_to: "paypal:P" };
  for (const what of whats) {
    const { text } = say({ what, ...facts });
    assert.ok(!text.includes("payment_intent_id pi"), `${what}: ${text}`);
    assert.ok(!text.includes("undefined"), `${what}: ${text}`);
  }
});

const AT = 1_900_000_000;

test("an unknown order says why, what settles it, and until when", () => {
  const history = [{ at: AT, what: "claimed", attempt: 1 }, { at: AT, what: "unknown", code: "stripe_error" }];
  const [reason] = reasonsOf(order({ status: "unknown", history, key_is_safe_until: 4_000_000_000 }));
  assert.match(reason.why, /Stripe failed, or its answer could not be read\. So the service does not know/);
  assert.match(reason.next, /Resolve now settles it\. Until .* the same key, which cannot create a second payment/);
  const [late] = reasonsOf(order({ status: "unknown", history, key_is_safe_until: null }));
  assert.match(late.next, /It first looks for the payment at Stripe/);
});

test("an order whose process died says so", () => {
  const history = [{ at: AT, what: "claimed", attempt: 1 }];
  const [reason] = reasonsOf(order({ status: "unknown", history, key_is_safe_until: null }));
  assert.match(reason.why, /recorded no result: its process was stopped/);
});

for (const [name, more, title] of [
  ["in flight", { status: "in_flight", held_until: AT }, "A request works on this order"],
  ["rejected", { status: "rejected", history: [{ at: AT, what: "rejected", code: "card_declined" }] }, "Stripe rejected this order"],
  ["closed", { status: "rejected", history: [{ at: AT, what: "rejected", code: "nothing_made" }] }, "This order has no payment"],
  ["an unknown refund", { refunds: [{ refund_id: "R-1", amount: 5, status: "unknown" }] }, "The refund R-1 is unknown"],
  ["two payments", { alarms: ["two_paid"] }, "Two payments of this order were taken"],
  ["a dispute", { alarms: ["disputed"], disputes: [{ respond_by: AT }] }, "The payment is disputed"],
  ["a late event", { open: ["event_waits"], events: [{ type: "order.paid", tries: 3, next_at: AT, until: AT }] },
    "The shop has not accepted an order event"],
  ["a lapse", { open: ["authorization_lapses"], capture_before: AT }, "The authorization ends soon"],
  ["a look-up", { open: ["look_up_waits"], look_ups: [AT, AT + 1] }, "A payment may appear late"],
  ["a leftover", { leftovers: [{ gateway: "stripe", attempt: 1 }] }, "Attempt 1 at Stripe is left over"],
  ["a capture", { open: ["capture_unknown"], capture: { amount: 5 } }, "The capture is unknown"],
  ["a capture at PayPal", { open: ["capture_unknown"], gateway: "paypal" }, "The capture is unknown"],
]) {
  test(`a reason for ${name}`, () => {
    const [reason, ...others] = reasonsOf(order(more));
    assert.equal(reason.title, title);
    assert.deepEqual(others, []);
    assert.ok(!JSON.stringify(reason).includes("undefined") && !JSON.stringify(reason).includes("Invalid"), JSON.stringify(reason));
  });
}

test("nothing needs attention of an order without trouble", () => assert.deepEqual(reasonsOf(order()), []));

for (const [text, currency, amount] of [["10.99", "usd", 1099], ["10,9", "usd", 1090], ["10", "usd", 1000], ["10.999", "usd", null],
  ["1.5", "jpy", null], ["150", "jpy", 150], ["1.234", "kwd", 1234], ["-1", "usd", null], ["1e3", "usd", null], ["", "usd", null],
  ["9007199254.99", "usd", 900719925499]]) {
  test(`${text} ${currency} is ${amount}`, () => assert.equal(amountOf(text, currency), amount));
}

for (const [amount, currency, text] of [[1099, "usd", "10.99"], [5, "usd", "0.05"], [150, "jpy", "150"], [1234, "kwd", "1.234"]]) {
  test(`${amount} ${currency} is ${text} in an input`, () => assert.equal(plainAmount(amount, currency), text));
}

const answering = (status, body, sent = []) => new Api("secret", async (url, options) => {
  sent.push([url, options]);
  return new Response(body, { status });
});

test("the key is a header, and never part of the URL", async () => {
  const sent = [];
  await answering(200, "{}", sent).orders({ unknown: "true", client_id: "", cursor: null });
  const [[url, { headers, credentials }]] = sent;
  assert.equal(url, "/operator/api/orders?unknown=true");
  assert.equal(headers.Authorization, "Bearer secret");
  assert.equal(credentials, "omit");
});

test("an error has the service's sentence, code and action", async () => {
  const body = JSON.stringify({ error: "Failed to create payment intent: no", code: "stripe_error", action: "retry_same" });
  await assert.rejects(answering(502, body).act("refund", {}), (error) => error instanceof ApiError
    && error.message === "no" && error.code === "stripe_error" && error.action === "retry_same");
  await assert.rejects(answering(200, "<html>").me(), { message: "The service's answer could not be read." });
});
