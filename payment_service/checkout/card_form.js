// Stripe.js and its card form. Stripe.js reports most failures as `{ error }`, throws for others, and
// sometimes never answers. Here every call returns Stripe's answer or throws, after a time at most.
import { PaymentError, untilOnline } from "./pay.js";

const LOAD_SECONDS = 30;
const LOOK_SECONDS = 30;
// Longer than Stripe takes for a card. A bank's second step may take longer still: see `confirm`.
const CONFIRM_SECONDS = 90;

const unavailable = () => new PaymentError("The card form did not load.", { code: "form_unavailable", action: "retry_same" });
const unanswered = () => ({ type: "api_connection_error", message: "Stripe.js did not answer." });

/** Loads Stripe.js from `url`, unless it is loaded already; returns its `Stripe`. */
export async function loadStripe(url, page = globalThis) {
  await untilOnline();
  if (!page.Stripe) await within(LOAD_SECONDS, loadScript(url, page.document), unavailable);
  if (!page.Stripe) throw unavailable();
  return page.Stripe;
}

function loadScript(src, document) {
  return new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src });
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(unavailable()));
    document.head.append(script);
  });
}

/** Returns the PaymentIntent as it is now; throws Stripe's error, or one of no answer. */
export async function retrieve(stripe, clientSecret) {
  const { paymentIntent, error } = await within(LOOK_SECONDS, stripe.retrievePaymentIntent(clientSecret), unanswered);
  if (!paymentIntent) throw error ?? unanswered();
  return paymentIntent;
}

/** The card form of a PaymentIntent. Its methods throw what Stripe.js throws. */
export class CardForm {
  #stripe;
  #elements;
  #element;

  constructor(stripe, intent, appearance) {
    this.#stripe = stripe;
    this.intent = intent;
    this.#elements = stripe.elements({ clientSecret: intent.client_secret, appearance });
    this.#element = this.#elements.create("payment");
    this.ready = null;
  }

  /** Show the form. Returns a promise, also kept as `ready`, that rejects if it does not load. */
  mount(place, onChange) {
    const loaded = new Promise((resolve, reject) => {
      this.#element.on("ready", resolve);
      this.#element.on("loaderror", ({ error }) => reject(error));
      this.#element.on("change", onChange);
      this.#element.mount(place);
    });
    this.ready = within(LOAD_SECONDS, loaded, unavailable);
    return this.ready;
  }

  /**
   * Confirm the payment, and return Stripe's error; without one, the browser goes to `returnUrl`.
   *
   * Waits until the form is loaded: before that, Stripe.js says that its Element is not mounted.
   */
  async confirm(returnUrl) {
    await this.ready;
    const confirming = this.#stripe.confirmPayment({
      elements: this.#elements,
      confirmParams: { return_url: returnUrl },
    });
    for (;;) {
      try {
        const { error } = await within(CONFIRM_SECONDS, confirming, unanswered);
        return error ?? unanswered();
      } catch (late) {
        if (late.type !== "api_connection_error" || !await this.#isAtTheBank()) throw late;
      }
    }
  }

  async #isAtTheBank() {
    return (await retrieve(this.#stripe, this.intent.client_secret)).status === "requires_action";
  }

  /** Take over the PaymentIntent's new amount, which wallets show. */
  async update(intent) {
    this.intent = intent;
    const { error } = await within(LOAD_SECONDS, this.#elements.fetchUpdates(), unavailable);
    if (error) throw error;
  }

  setAppearance(appearance) {
    try {
      this.#elements.update({ appearance });
    } catch (thrown) {
      // Only the colours stay as they are.
      console.warn(thrown);
    }
  }
}

// Only the wait ends after this time, not the call.
async function within(seconds, call, error) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(error()), seconds * 1000); });
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}
