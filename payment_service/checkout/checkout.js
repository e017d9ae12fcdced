// An example of a checkout page. A shop copies pay.js, card_form.js, money.js and messages.js, and
// follows these steps: request the order's payment, check its status before asking for money, then
// look at its gateway. At Stripe: show the card form, compare the amount, confirm, and trust only
// Stripe's answer. At PayPal: send the shopper there, and send the same order again afterwards.
import { CardForm, loadStripe, retrieve } from "./card_form.js";
import { Diary } from "./diary.js";
import { CANCELED, FORM_AGAIN, UNCLEAR, WALLET, WALLET_AGAIN, explain, newPrice } from "./messages.js";
import { formatAmount } from "./money.js";
import { authorization, currentOrder, keepPrice, newOrder, whenTheShopKnows } from "./order.js";
import { createPayment, getConfig, oneAtATime, untilOnline } from "./pay.js";
import { offerTries } from "./tries.js";
import { $, showDiary, showOrder, showPaying, showResult, showTrouble, showWallet, stage, status, tellResult } from "./view.js";

const LOOKS = 3;

// Actions after which the same order would fail again.
const FINAL = ["fix_request", "stop"];

// A shop's own page has a token; this one is for the person who runs the service.
const NO_TOKEN = "The service has a clients file, so a page needs an order token, and this demo has none. "
  + "docs/clients.md says how a shop's server signs one; examples/ has two shops that do.";

// The gateways that this page can handle, where the service has several.
const GATEWAYS = document.body.dataset.gateways.split(" ").filter(Boolean);
const ACCEPTED = GATEWAYS.length ? { accept_gateways: GATEWAYS } : {};

// Statuses in which a PaymentIntent cannot be confirmed.
const OVER = ["succeeded", "processing", "requires_capture", "canceled"];

// Errors that tell exactly what happened.
const CLEAR = ["card_error", "validation_error"];

let order = currentOrder();
const diary = new Diary(order.order_id);
const dark = matchMedia("(prefers-color-scheme: dark)");
let stripe, form, wallet;

const note = (...entry) => {
  diary.write(...entry);
  showDiary(diary);
};

/** Request this order's payment; every request returns the same one. */
async function askForPayment(more = {}) {
  const payment = await createPayment({ ...order, ...ACCEPTED }, { headers: authorization(), ...more, onWait: tellWait });
  const { payment_intent_id: id, replayed, sends } = payment;
  const made = payment.gateway === "paypal" ? "payment at PayPal" : "PaymentIntent";
  note(replayed ? `Order sent again: the same ${made}` : `Order sent: ${made} made`,
    { sends, id, kind: replayed ? "same" : "new" });
  return payment;
}

function tellWait({ code, seconds }) {
  if (code === "offline") {
    status("You are offline. Your order is kept, and sent as soon as you are connected.");
    return note("Offline: waiting for the connection", { kind: "wait" });
  }
  status("Still preparing your payment …");
  const why = code === "no_answer" ? "No answer" : `Not now (${code})`;
  return note(`${why}: sending the same again in ${seconds.toFixed(1)} s`, { kind: "wait" });
}

async function start() {
  stage("loading");
  status("Preparing your payment …");
  try {
    const hint = returnedFromWallet() === "canceled" ? WALLET_AGAIN : WALLET;
    const secret = returnedSecret();
    await showPayment(secret ? { client_secret: secret } : await askForPayment(), hint);
  } catch (error) {
    tellTrouble(error);
  }
}

function tellTrouble(error) {
  showTrouble(error.code === "unauthorized" ? NO_TOKEN : explain(error), !FINAL.includes(error.action));
}

async function showPayment(payment, hint = WALLET) {
  if (!payment.client_secret) return showAtWallet(payment, hint);
  await openStripe();
  return show(await lookAt(payment.client_secret));
}

// The payment is at PayPal. Only the service knows its status: it has just asked.
function showAtWallet({ payment_intent_id: id, status: now, redirect_url: link }, hint) {
  const amount = formatAmount(order.amount, order.currency);
  if (now === "succeeded") return showPaid({ id }, amount);
  if (!link) return showResult("pending", "On its way", `PayPal is working on ${amount}. We write to you when it arrives.`);
  wallet = link;
  return showWallet(hint);
}

// PayPal adds its own id of the order. The page needs neither: it sends the order again.
function returnedFromWallet() {
  const how = new URLSearchParams(location.search).get("paypal");
  if (how) {
    history.replaceState(null, "", location.pathname);
    note(how === "canceled" ? "Back from PayPal without an approval" : "Back from PayPal", { kind: "plain" });
  }
  return how;
}

async function openStripe() {
  if (stripe) return;
  const { publishable_key: key, stripe_account: stripeAccount } = await getConfig({ onWait: tellWait });
  const Stripe = await loadStripe(document.body.dataset.stripeJs);
  stripe = Stripe(key, stripeAccount ? { stripeAccount } : {});
}

// Stripe adds the secret to the return_url. It gives access to the payment: hide it from the address bar.
function returnedSecret() {
  const secret = new URLSearchParams(location.search).get("payment_intent_client_secret");
  if (secret) history.replaceState(null, "", location.pathname);
  return secret;
}

// Only Stripe knows whether the order is already paid; the service's answer may be older.
async function lookAt(secret) {
  for (let look = 1; ; look += 1) {
    try {
      return await retrieve(stripe, secret);
    } catch (error) {
      if (error.type !== "api_connection_error" || look >= LOOKS) throw error;
      await untilOnline(undefined, undefined, () => tellWait({ code: "offline" }));
    }
  }
}

