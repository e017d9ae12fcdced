// The operator's API. The key lives in this object only: not in storage, not in a URL.

// The service's messages of 5xx answers begin with this, whatever the request was.
const PREFIX = /^Failed to create payment intent: /;

/** An answer that is not 200, or no answer: `action` is the service's, retry_same if there is none. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "no_answer", action = "retry_same" } = {}) {
    super(message);
    this.name = "ApiError";
    Object.assign(this, { status, code, action });
  }
}

export class Api {
  #key;

  constructor(key, fetcher = (...given) => fetch(...given)) {
    this.#key = key;
    this.fetcher = fetcher;
  }

  me = () => this.#ask("me");
  find = (query) => this.#ask("find", { query });
  order = (query) => this.#ask("order", { query });
  orders = (query) => this.#ask("orders", { query });
  overdue = (query) => this.#ask("overdue", { query });
  totals = (query) => this.#ask("totals", { query });

  /** Cancel, capture, refund or resolve an order; returns the order as it is then. */
  act = (action, body) => this.#ask(action, { body });

  async #ask(path, { query = {}, body } = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
    const search = new URLSearchParams(given).toString();
    const answer = await this.fetcher(`/operator/api/${path}${search && `?${search}`}`, this.#options(body))
      .catch(() => { throw new ApiError("The service did not answer."); });
    const found = await answer.json().catch(() => { throw new ApiError("The service's answer could not be read."); });
    if (answer.ok) return found;
    throw new ApiError(String(found.error).replace(PREFIX, ""), { status: answer.status, ...found });
  }

  #options(body) {
    const headers = { Authorization: `Bearer ${this.#key}` };
    const shared = { cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" };
    if (body === undefined) return { ...shared, headers };
    return { ...shared, method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) };
  }
}
