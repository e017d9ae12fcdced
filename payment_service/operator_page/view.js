// Elements, times and amounts for the other modules. Every text from the service is set as text,
// never as HTML.
import { decimalsOf, formatAmount } from "../checkout/money.js";

export const $ = (id) => document.getElementById(id);

/** `element("p", { className: "small" }, "text", child)` */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Returns a button that runs `work` once at a time. */
export function button(text, work, className = "quiet") {
  const made = element("button", { type: "button", className }, text);
  made.addEventListener("click", oneAtATime(made, work));
  return made;
}

/** While `work` runs, further presses do nothing; the focus stays on the button. */
export function oneAtATime(pressed, work) {
  return async (event) => {
    event?.preventDefault();
    if (pressed.getAttribute("aria-disabled") === "true") return;
    pressed.setAttribute("aria-disabled", "true");
    try {
      await work(event);
    } finally {
      pressed.removeAttribute("aria-disabled");
    }
  };
}

/** Unix seconds as a date and a time of this browser. */
export const moment = (at) => new Date(at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function timeOf(at) {
  return element("time", { dateTime: new Date(at * 1000).toISOString() }, moment(at));
}

/** An amount with its currency; of a currency that the browser does not know, in its smallest unit. */
export function money(amount, currency) {
  if (amount === null || amount === undefined) return "an unknown amount";
  try {
    return formatAmount(amount, currency);
  } catch {
    return `${amount} ${currency ?? ""}`.trim();
  }
}

/** 1099 usd → "10.99", for an input. */
export function plainAmount(amount, currency) {
  const decimals = decimalsOf(currency);
  const digits = String(amount).padStart(decimals + 1, "0");
  return decimals ? `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}` : digits;
}

/** "10.99" usd → 1099; null if the text is no amount of that currency. No floating point. */
export function amountOf(text, currency) {
  const decimals = decimalsOf(currency);
  const [, whole, part = ""] = /^\s*(\d{1,12})(?:[.,](\d*))?\s*$/.exec(text) ?? [];
  if (whole === undefined || part.length > decimals) return null;
  return Number(whole + part.padEnd(decimals, "0"));
}

const STATUSES = {
  unknown: "Unknown",
  in_flight: "In flight",
  rejected: "Rejected",
  requires_payment_method: "Not paid yet",
  requires_confirmation: "Not confirmed yet",
  requires_action: "Waits for the shopper",
  processing: "The bank works on it",
  requires_capture: "Authorized",
  succeeded: "Paid",
  canceled: "Canceled",
};

/** The status of an order in words. */
export const statusOf = (status) => STATUSES[status] ?? status;

/** Returns a badge whose colour and text say the same. */
export function badge(text, kind = "") {
  const made = element("span", { className: "tag" }, text);
  made.dataset.kind = kind;
  return made;
}

/** The kind of a status: bad needs a person, good is paid. */
export const kindOf = (status) => ({ unknown: "bad", rejected: "warn", in_flight: "warn", succeeded: "good" })[status] ?? "";