/** Show the PaymentIntent's status; show the card form only if it can still be paid. */
async function show(intent) {
  const amount = formatAmount(intent.amount, intent.currency);
  switch (intent.status) {
    case "succeeded":
      return showPaid(intent, amount);
    case "processing":
      return showResult("pending", "On its way", `Your bank is working on ${amount}. We write to you when it arrives.`);
    case "requires_capture":
      return showResult("pending", "Reserved", `${amount} is reserved and taken when we send your parcel.`);
    case "canceled":
      return askAgain();
    default:
      return askForCard(intent);
  }
}

function showPaid(intent, amount) {
  noteOnce(intent, "Paid", { payment: true, kind: "paid" });
  showResult("paid", "Thank you", `${amount} paid. We prepare your parcel as soon as our shop has the payment.`);
  whenTheShopKnows(order, () => {
    noteOnce(intent, "The shop was told by webhook", { kind: "paid" });
    tellResult(`${amount} paid. Your parcel leaves tomorrow.`);
  });
}

// The shop canceled the PaymentIntent. The order can still be paid, with another one.
async function askAgain() {
  note("The PaymentIntent is canceled: asking for the order again", { kind: "wait" });
  const payment = await askForPayment();
  if (!payment.client_secret) return showPayment(payment);
  const intent = await lookAt(payment.client_secret);
  if (intent.status === "canceled") return showResult("ended", "This payment was canceled", "Nothing was charged. Reload to pay for the order.");
  await show(intent);
  return tellCardError(CANCELED);
}

function noteOnce({ id }, text, more) {
  if (!diary.entries.some((entry) => entry.text === text && entry.id === id)) note(text, { id, ...more });
}

function askForCard(intent) {
  stage("card");
  const shown = form = new CardForm(stripe, intent, appearance());
  showPrice(intent);
  tellCardError(intent.last_payment_error ? explain(intent.last_payment_error) : "");
  form.mount("#payment-element", () => tellCardError("")).then(() => status(""), (error) => {
    if (form === shown) tellTrouble(error);
  });
}

// The shop may have changed the amount since the page has the order.
function showPrice(intent) {
  if (!costsTheSame(order, intent)) order = keepPrice(order, intent);
  showOrder(order);
}

const costsTheSame = (one, other) => one.amount === other.amount && one.currency === other.currency;

// Gives the card form the page's colours.
function appearance() {
  const style = getComputedStyle(document.documentElement);
  const variables = { colorPrimary: "--accent", colorBackground: "--surface", colorText: "--text",
    colorTextSecondary: "--muted", colorDanger: "--bad" };
  const read = ([name, property]) => [name, style.getPropertyValue(property).trim()];
  return { theme: dark.matches ? "night" : "stripe", variables: Object.fromEntries(Object.entries(variables).map(read)) };
}

function tellCardError(text) {
  $("card-error").textContent = text;
}

async function pay() {
  showPaying(true, order);
  tellCardError("");
  note("Pay pressed", { kind: "press" });
  try {
    if (await isAsShown()) await confirm();
  } catch (error) {
    await tellUnsent(error);
  } finally {
    showPaying(false, order);
  }
}

// The order may have been paid, canceled or changed since the page showed it. Stripe would charge
// the new amount, so show it first.
async function isAsShown() {
  await form.ready;
  const now = await retrieve(stripe, form.intent.client_secret);
  if (OVER.includes(now.status)) {
    await show(now);
    return false;
  }
  if (costsTheSame(now, form.intent)) return true;
  await askWithNewPrice(now);
  return false;
}

async function askWithNewPrice(intent) {
  const amount = formatAmount(intent.amount, intent.currency);
  note(`The amount is now ${amount}: asking before paying`, { kind: "wait" });
  await form.update(intent).catch(() => askForCard(intent));
  showPrice(intent);
  tellCardError(newPrice(amount));
}

// Nothing was sent to Stripe for this press.
async function tellUnsent(error) {
  await untilOnline(undefined, undefined, () => tellWait({ code: "offline" })).catch(() => {});
  status("");
  tellCardError(explain(error));
}

async function confirm() {
  const secret = form.intent.client_secret;
  const error = await form.confirm(location.origin + location.pathname).catch((thrown) => thrown);
  if (error.type === "card_error") note(`Declined (${error.decline_code ?? error.code})`, { kind: "wait" });
  if (CLEAR.includes(error.type)) return tellCardError(explain(error));
  note("No clear answer from Stripe: looking at the PaymentIntent", { kind: "wait" });
  return lookAfter(error, secret);
}

// After any other error, and after an exception, the payment may have succeeded: ask Stripe.
async function lookAfter(error, secret) {
  const intent = await lookAt(secret).catch(() => null);
  status("");
  if (!intent) return tellCardError(UNCLEAR);
  if (intent.status !== "requires_payment_method") return show(intent);
  if (error.type) return tellCardError(explain(error));
  // Stripe.js threw: its form may be broken.
  askForCard(intent);
  return tellCardError(FORM_AGAIN);
}

addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
dark.addEventListener("change", () => form?.setAppearance(appearance()));
diary.onOtherTab(() => showDiary(diary));

$("card").addEventListener("submit", oneAtATime($("pay-button"), pay,
  () => note("Pay pressed again: nothing to do", { kind: "press" })));
$("wallet-button").addEventListener("click", oneAtATime($("wallet-button"), () => {
  note("Continue to PayPal", { kind: "press" });
  location.assign(wallet);
}));
$("again").addEventListener("click", oneAtATime($("again"), start));
$("another").addEventListener("submit", (event) => {
  event.preventDefault();
  newOrder($("currency").value);
  location.assign(location.pathname);
});

showOrder(order);
showDiary(diary);
offerTries(askForPayment, note);
start();
