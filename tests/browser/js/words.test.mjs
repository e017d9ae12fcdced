import assert from "node:assert/strict";
import { test } from "node:test";
import { explain } from "../../../payment_service/checkout/messages.js";
import { decimalsOf, formatAmount } from "../../../payment_service/checkout/money.js";
import { PaymentError } from "../../../payment_service/checkout/pay.js";
import { fieldErrors, groupDigits, formatExpiry } from "../../../sandbox/browser/card.js";

const NBSP = "\u00a0";

for (const [amount, currency, locale, shown] of [
  [1099, "usd", "en-US", "$10.99"],
  [123456, "eur", "de", `1.234,56${NBSP}€`],
  [1099, "JPY", "en-US", "¥1,099"],
  [19850, "kwd", "en-US", `KWD${NBSP}19.850`],
  [1150, "huf", "en-US", `HUF${NBSP}11.50`],
  [50000, "isk", "en-US", `ISK${NBSP}500`],
  [50050, "lak", "en-US", `LAK${NBSP}500.50`],
  [999999999999, "usd", "en-US", "$9,999,999,999.99"],
  [999999999990, "kwd", "en-US", `KWD${NBSP}999,999,999.990`],
  [100000000, "idr", "en-US", `IDR${NBSP}1,000,000`],
  [7, "usd", "en-US", "$0.07"],
]) {
  test(`${amount} ${currency} is ${shown}`, () => assert.equal(formatAmount(amount, currency, locale), shown));
}

test("Stripe's decimals, not Unicode's", () => {
  assert.deepEqual(["jpy", "ugx", "isk", "kwd", "usd"].map(decimalsOf), [0, 2, 2, 3, 2]);
});

const failed = (code, action = "retry_same", more = {}) => new PaymentError("x", { code, action, ...more });

test("every error has a sentence for the shopper, without its code", () => {
  const errors = [
    ...["offline", "no_answer", "in_flight", "order_reused", "stripe_error", "misconfigured", "new_code"].map((code) => failed(code)),
    failed("misconfigured", "stop", { requestId: "req_1" }),
    { type: "card_error", code: "card_declined", decline_code: "stolen_card" },
    { type: "card_error", code: "card_declined", decline_code: "insufficient_funds" },
    { type: "validation_error", code: "incomplete_number" },
    { type: "api_connection_error" },
    { type: "invalid_request_error", code: "resource_missing" },
    new TypeError("Stripe is not a function"),
  ];
  for (const error of errors) {
    const text = explain(error);
    assert.match(text, /^[A-Z].*\.$/);
    assert.doesNotMatch(text, /undefined|null|stolen/);
  }
});

for (const [code, decline] of [
  ["card_declined", "generic_decline"], ["card_declined", "insufficient_funds"], ["card_declined", "stolen_card"],
  ["expired_card"], ["incorrect_cvc"], ["incorrect_number"], ["processing_error"], ["authentication_required"],
  ["payment_intent_authentication_failure"], ["a_code_of_tomorrow"],
]) {
  test(`a decline says that nothing was charged, and what to do: ${decline ?? code}`, () => {
    const text = explain({ type: "card_error", code, decline_code: decline });
    assert.match(text, /^[A-Z][^.]+\. This did not charge you\. (Please|You) [^.]+\.$/);
  });
}

test("an internal error has a reference to its request", () => {
  assert.match(explain(failed("internal", "stop", { requestId: "req-1" })), /reference req-1/);
});

test("card numbers are grouped as on the card", () => {
  assert.equal(groupDigits("4242424242424242"), "4242 4242 4242 4242");
  assert.equal(groupDigits("378282246310005"), "3782 822463 10005");
  assert.equal(groupDigits("42424"), "4242 4");
  assert.equal(groupDigits(""), "");
});

test("an expiry is formatted while it is typed", () => {
  assert.deepEqual(["1", "12", "123", "9", "1234"].map((text) => formatExpiry(text)), ["1", "12 / ", "12 / 3", "09 / ", "12 / 34"]);
  assert.equal(formatExpiry("12 /", true), "12");
});

test("an invalid card has Stripe's error codes", () => {
  const now = new Date(2026, 10, 24);
  const about = (number, expiry, cvc) => Object.values(fieldErrors({ number, expiry, cvc }, now)).map((found) => found?.[0]);
  assert.deepEqual(about("4242 4242 4242 4242", "11 / 26", "123"), [undefined, undefined, undefined]);
  assert.deepEqual(about("4242 4242 4242 4241", "10 / 26", "12"), ["invalid_number", "invalid_expiry_year_past", "incomplete_cvc"]);
  assert.deepEqual(about("4242", "13 / 30", "1234"), ["incomplete_number", "invalid_expiry_month", undefined]);
});
