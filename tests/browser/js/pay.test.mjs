import assert from "node:assert/strict";
import { test } from "node:test";
import { PaymentError, createPayment, getConfig, oneAtATime, secondsOf } from "../../../payment_service/checkout/pay.js";

const ORDER = { order_id: "A-1", amount: 1099, currency: "usd" };
const MADE = { payment_intent_id: "pi_1", client_secret: "pi_1_secret_2", status: "requires_payment_method" };

const answer = (status, body, headers = {}) =>
  new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });
const error = (status, code, action, headers = {}) => answer(status, { error: "No.", code, action }, headers);

// A service that gives these responses one by one (an Error is a lost one) and records the waits.
function serviceWith(...answers) {
  const bodies = [], waits = [];
  const fetch = async (url, { body }) => {
    bodies.push(body);
    const next = answers.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  const connection = { isUp: () => true, wait: async (seconds) => { waits.push(seconds); return false; } };
  return { fetch, connection, bodies, waits };
}

test("an answered order is sent once", async () => {
  const service = serviceWith(answer(200, MADE));
  assert.deepEqual(await createPayment(ORDER, service), { ...MADE, replayed: false, sends: 1 });
  assert.deepEqual(service.waits, []);
});

test("a replay is marked", async () => {
  const service = serviceWith(answer(200, MADE, { "Idempotent-Replayed": "true" }));
  assert.equal((await createPayment(ORDER, service)).replayed, true);
});

for (const [name, lost] of Object.entries({
  "a lost answer": new TypeError("Failed to fetch"),
  "retry_same": error(503, "store_unavailable", "retry_same"),
  "a proxy's page": answer(502, "<html>Bad gateway</html>"),
  "a captive portal": answer(200, "<html>Accept our terms</html>"),
  "a 200 with no secret": answer(200, {}),
  "null": answer(200, "null"),
})) {
  test(`after ${name} the same bytes are sent again`, async () => {
    const service = serviceWith(lost, answer(200, MADE));
    assert.equal((await createPayment(ORDER, service)).sends, 2);
    assert.equal(service.bodies[0], JSON.stringify(ORDER));
    assert.equal(service.bodies[1], service.bodies[0]);
  });
}

test("a payment at another gateway has no secret", async () => {
  const atPayPal = { payment_intent_id: "8FK5", client_secret: null, status: "requires_action", gateway: "paypal", redirect_url: "https://www.paypal.com/checkoutnow?token=8FK5" };
  const service = serviceWith(answer(200, atPayPal));
  assert.deepEqual(await createPayment(ORDER, service), { ...atPayPal, replayed: false, sends: 1 });
});

test("the page waits for Retry-After", async () => {
  const service = serviceWith(error(409, "in_flight", "retry_same", { "Retry-After": "7" }), answer(200, MADE));
  await createPayment(ORDER, service);
  assert.deepEqual(service.waits, [7]);
});

test("a Retry-After that is too long is reported, not waited for", async () => {
  const service = serviceWith(error(503, "overloaded", "retry_same", { "Retry-After": "3600" }));
  await assert.rejects(createPayment(ORDER, service), { code: "overloaded", retryAfter: 3600 });
});

test("waits and sends are bounded", async () => {
  const service = serviceWith(...Array.from({ length: 9 }, () => error(503, "stripe_unreachable", "retry_same")));
  await assert.rejects(createPayment(ORDER, { ...service, sends: 9 }), { code: "stripe_unreachable", status: 503 });
  assert.equal(service.bodies.length, 9);
  assert.equal(service.waits.length, 8);
  assert.ok(service.waits[0] >= 0.25 && service.waits[0] <= 0.5, service.waits[0]);
  assert.ok(service.waits.every((seconds) => seconds <= 8));
});

for (const action of ["fix_request", "stop"]) {
  test(`${action} is not sent again`, async () => {
    const service = serviceWith(error(422, "order_reused", action));
    await assert.rejects(createPayment(ORDER, service), (thrown) => {
      assert.ok(thrown instanceof PaymentError);
      assert.equal(thrown.action, action);
      return true;
    });
    assert.equal(service.bodies.length, 1);
  });
}

test("a 403 from a proxy stops", async () => {
  await assert.rejects(createPayment(ORDER, serviceWith(answer(403, "<html>No</html>"))), { action: "stop" });
});

test("an order waits while offline and is sent once online", async () => {
  const service = serviceWith(answer(200, MADE));
  let up = false;
  const reported = [];
  const connection = { isUp: () => up, wait: async () => { assert.equal(service.bodies.length, 0); up = true; return true; } };
  const { sends } = await createPayment(ORDER, { ...service, connection, onWait: ({ code }) => reported.push(code) });
  assert.equal(sends, 1);
  assert.deepEqual(reported, ["offline"]);
});

test("a connection that stays offline is reported", async () => {
  const service = serviceWith();
  const connection = { isUp: () => false, wait: async () => false };
  await assert.rejects(createPayment(ORDER, { ...service, connection }), { code: "offline", action: "retry_same" });
});

test("an aborted order is not sent again", async () => {
  const gone = new AbortController();
  const service = serviceWith(new TypeError("aborted"));
  gone.abort(new Error("left the page"));
  await assert.rejects(createPayment(ORDER, { ...service, signal: gone.signal }));
  assert.equal(service.bodies.length, 1);
});

test("the request for the publishable key is retried", async () => {
  const service = serviceWith(new TypeError("Failed to fetch"), answer(200, { publishable_key: "pk_test_1" }));
  assert.deepEqual(await getConfig(service), { publishable_key: "pk_test_1" });
});

test("Retry-After is seconds or a date", () => {
  assert.equal(secondsOf("2"), 2);
  assert.equal(secondsOf("Tue, 24 Nov 2026 12:00:05 GMT", Date.UTC(2026, 10, 24, 12)), 5);
  assert.equal(secondsOf("Tue, 24 Nov 2026 11:00:00 GMT", Date.UTC(2026, 10, 24, 12)), 0);
  assert.equal(secondsOf("soon"), null);
  assert.equal(secondsOf(null), null);
});

test("only one press is handled at a time", async () => {
  const attributes = new Map();
  const button = { setAttribute: (name, text) => attributes.set(name, text), removeAttribute: (name) => attributes.delete(name) };
  let ended, started = 0, ignored = 0;
  const press = oneAtATime(button, () => { started += 1; return new Promise((end) => { ended = end; }); }, () => { ignored += 1; });
  const first = press();
  press();
  press();
  assert.deepEqual([started, ignored, attributes.get("aria-disabled")], [1, 2, "true"]);
  ended();
  await first;
  press();
  assert.equal(started, 2);
});

test("a failed press enables the button again", async () => {
  const button = { setAttribute() {}, removeAttribute() {} };
  const press = oneAtATime(button, async () => { throw new Error("no"); });
  await assert.rejects(press());
  await assert.rejects(press());
});
