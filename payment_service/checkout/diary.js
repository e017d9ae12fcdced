// The log of an order, kept in this browser and shown on the page: each request, each answer, each
// press of a button. It shows that nothing happened twice.

const KEPT = 40;

export class Diary {
  #key;
  #storage;

  constructor(orderId, storage = localStorage) {
    this.#key = `checkout.diary.${orderId}`;
    this.#storage = storage;
  }

  get entries() {
    return JSON.parse(this.#storage.getItem(this.#key) ?? "[]");
  }

  /** Add an entry: its number of `sends`, a PaymentIntent's `id`, whether it is a `payment`. */
  write(text, { sends = 0, id = null, payment = false, kind = "plain" } = {}) {
    const entry = { at: Date.now(), text, sends, id, payment, kind };
    this.#storage.setItem(this.#key, JSON.stringify([...this.entries, entry].slice(-KEPT)));
  }

  /** Returns { sends, intents, payments }; each PaymentIntent and each payment counts once. */
  tally() {
    const { entries } = this;
    return {
      sends: entries.reduce((sum, entry) => sum + entry.sends, 0),
      intents: new Set(entries.map(({ id }) => id).filter(Boolean)).size,
      payments: new Set(entries.filter(({ payment }) => payment).map(({ id }) => id)).size,
    };
  }

  /** Call `listener` when another tab has added an entry. */
  onOtherTab(listener) {
    addEventListener("storage", ({ key }) => key === this.#key && listener());
  }
}

/** Shortens an id to `pi_3TxW8c…9ZqE`: enough to compare two. */
export function short(id) {
  return id.length > 16 ? `${id.slice(0, 9)}…${id.slice(-4)}` : id;
}
