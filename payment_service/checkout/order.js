// The demo's order. A real shop makes the order on its server and passes its number, goods and price
// to the page. Important: an order keeps its number across reloads, tabs and days.

const GOODS = [["Linen notebook, A5", 2], ["Brass pencil", 1], ["Delivery", 1]];

// The price of one piece of each product, in the smallest unit of the currency.
const PRICES = {
  usd: [1800, 2400, 490],
  eur: [1650, 2200, 450],
  gbp: [1400, 1900, 390],
  cad: [2450, 3200, 690],
  jpy: [2600, 3500, 700],
  kwd: [5500, 7350, 1500],
};
export const CURRENCIES = Object.keys(PRICES);

const KEPT_AS = "checkout.order";
const LOOKS_AFTER_SECONDS = [0.3, 1, 2, 4];
const LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Returns the order's lines: [{ name, count, amount }]. They add up to its amount. */
export function linesOf({ amount, currency }) {
  const goods = PRICES[currency] ? goodsIn(currency) : [];
  const rest = amount - sum(goods);
  return rest ? [...goods, { name: "Changed by the shop", count: 1, amount: rest }] : goods;
}

const goodsIn = (currency) => GOODS.map(([name, count], at) => ({ name, count, amount: count * PRICES[currency][at] }));
const sum = (lines) => lines.reduce((total, line) => total + line.amount, 0);

/** Make an order and store it as the current one. */
export function newOrder(currency = "usd", storage = localStorage) {
  const amount = sum(goodsIn(currency));
  return kept({ order_id: newNumber(), amount, currency, description: "Kestrel Paper" }, storage);
}

/** Give the order the price that the shop gave its PaymentIntent, and store it. */
export function keepPrice(order, { amount, currency }, storage = localStorage) {
  return kept({ ...order, amount, currency }, storage);
}

function kept(order, storage) {
  storage.setItem(KEPT_AS, JSON.stringify(order));
  return order;
}

/** Returns this browser's current order, the same in every tab. */
export function currentOrder(storage = localStorage) {
  const stored = JSON.parse(storage.getItem(KEPT_AS) ?? "null");
  return stored?.order_id ? stored : newOrder(undefined, storage);
}

/**
 * Call `listener` when the shop has Stripe's webhook for the paid order. A shop ships only after
 * the webhook, never because of what a browser says.
 */
export async function whenTheShopKnows({ order_id: orderId }, listener) {
  for (const seconds of LOOKS_AFTER_SECONDS) {
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const path = `/payment-intent?${new URLSearchParams({ order_id: orderId })}`;
    const answer = await fetch(path, { headers: authorization() }).catch(() => null);
    const { history = [] } = answer?.ok ? await answer.json().catch(() => ({})) : {};
    if (history.some(isTold)) return listener();
  }
}

// PayPal's money moves only when the service captures it, so its answer is as good as a webhook.
const isTold = ({ what, status }) => what === "captured" || (what === "webhook" && status === "succeeded");

/**
 * Returns the headers that authorize this page; none if the service has no clients file. The sandbox
 * gives the demo an API key. A real page sends the token that the shop's server signed for the order.
 */
export function authorization() {
  const { authorization: value } = document.body.dataset;
  return value ? { Authorization: value } : {};
}

function newNumber() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return `K-${Array.from(bytes, (byte) => LETTERS[byte % LETTERS.length]).join("")}`;
}
