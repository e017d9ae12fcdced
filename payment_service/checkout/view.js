// Updates the parts of the page for checkout.js; contains no payment logic.
import { short } from "./diary.js";
import { formatAmount } from "./money.js";
import { CURRENCIES, linesOf } from "./order.js";

export const $ = (id) => document.getElementById(id);

const STAGES = ["loading", "card", "wallet", "trouble", "result"];

/** Show one of the stages of the payment panel. */
export function stage(name) {
  for (const each of STAGES) $(each).hidden = each !== name;
  $("pay").setAttribute("aria-busy", String(name === "loading"));
  $("press").hidden = name === "result";
}

/** Show the status, and announce it to screen readers. */
export function status(text) {
  $("status").textContent = text;
}

export function showOrder(order) {
  const amount = formatAmount(order.amount, order.currency);
  $("total").textContent = amount;
  $("order-id").textContent = order.order_id;
  $("lines").replaceChildren(...linesOf(order).map((line) => lineOf(line, order.currency)));
  $("currency").replaceChildren(...CURRENCIES.map((each) => new Option(
    each.toUpperCase(), each, false, each === order.currency)));
  showPaying(false, order);
}

function lineOf({ name, count, amount }, currency) {
  const row = document.createElement("div");
  row.append(element("dt", count > 1 ? `${name} × ${count}` : name),
    element("dd", formatAmount(amount, currency)));
  return row;
}

export function showPaying(paying, { amount, currency }) {
  $("pay-button").textContent = paying ? "Paying…" : `Pay ${formatAmount(amount, currency)}`;
  $("pay-button").classList.toggle("busy", paying);
}

/** Show the way to the wallet. */
export function showWallet(text) {
  stage("wallet");
  status("");
  $("wallet-text").textContent = text;
}

/** Show the result: `kind` is paid, pending or ended. */
export function showResult(kind, title, text) {
  stage("result");
  status("");
  $("result").dataset.kind = kind;
  $("result-title").textContent = title;
  $("result-text").textContent = text;
  $("result-title").focus({ preventScroll: true });
}

/** Replace the result's text; screen readers announce it, and the focus stays. */
export function tellResult(text) {
  $("result-text").textContent = text;
}

export function showTrouble(text, canTryAgain = true) {
  stage("trouble");
  status("");
  $("again").hidden = !canTryAgain;
  $("trouble-text").textContent = text;
}

/** Show the diary, newest entry first. */
export function showDiary(diary) {
  const { sends, intents, payments } = diary.tally();
  Object.entries({ sends, intents, payments }).forEach(([id, count]) => { $(id).textContent = count; });
  $("diary").replaceChildren(...diary.entries.reverse().map(entryOf));
}

function entryOf({ at, text, id, kind }) {
  const item = element("li", "");
  item.dataset.kind = kind;
  const time = element("time", new Date(at).toLocaleTimeString([], { timeStyle: "medium" }));
  time.dateTime = new Date(at).toISOString();
  item.append(time, element("span", text));
  if (id) item.append(element("code", short(id)));
  return item;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
