// A lane: one server that takes orders (the service or the tutorials' code), and its results.
import { secondsOf } from "./pay.js";

const PRESSES = 3;
const PAUSE_SECONDS = 0.8;

export const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

const LOOK_SECONDS = 0.5;

/** The part of the sandboxes' control API that the demo uses; `paypalUrl` is empty without PayPal. */
export class SandboxControls {
  constructor(url, paypalUrl = "") {
    Object.assign(this, { url, paypalUrl });
  }

  async ask(path, method = "GET", given = undefined) {
    return this.#send(this.url, path, method, given);
  }

  async askPayPal(path, method = "GET", given = undefined) {
    return this.#send(this.paypalUrl, path, method, given);
  }

  async #send(url, path, method, given) {
    const answer = await fetch(`${url}/_sandbox/${path}`, { method, body: JSON.stringify(given) });
    return answer.json();
  }

  /** Make the creation of PaymentIntents fail, in each lane separately. */
  break(lanes, fault) {
    const match = { method: "POST", path: "/v1/payment_intents$" };
    return this.ask("faults", "POST", lanes.map(({ account }) => ({ ...fault, match: { ...match, account } })));
  }

  /** Lose every answer about PaymentIntents, until the faults are cleared. */
  silence(lanes) {
    return this.ask("faults", "POST", lanes.map(({ account }) => (
      { kind: "lost_after", count: null, match: { path: "/v1/payment_intents", account } })));
  }

  clearFaults() {
    return this.ask("faults", "DELETE");
  }

  async struck(kind) {
    return (await this.ask("faults")).fired[kind] ?? 0;
  }
}

/** Runs one scenario at a time: `begin`, then posts, and `look` at any time. */
export class Lane {
  /**
   * `more`: fields with which an order may be sold elsewhere. `captureUrl`: where the shopper comes back to from
   * PayPal; by default the same request is sent again. `customId` names an order at PayPal.
   */
  constructor({ name, url, account, headers, more = {}, captureUrl = url, customId = (id) => id }, sandbox) {
    Object.assign(this, { name, url, account, headers, more, captureUrl, customId, sandbox });
  }

  async begin(orderId) {
    Object.assign(this, { orderId, requests: 0, shoppers: new Map(), atPayPal: null, before: await this.#account() });
  }

  /** Send an order once, like one press of the button; true if the answer has a PaymentIntent. */
  async post(order, shopper = "one", url = this.url) {
    this.requests += 1;
    const headers = { "Content-Type": "application/json", ...this.headers };
    const request = { method: "POST", headers, body: JSON.stringify(order) };
    const answer = await fetch(url, request).catch(() => null);
    const found = answer?.ok ? await answer.json() : null;
    const id = found && idIn(found);
    if (found?.redirect_url) this.atPayPal = id;
    this.shoppers.set(shopper, id ?? this.shoppers.get(shopper) ?? null);
    this.retryAfter = secondsOf(answer?.headers.get("Retry-After")) ?? PAUSE_SECONDS;
    return Boolean(id);
  }

  /** Send an order like a person: press the button again after a failure, a few times. */
  async press(order, shopper = "one") {
    for (let press = 1; press <= PRESSES; press += 1) {
      if (await this.post(order, shopper)) return;
      if (press < PRESSES) await pause(this.retryAfter);
    }
  }

  /** Approve as the shopper does on PayPal's page; false if the shopper was not sent there. */
  async approve() {
    if (this.atPayPal) await this.sandbox.askPayPal(`orders/${this.atPayPal}/approve`, "POST", {});
    return Boolean(this.atPayPal);
  }

  comeBack(order) {
    return this.post({ ...order, ...(this.captureUrl === this.url ? {} : { paypal_order: this.atPayPal }) }, "one", this.captureUrl);
  }

  /** Wait until a look satisfies `isDone`, at most `seconds`. */
  async until(isDone, seconds) {
    for (let left = seconds; left > 0 && !isDone(await this.look()); left -= LOOK_SECONDS) await pause(LOOK_SECONDS);
  }

  /**
   * Returns { requests, creates, reads, made, given }: requests to the server; requests from it to
   * Stripe that create and read PaymentIntents; the payable PaymentIntents, with what PayPal has
   * captured; each shopper's one.
   */
  async look() {
    const { orders, requests } = await this.#account();
    const order = orders.filter((each) => each.order_id === this.orderId);
    const since = (method) => count(requests, method) - count(this.before.requests, method);
    return {
      requests: this.requests,
      creates: since("POST"),
      reads: since("GET"),
      made: order.reduce((sum, { payable }) => sum + payable, 0) + await this.#captured(),
      given: [...this.shoppers.values()],
    };
  }

  async #captured() {
    if (!this.atPayPal) return 0;
    const { orders } = await this.sandbox.askPayPal("state");
    return (orders[this.customId(this.orderId)] ?? []).filter(({ captures }) => captures.includes("COMPLETED")).length;
  }

  #account() {
    return this.sandbox.ask(`accounts/${this.account}`);
  }
}

function count(requests, method) {
  const mine = Object.entries(requests).filter(([name]) => name.startsWith(`${method} /v1/payment_intents`));
  return mine.reduce((sum, [, times]) => sum + times, 0);
}

const idIn = ({ client_secret: ours, clientSecret: theirs, payment_intent_id: other }) => (
  (ours ?? theirs)?.split("_secret_")[0] ?? other);
