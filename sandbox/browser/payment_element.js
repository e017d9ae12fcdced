// The card form inside its frame: fields, error messages and confirmation.
import { fieldErrors, digitsOf, groupDigits, formatExpiry } from "/v3/card.js";

const UNREACHABLE = {
  type: "api_connection_error",
  message: "We are experiencing issues connecting to our payments provider. "
    + "You have not been charged. Please check your internet connection and try again.",
};
const CANNOT_BE_PAID = ["succeeded", "processing", "requires_capture", "canceled"];

const form = document.querySelector("form");
const fields = ["number", "expiry", "cvc"].map((name) => form.elements[name]);
let port, headers;

const values = () => Object.fromEntries(fields.map(({ name, value }) => [name, value]));
const complete = () => Object.values(fieldErrors(values())).every((found) => !found);

function show(field, error) {
  field.setAttribute("aria-invalid", String(Boolean(error)));
  document.getElementById(`${field.name}-error`).textContent = error?.[1] ?? "";
}

// Shows the error of every field, focuses the first one, and returns it in Stripe's format.
function check() {
  const found = fieldErrors(values());
  for (const field of fields) show(field, found[field.name]);
  const first = fields.find(({ name }) => found[name]);
  if (!first) return {};
  first.focus();
  const [code, message] = found[first.name];
  return { error: { type: "validation_error", code, message } };
}

async function confirm({ clientSecret, returnUrl }) {
  const wrong = check();
  if (wrong.error) return wrong;
  const body = new URLSearchParams({ client_secret: clientSecret, return_url: returnUrl ?? "", ...card() });
  if (!returnUrl) body.delete("return_url");
  return ask(`/v1/payment_intents/${clientSecret.split("_secret_")[0]}/confirm`, { method: "POST", body });
}

function card() {
  const expiry = digitsOf(values().expiry);
  return {
    "payment_method_data[type]": "card",
    "payment_method_data[card][number]": digitsOf(values().number),
    "payment_method_data[card][exp_month]": expiry.slice(0, 2),
    "payment_method_data[card][exp_year]": `20${expiry.slice(2)}`,
    "payment_method_data[card][cvc]": values().cvc,
  };
}

async function ask(path, options = {}) {
  try {
    const answer = await fetch(path, { ...options, headers });
    const found = await answer.json();
    return answer.ok ? { paymentIntent: found } : { error: found.error };
  } catch {
    return { error: UNREACHABLE };
  }
}

async function begin({ clientSecret, appearance, headers: given }) {
  headers = given;
  applyAppearance(appearance);
  const query = new URLSearchParams({ client_secret: clientSecret });
  const { error, paymentIntent } = await ask(`/v1/payment_intents/${clientSecret.split("_secret_")[0]}?${query}`);
  if (error) return post("loaderror", { error });
  if (CANNOT_BE_PAID.includes(paymentIntent.status)) return post("loaderror", { error: terminal(paymentIntent) });
  new ResizeObserver(() => post("height", { height: document.documentElement.offsetHeight })).observe(document.body);
  post("ready");
  if (fields.some(({ value }) => value)) postChange();
}

const terminal = ({ status }) => ({
  type: "invalid_request_error",
  code: "payment_intent_unexpected_state",
  message: `This PaymentIntent is in a terminal state (${status}) and cannot be used to initialize Elements.`,
});

// Stripe's appearance option: a theme and some of its variables.
function applyAppearance({ theme, variables = {} } = {}) {
  const root = document.documentElement;
  root.dataset.theme = theme === "night" ? "night" : "stripe";
  const known = { colorPrimary: "--accent", colorText: "--text", colorTextSecondary: "--muted",
    colorBackground: "--field", colorDanger: "--danger", borderRadius: "--radius" };
  for (const [name, property] of Object.entries(known)) {
    root.style.removeProperty(property);
    if (variables[name]) root.style.setProperty(property, variables[name]);
  }
}

// The shopper may type before the page sends its options; `begin` reports the state then.
function post(type, more = {}) {
  port?.postMessage({ type, ...more });
}

function postChange() {
  post("change", { complete: complete(), empty: !digitsOf(values().number), value: { type: "card" } });
}

const commands = {
  confirm,
  submit: async () => check(),
  focus: () => fields[0].focus(),
  appearance: ({ appearance }) => applyAppearance(appearance),
};

async function handleMessage({ data }) {
  const answer = await commands[data.type]?.(data);
  if (data.id) post("answer", { id: data.id, ...answer });
}

addEventListener("message", ({ data, ports }) => {
  if (data?.type !== "begin" || port) return;
  port = ports[0];
  port.onmessage = handleMessage;
  begin(data);
});

form.addEventListener("input", ({ target, inputType }) => {
  if (target.name === "number") target.value = groupDigits(target.value);
  if (target.name === "expiry") target.value = formatExpiry(target.value, inputType?.startsWith("delete"));
  if (target.name === "cvc") target.value = digitsOf(target.value).slice(0, 4);
  show(target, null);
  postChange();
});

form.addEventListener("submit", (event) => event.preventDefault());

form.addEventListener("click", ({ target }) => {
  if (!target.dataset.number) return;
  const filled = { number: target.dataset.number, expiry: `12 / ${new Date().getFullYear() % 100 + 3}`, cvc: "123" };
  for (const field of fields) {
    field.value = filled[field.name];
    show(field, null);
  }
  postChange();
});
