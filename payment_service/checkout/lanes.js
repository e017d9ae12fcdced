// A lane: one server that takes orders (the service or the tutorials' code), and its results.
import { secondsOf } from "./pay.js";

const PRESSES = 3;
const PAUSE_SECONDS = 0.8;

export const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** The part of the sandbox's control API that the demo uses. */
export class SandboxControls {
  constructor(url) {
    this.url = url;
  }

  async ask(path, method = "GET", given = undefined) {
    const answer = await fetch(`${this.url}/_sandbox/${path}`, { method, body: JSON.stringify(given) });
    return answer.json();
  }

  /** Make the creation of PaymentIntents fail, in each lane separately. */
  break(lanes, fault) {
    const match = { method: "POST", path: "/v1/payment_intents$" };
    return this.ask("faults", "POST", lanes.map(({ account }) => ({ ...fault, match: { ...match, account } })));
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
  constructor({ name, url, account, headers }, sandbox) {
    Object.assign(this, { name, url, account, headers, sandbox });
  }

  async begin(orderId) {
    Object.assign(this, { orderId, requests: 0, shoppers: new Map(), before: await this.#account() });
  }

  /** Send an order once, like one press of the button; true if the answer has a PaymentIntent. */
  async post(order, shopper = "one") {
    this.requests += 1;
    const headers = { "Content-Type": "application/json", ...this.headers };
    const request = { method: "POST", headers, body: JSON.stringify(order) };
    const answer = await fetch(this.url, request).catch(() => null);
    const id = answer?.ok ? idIn(await answer.json()) : null;
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

  /**
   * Returns { requests, creates, reads, made, given }: requests to the server; requests from it to
   * Stripe that create and read PaymentIntents; the payable PaymentIntents; each shopper's one.
   */
  async look() {
    const { orders, requests } = await this.#account();
    const order = orders.filter((each) => each.order_id === this.orderId);
    const since = (method) => count(requests, method) - count(this.before.requests, method);
    return {
      requests: this.requests,
      creates: since("POST"),
      reads: since("GET"),
      made: order.reduce((sum, { payable }) => sum + payable, 0),
      given: [...this.shoppers.values()],
    };
  }

  #account() {
    return this.sandbox.ask(`accounts/${this.account}`);
  }
}

function count(requests, method) {
  const mine = Object.entries(requests).filter(([name]) => name.startsWith(`${method} /v1/payment_intents`));
  return mine.reduce((sum, [, times]) => sum + times, 0);
}

const idIn = ({ client_secret: ours, clientSecret: theirs }) => (ours ?? theirs).split("_secret_")[0];
