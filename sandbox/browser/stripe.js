// Replaces https://js.stripe.com/v3/: the part of Stripe.js that a checkout page needs.
// It is not Stripe, and no money moves. As with Stripe, the card form is a frame of this origin,
// so that the shop's page never has the card number.
(() => {
  const SANDBOX = new URL(document.currentScript.src).origin;

  const UNREACHABLE = {
    type: "api_connection_error",
    message: "We are experiencing issues connecting to our payments provider. "
      + "You have not been charged. Please check your internet connection and try again.",
  };

  const idOf = (clientSecret) => String(clientSecret).split("_secret_")[0];

  function misuse(message) {
    const error = new Error(message);
    error.name = "IntegrationError";
    return error;
  }

  async function retrieve(headers, secret) {
    const query = new URLSearchParams({ client_secret: secret });
    try {
      const answer = await fetch(`${SANDBOX}/v1/payment_intents/${idOf(secret)}?${query}`, { headers });
      const found = await answer.json();
      return answer.ok ? { paymentIntent: found } : { error: found.error };
    } catch {
      return { error: UNREACHABLE };
    }
  }

  class PaymentElement {
    #listeners = {};
    #answers = new Map();
    #frame = document.createElement("iframe");
    #port;
    #asked = 0;

    constructor(headers, options) {
      this.headers = headers;
      this.options = options;
    }

    on(event, listener) {
      (this.#listeners[event] ??= []).push(listener);
      return this;
    }

    mount(target) {
      const place = typeof target === "string" ? document.querySelector(target) : target;
      if (!place) throw misuse(`The selector you specified (${target}) applies to no DOM elements.`);
      Object.assign(this.#frame, { src: `${SANDBOX}/v3/payment_element`, title: "Secure card form" });
      this.#frame.allow = "payment *";
      Object.assign(this.#frame.style, { border: "0", width: "100%", height: "0", display: "block" });
      this.#frame.addEventListener("load", () => this.#begin());
      place.replaceChildren(this.#frame);
    }

    unmount() {
      this.#frame.remove();
    }

    destroy() {
      this.unmount();
    }

    focus() {
      this.#port?.postMessage({ type: "focus" });
    }

    update(options) {
      this.#port?.postMessage({ type: "appearance", ...options });
    }

    // Resolves to the frame's answer: {} | { error } | { paymentIntent }.
    ask(type, more = {}) {
      if (!this.#port || !this.#frame.isConnected) {
        throw misuse("Please make sure the Element you are attempting to use is still mounted.");
      }
      const id = ++this.#asked;
      this.#port.postMessage({ type, id, ...more });
      return new Promise((resolve) => this.#answers.set(id, resolve));
    }

    #begin() {
      const { port1, port2 } = new MessageChannel();
      this.#port = port1;
      port1.onmessage = ({ data }) => this.#handleMessage(data);
      const { appearance, clientSecret } = this.options;
      const greeting = { type: "begin", headers: this.headers, appearance, clientSecret };
      this.#frame.contentWindow.postMessage(greeting, SANDBOX, [port2]);
    }

    #handleMessage({ type, id, ...said }) {
      if (type === "answer") {
        this.#answers.get(id)?.(said);
        this.#answers.delete(id);
      } else if (type === "height") {
        this.#frame.style.height = `${said.height}px`;
      } else {
        for (const listener of this.#listeners[type] ?? []) {
          listener({ elementType: "payment", ...said });
        }
      }
    }
  }

  class Elements {
    #headers;
    #options;
    #payment = null;

    constructor(headers, options) {
      this.#headers = headers;
      this.#options = options;
    }

    create(type, options = {}) {
      if (type !== "payment") throw misuse(`The sandbox has no Element of the type ${type}.`);
      if (this.#payment) throw misuse("Can only create one Element of type payment through elements().create().");
      this.#payment = new PaymentElement(this.#headers, { ...this.#options, ...options });
      return this.#payment;
    }

    getElement() {
      return this.#payment;
    }

    update({ appearance, ...others }) {
      Object.assign(this.#options, others, appearance && { appearance });
      if (appearance) this.#payment?.update({ appearance });
    }

    // The sandbox's form does not show the amount, so there is nothing to update.
    async fetchUpdates() {
      return {};
    }

    submit() {
      return this.#payment.ask("submit");
    }

    get clientSecret() {
      return this.#options.clientSecret;
    }
  }

  class SandboxStripe {
    #headers;

    constructor(headers) {
      this.#headers = headers;
    }

    elements(options = {}) {
      if (!options.clientSecret) throw misuse("The sandbox's elements() needs a clientSecret.");
      return new Elements(this.#headers, { ...options });
    }

    // As at Stripe: redirects to return_url afterwards, unless `redirect` is "if_required".
    async confirmPayment({ elements, clientSecret, confirmParams = {}, redirect = "always" }) {
      const returnUrl = confirmParams.return_url;
      if (!returnUrl && redirect === "always") {
        throw misuse("stripe.confirmPayment(): the `confirmParams.return_url` argument is required.");
      }
      const secret = clientSecret ?? elements.clientSecret;
      const said = await elements.getElement().ask("confirm", { clientSecret: secret, returnUrl });
      if (said.error) return said;
      return this.#goOn(said.paymentIntent, returnUrl, redirect);
    }

    retrievePaymentIntent(clientSecret) {
      return retrieve(this.#headers, clientSecret);
    }

    #goOn(paymentIntent, returnUrl, redirect) {
      const action = paymentIntent.next_action?.redirect_to_url;
      if (paymentIntent.status === "requires_action" && action) return leaveFor(action.url);
      if (redirect === "if_required") return { paymentIntent };
      return leaveFor(withOutcome(returnUrl, paymentIntent));
    }
  }

  function leaveFor(address) {
    location.assign(address);
    return new Promise(() => {});
  }

  function withOutcome(returnUrl, intent) {
    const address = new URL(returnUrl);
    address.searchParams.set("payment_intent", intent.id);
    address.searchParams.set("payment_intent_client_secret", intent.client_secret);
    address.searchParams.set("redirect_status", intent.status === "processing" ? "pending" : "succeeded");
    return address.href;
  }

  window.Stripe = (key, { stripeAccount } = {}) => {
    if (!/^pk_(test|live)_/.test(key ?? "")) {
      throw misuse("Please call Stripe() with your publishable key. You used an empty string.");
    }
    const account = stripeAccount ? { "Stripe-Account": stripeAccount } : {};
    return new SandboxStripe({ Authorization: `Bearer ${key}`, ...account });
  };
  window.Stripe.version = "sandbox";
})();
