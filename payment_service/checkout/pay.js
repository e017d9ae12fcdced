// Requests an order's PaymentIntent and retries until the service answers.
//
// Copy this file into a shop unchanged. It has no dependencies and does not touch the page. It
// relies on one fact: the service returns the same PaymentIntent for every request of an order. So
// if an answer is lost, late or unclear, send the same bytes again. Never change the order number
// or the amount for a retry, and never add a time stamp.

// Longer than the service's budget (25 s), so that the page does not miss a slow answer.
const SEND_SECONDS = 30;
const SENDS = 6;
const FIRST_WAIT_SECONDS = 0.5;
const LONGEST_WAIT_SECONDS = 8;
// Show the shopper a message for a longer Retry-After, not a spinner.
const LONGEST_RETRY_AFTER = 30;
// How long to wait for the connection of an offline shopper.
const OFFLINE_SECONDS = 600;

/** An error with the service's `code` and `action`. */
export class PaymentError extends Error {
  constructor(message, { code, action, status = 0, requestId = null, retryAfter = null }) {
    super(message);
    Object.assign(this, { name: "PaymentError", code, action, status, requestId, retryAfter });
  }
}

/**
 * Returns { payment_intent_id, client_secret, status, replayed, sends } for an order.
 *
 * If the order has `accept_gateways`, also { gateway, redirect_url }: a payment at another gateway
 * than Stripe has no client_secret. After the shopper has come back from redirect_url, call this
 * again with the same order: that completes the payment.
 *
 * Sends the same bytes at most `sends` times: it retries after a lost or unreadable answer and
 * after every `retry_same`. It obeys Retry-After, and waits for the connection while offline.
 * Throws a PaymentError for everything else. Calls `onWait({ code, seconds, sends })` before each
 * wait; `seconds` is null while offline.
 */
export async function createPayment(order, { url = "/create-payment-intent", headers = {}, ...options } = {}) {
  const request = {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(order),
  };
  const { found, answer, sends } = await sendUntilAnswered(url, request, isPayment, options);
  return { ...found, replayed: answer.headers.get("Idempotent-Replayed") === "true", sends };
}

const isPayment = ({ client_secret: secret, gateway }) => secret || gateway;

/** Returns Stripe.js's settings, { publishable_key, stripe_account }, with the same retries. */
export async function getConfig({ url = "/config", ...options } = {}) {
  const { found } = await sendUntilAnswered(url, {}, (settings) => settings.publishable_key, options);
  return found;
}

async function sendUntilAnswered(url, request, isWhole, {
  sends = SENDS,
  onWait = () => {},
  signal,
  fetch = globalThis.fetch,
  connection = browserConnection,
} = {}) {
  for (let sent = 1; ; sent += 1) {
    await untilOnline(connection, signal, () => onWait({ code: "offline", seconds: null, sends: sent - 1 }));
    const answer = await sendOnce(fetch, url, request, isWhole, signal);
    if (!(answer instanceof PaymentError)) return { ...answer, sends: sent };
    const seconds = answer.retryAfter ?? backoff(sent);
    if (answer.action !== "retry_same" || sent >= sends || seconds > LONGEST_RETRY_AFTER) throw answer;
    onWait({ code: answer.code, seconds, sends: sent });
    await connection.wait(seconds, signal);
  }
}

async function sendOnce(fetch, url, request, isWhole, signal) {
  const timeout = AbortSignal.timeout(SEND_SECONDS * 1000);
  try {
    return await read(await fetch(url, {
      ...request,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    }), isWhole);
  } catch (lost) {
    if (signal?.aborted) throw lost;
    return new PaymentError("The answer was lost.", { code: "no_answer", action: "retry_same" });
  }
}

async function read(answer, isWhole) {
  const found = parsed(await answer.text());
  if (answer.ok && isWhole(found)) return { found, answer };
  return new PaymentError(found.error ?? "The answer was unreadable.", {
    code: found.code ?? "unreadable",
    action: found.action ?? actionFor(answer.status),
    status: answer.status,
    requestId: found.request_id ?? null,
    retryAfter: secondsOf(answer.headers.get("Retry-After")),
  });
}

function parsed(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

// For answers that are not from the service: a proxy's 502, a captive portal's 200.
function actionFor(status) {
  const unclear = status < 400 || status >= 500 || [408, 409, 425, 429].includes(status);
  return unclear ? "retry_same" : "stop";
}

/** Parses a Retry-After header, a number or a date, to seconds; null without a header. */
export function secondsOf(header, now = Date.now()) {
  if (!header) return null;
  const seconds = /^\d+(\.\d+)?$/.test(header.trim()) ? Number(header) : (Date.parse(header) - now) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

// Exponential back-off with jitter, so that shoppers who failed together do not retry together.
function backoff(sent) {
  const longest = Math.min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (sent - 1));
  return longest / 2 + Math.random() * longest / 2;
}

/** Waits until the browser is online; throws after OFFLINE_SECONDS. */
export async function untilOnline(connection = browserConnection, signal = undefined, onWait = () => {}) {
  if (connection.isUp()) return;
  onWait();
  const back = await connection.wait(OFFLINE_SECONDS, signal);
  if (!back) throw new PaymentError("There is no connection.", { code: "offline", action: "retry_same" });
}

// `wait` resolves early, with true, when the connection comes back.
const browserConnection = {
  isUp: () => globalThis.navigator?.onLine !== false,
  wait: (seconds, signal) => new Promise((resolve, reject) => {
    const end = (settle, value) => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", back);
      signal?.removeEventListener("abort", gone);
      settle(value);
    };
    const back = () => end(resolve, true);
    const gone = () => end(reject, signal.reason);
    const timer = setTimeout(() => end(resolve, false), seconds * 1000);
    globalThis.addEventListener?.("online", back);
    signal?.addEventListener("abort", gone);
    if (signal?.aborted) gone();
  }),
};

/**
 * Wraps a handler so that `work` runs one at a time.
 *
 * The button gets aria-disabled, not disabled, so that it keeps the keyboard focus. `onIgnored` is
 * called for each press while `work` runs.
 */
export function oneAtATime(button, work, onIgnored = () => {}) {
  let busy = false;
  return async (event) => {
    event?.preventDefault();
    if (busy) return onIgnored();
    busy = true;
    button.setAttribute("aria-disabled", "true");
    try {
      return await work(event);
    } finally {
      busy = false;
      button.removeAttribute("aria-disabled");
    }
  };
}
