// Ask for an order's payment, and keep asking the same until there is an answer.
//
// Copy this file into a shop as it is. It has no dependencies and knows no page: it stands on
// one fact, that the service answers the same order with the same PaymentIntent, however often
// it is asked. So whenever an answer is lost, late or unclear, the right thing is to send the very
// same bytes again; a new order number, an amount computed anew or a time stamp would be wrong.

// One send outlives the service's own budget (25 s), so that we never hang up on an answer.
const SEND_SECONDS = 30;
const SENDS = 6;
const FIRST_WAIT_SECONDS = 0.5;
const LONGEST_WAIT_SECONDS = 8;
// A longer Retry-After is for the shopper to hear, not for a spinner to sit out.
const LONGEST_RETRY_AFTER = 30;
// How long a shopper without a connection is waited for before the page lets go.
const OFFLINE_SECONDS = 600;

/** Why there is no payment: `action` says what to do, `code` what it was, as the service does. */
export class PaymentError extends Error {
  constructor(message, { code, action, status = 0, requestId = null, retryAfter = null }) {
    super(message);
    Object.assign(this, { name: "PaymentError", code, action, status, requestId, retryAfter });
  }
}

/**
 * Gives { payment_intent_id, client_secret, status, replayed, sends } for an order.
 *
 * Sends the same bytes again, at most `sends` times in all, after a lost or unreadable answer
 * and after every `retry_same`; waits as long as Retry-After says; waits for the connection
 * to come back where there is none. Throws a PaymentError for everything else.
 * `onWait({ code, seconds, sends })` is told before each wait, `seconds` null while offline.
 */
export async function createPayment(order, { url = "/create-payment-intent", headers = {}, ...options } = {}) {
  const request = {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(order),
  };
  const { found, answer, sends } = await sendUntilAnswered(url, request, "client_secret", options);
  return { ...found, replayed: answer.headers.get("Idempotent-Replayed") === "true", sends };
}

/** Gives what Stripe.js needs to know, with the same patience: { publishable_key, stripe_account }. */
export async function getConfig({ url = "/config", ...options } = {}) {
  const { found } = await sendUntilAnswered(url, {}, "publishable_key", options);
  return found;
}

async function sendUntilAnswered(url, request, wanted, {
  sends = SENDS,
  onWait = () => {},
  signal,
  fetch = globalThis.fetch,
  connection = browserConnection,
} = {}) {
  for (let sent = 1; ; sent += 1) {
    await untilOnline(connection, signal, () => onWait({ code: "offline", seconds: null, sends: sent - 1 }));
    const answer = await sendOnce(fetch, url, request, wanted, signal);
    if (!(answer instanceof PaymentError)) return { ...answer, sends: sent };
    const seconds = answer.retryAfter ?? backoff(sent);
    if (answer.action !== "retry_same" || sent >= sends || seconds > LONGEST_RETRY_AFTER) throw answer;
    onWait({ code: answer.code, seconds, sends: sent });
    await connection.wait(seconds, signal);
  }
}

async function sendOnce(fetch, url, request, wanted, signal) {
  const timeout = AbortSignal.timeout(SEND_SECONDS * 1000);
  try {
    return await read(await fetch(url, {
      ...request,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    }), wanted);
  } catch (lost) {
    if (signal?.aborted) throw lost;
    return new PaymentError("The answer was lost.", { code: "no_answer", action: "retry_same" });
  }
}

async function read(answer, wanted) {
  const found = parsed(await answer.text());
  if (answer.ok && found[wanted]) return { found, answer };
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

// For answers that are not the service's own, as a proxy's 502 or a captive portal's 200.
function actionFor(status) {
  const unclear = status < 400 || status >= 500 || [408, 409, 425, 429].includes(status);
  return unclear ? "retry_same" : "stop";
}

/** Seconds of a Retry-After header, which is a number or a date; null for none. */
export function secondsOf(header, now = Date.now()) {
  if (!header) return null;
  const seconds = /^\d+(\.\d+)?$/.test(header.trim()) ? Number(header) : (Date.parse(header) - now) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

// Half fixed, half by chance, so that shoppers who failed together do not return together.
function backoff(sent) {
  const longest = Math.min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (sent - 1));
  return longest / 2 + Math.random() * longest / 2;
}

/** Return when there is a connection, at once if there is one; throws when none comes. */
export async function untilOnline(connection = browserConnection, signal = undefined, onWait = () => {}) {
  if (connection.isUp()) return;
  onWait();
  const back = await connection.wait(OFFLINE_SECONDS, signal);
  if (!back) throw new PaymentError("There is no connection.", { code: "offline", action: "retry_same" });
}

// `wait` ends early, and gives true, when the connection comes back.
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
 * Lets a form or a button start `work` only when the last one has ended.
 *
 * The button stays focusable (aria-disabled, not disabled), so that a keyboard does not lose its
 * place. `onIgnored` is told of each press that came too early.
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
