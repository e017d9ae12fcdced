// An example of a checkout page. A shop copies pay.js, money.js and messages.js, and follows these
// steps: request the order's PaymentIntent, check its status before asking for money, show the card
// form, confirm, and trust only Stripe's answer.
import { Diary } from "./diary.js";
import { explain } from "./messages.js";
import { formatAmount } from "./money.js";
import { authorization, currentOrder, newOrder, whenTheShopKnows } from "./order.js";
import { createPayment, getConfig, oneAtATime, untilOnline } from "./pay.js";
import { offerTries } from "./tries.js";
import { $, showDiary, showOrder, showPaying, showResult, showTrouble, stage, status } from "./view.js";

const LOOKS = 3;

// Actions after which the same order would fail again.
const FINAL = ["fix_request", "stop"];

// A shop's own page has a token; this one is for the person who runs the service.
const NO_TOKEN = "The service has a clients file, so a page needs an order token, and this demo has none. "
  + "docs/clients.md says how a shop's server signs one; examples/ has two shops that do.";

const order = currentOrder();
const diary = new Diary(order.order_id);
const dark = matchMedia("(prefers-color-scheme: dark)");
let stripe, elements;

const note = (...entry) => {
  diary.write(...entry);
  showDiary(diary);
};

/** Request this order's PaymentIntent; every request returns the same one. */
async function askForPayment(more = {}) {
  const payment = await createPayment(order, { headers: authorization(), ...more, onWait: tellWait });
  const { payment_intent_id: id, replayed, sends } = payment;
  note(replayed ? "Order sent again: the same PaymentIntent" : "Order sent: PaymentIntent made",
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
    const secret = returnedSecret() ?? (await askForPayment()).client_secret;
    stripe ??= await openStripe();
    show(await lookAt(secret));
  } catch (error) {
    showTrouble(error.code === "unauthorized" ? NO_TOKEN : explain(error), !FINAL.includes(error.action));
  }
}

async function openStripe() {
  const { publishable_key: key, stripe_account: stripeAccount } = await getConfig({ onWait: tellWait });
  return window.Stripe(key, stripeAccount ? { stripeAccount } : {});
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
    const { paymentIntent, error } = await stripe.retrievePaymentIntent(secret);
    if (paymentIntent) return paymentIntent;
    if (error.type !== "api_connection_error" || look >= LOOKS) throw error;
    await untilOnline(undefined, undefined, () => tellWait({ code: "offline" }));
  }
}

/** Show the PaymentIntent's status; show the card form only if it can still be paid. */
function show(intent) {
  const amount = formatAmount(intent.amount, intent.currency);
  switch (intent.status) {
    case "succeeded":
      noteOnce(intent, "Paid", { payment: true, kind: "paid" });
      whenTheShopKnows(order, () => noteOnce(intent, "The shop was told by webhook", { kind: "paid" }));
      return showResult("paid", "Thank you", `${amount} paid. Your parcel leaves tomorrow.`);
    case "processing":
      return showResult("pending", "On its way", `Your bank is working on ${amount}. We write to you when it arrives.`);
    case "requires_capture":
      return showResult("pending", "Reserved", `${amount} is reserved and taken when we send your parcel.`);
    case "canceled":
      return showResult("ended", "This payment was canceled", "Nothing was charged. Reload to pay for the order.");
    default:
      return askForCard(intent);
  }
}

function noteOnce({ id }, text, more) {
  if (!diary.entries.some((entry) => entry.text === text && entry.id === id)) note(text, { id, ...more });
}

function askForCard(intent) {
  stage("card");
  showPaying(false, intent);
  tellCardError(intent.last_payment_error ? explain(intent.last_payment_error) : "");
  elements = stripe.elements({ clientSecret: intent.client_secret, appearance: appearance() });
  const card = elements.create("payment");
  card.on("ready", () => status(""));
  card.on("loaderror", ({ error }) => showTrouble(explain(error)));
  card.on("change", () => tellCardError(""));
  card.mount("#payment-element");
}

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
  const { error } = await stripe.confirmPayment({
    elements,
    confirmParams: { return_url: location.origin + location.pathname },
  });
  // Stripe.js returns only with an error: otherwise the browser navigates to return_url.
  await afterError(error);
  showPaying(false, order);
}

// Card errors and validation errors are definitive. After any other error the payment may have
// succeeded, so ask Stripe.
async function afterError(error) {
  if (error.type === "card_error") note(`Declined (${error.decline_code ?? error.code})`, { kind: "wait" });
  if (["card_error", "validation_error"].includes(error.type)) return tellCardError(explain(error));
  note("No clear answer from Stripe: looking at the PaymentIntent", { kind: "wait" });
  return lookAgain(error);
}

async function lookAgain(error) {
  try {
    const { client_secret: secret } = await askForPayment();
    const intent = await lookAt(secret);
    return intent.status === "requires_payment_method" ? tellCardError(explain(error)) : show(intent);
  } catch (unreachable) {
    return tellCardError(explain(unreachable));
  }
}

addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
dark.addEventListener("change", () => elements?.update({ appearance: appearance() }));
diary.onOtherTab(() => showDiary(diary));

$("card").addEventListener("submit", oneAtATime($("pay-button"), pay,
  () => note("Pay pressed again: nothing to do", { kind: "press" })));
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
