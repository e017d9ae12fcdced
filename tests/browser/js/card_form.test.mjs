import assert from "node:assert/strict";
import { test } from "node:test";
import { CardForm, loadStripe, retrieve } from "../../../payment_service/checkout/card_form.js";

const INTENT = { client_secret: "pi_1_secret_2", amount: 1099, currency: "usd" };
const NEVER = new Promise(() => {});

// A Stripe.js whose Element reports the given event once it is mounted.
function stripeWith({ event = ["ready"], ...calls } = {}) {
  const listeners = {};
  const element = {
    on: (name, listener) => { listeners[name] = listener; },
    mount: () => { const [name, given] = event; listeners[name]?.(given); },
  };
  return { elements: () => ({ create: () => element, fetchUpdates: async () => ({}), update() {} }), ...calls };
}

function formWith(given) {
  const form = new CardForm(stripeWith(given), INTENT, {});
  form.mount("#place", () => {}).catch(() => {});
  return form;
}

// Lets promises settle, then moves the clock.
async function pass(clock, seconds) {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  clock.tick(seconds * 1000);
}

test("a form that reports nothing is unavailable after half a minute", async ({ mock: { timers } }) => {
  timers.enable({ apis: ["setTimeout"] });
  const form = formWith({ event: [] });
  await pass(timers, 31);
  await assert.rejects(form.ready, { code: "form_unavailable" });
  await assert.rejects(form.confirm("https://shop.example"), { code: "form_unavailable" });
});

test("a form that cannot load has Stripe's reason", async () => {
  const error = { type: "invalid_request_error" };
  await assert.rejects(formWith({ event: ["loaderror", { error }] }).ready, error);
});

test("a confirmation without an answer ends when the shopper is not at the bank", async ({ mock: { timers } }) => {
  timers.enable({ apis: ["setTimeout"] });
  const statuses = ["requires_action", "requires_action", "requires_payment_method"];
  const form = formWith({
    confirmPayment: () => NEVER,
    retrievePaymentIntent: async () => ({ paymentIntent: { status: statuses.shift() } }),
  });
  const confirmed = assert.rejects(form.confirm("https://shop.example"), { type: "api_connection_error" });
  for (let round = 0; round < 3; round += 1) await pass(timers, 91);
  await confirmed;
  assert.deepEqual(statuses, []);
});

test("Stripe's error is returned, and an exception is thrown", async () => {
  const error = { type: "card_error" };
  assert.equal(await formWith({ confirmPayment: async () => ({ error }) }).confirm(""), error);
  const thrown = new TypeError("broken");
  await assert.rejects(formWith({ confirmPayment: () => { throw thrown; } }).confirm(""), thrown);
  assert.equal((await formWith({ confirmPayment: async () => ({}) }).confirm("")).type, "api_connection_error");
});

test("a look has the PaymentIntent or an error", async () => {
  const look = (said) => retrieve({ retrievePaymentIntent: async () => said }, "secret");
  assert.equal(await look({ paymentIntent: INTENT }), INTENT);
  await assert.rejects(look({ error: { type: "api_error" } }), { type: "api_error" });
  await assert.rejects(look({}), { type: "api_connection_error" });
});

test("the page's colours never stop it", () => {
  const stripe = stripeWith();
  stripe.elements = () => ({ create: () => ({}), update: () => { throw new Error("no"); } });
  const { warn } = console;
  console.warn = () => {};
  new CardForm(stripe, INTENT, {}).setAppearance({});
  console.warn = warn;
});

function pageWith(event, Stripe) {
  const page = {};
  const script = { addEventListener: (name, listener) => name === event && setImmediate(() => { page.Stripe = Stripe; listener(); }) };
  page.document = { createElement: () => script, head: { append() {} } };
  return page;
}

test("Stripe.js is loaded once", async () => {
  const Stripe = () => {};
  const page = pageWith("load", Stripe);
  assert.equal(await loadStripe("https://js.example", page), Stripe);
  page.document = null;
  assert.equal(await loadStripe("https://js.example", page), Stripe);
});

test("a blocked or empty Stripe.js is unavailable", async () => {
  await assert.rejects(loadStripe("https://js.example", pageWith("error")), { code: "form_unavailable", action: "retry_same" });
  await assert.rejects(loadStripe("https://js.example", pageWith("load")), { code: "form_unavailable" });
});
