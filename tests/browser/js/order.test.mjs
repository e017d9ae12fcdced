import assert from "node:assert/strict";
import { test } from "node:test";
import { CURRENCIES, currentOrder, keepPrice, linesOf, newOrder } from "../../../payment_service/checkout/order.js";

function storage() {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text) };
}

const sum = (lines) => lines.reduce((total, { amount }) => total + amount, 0);

for (const currency of CURRENCIES) {
  test(`the lines of an order in ${currency} add up to its amount`, () => {
    const order = newOrder(currency, storage());
    assert.equal(sum(linesOf(order)), order.amount);
    assert.equal(linesOf(order).length, 3);
  });
}

for (const [amount, currency] of [[9999, "usd"], [100, "usd"], [9999, "sek"], [999999999999, "idr"]]) {
  test(`a price of ${amount} ${currency} is kept under the order's number`, () => {
    const browser = storage();
    const order = newOrder("usd", browser);
    keepPrice(order, { amount, currency, id: "pi_1", client_secret: "secret" }, browser);
    const found = currentOrder(browser);
    assert.deepEqual(found, { ...order, amount, currency });
    assert.equal(sum(linesOf(found)), amount);
  });
}
