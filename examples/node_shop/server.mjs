// A shop in Node without packages: signs an order's token, shows a page with pay.js, and hears order events.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const PAGE = read("../checkout.html");
const PAY_JS = read("../../payment_service/checkout/pay.js"); // Copy this file into your shop.

const {
  TOKEN_SECRET, ORDER_EVENTS_SECRET, CLIENT_ID = "shop-a", PORT = 5000,
  SERVICE_URL = "http://127.0.0.1:4242", STRIPE_JS = "https://js.stripe.com/v3/",
} = process.env;
if (!TOKEN_SECRET || !ORDER_EVENTS_SECRET) throw new Error("Set TOKEN_SECRET and ORDER_EVENTS_SECRET");

// In place of the shop's database.
const orders = { "A-1": { amount: 1099, currency: "usd", paid: false } };
const seen = new Set();

// Signs the order's price, so that the browser cannot choose another.
function tokenFor(orderId) {
  const { amount, currency } = orders[orderId];
  const exp = Math.floor(Date.now() / 1000) + 900;
  const parts = [{ alg: "HS256", typ: "JWT" }, { order_id: orderId, amount, currency, client_id: CLIENT_ID, exp }];
  const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${signed}.${createHmac("sha256", TOKEN_SECRET).update(signed).digest("base64url")}`;
}

// Verifies the signature over the raw bytes; it may be five minutes old.
function isGenuine(body, header = "") {
  const parts = header.split(",").map((part) => part.split("="));
  const at = parts.find(([name]) => name === "t")?.[1];
  if (!(Math.abs(Date.now() / 1000 - Number(at)) <= 300)) return false;
  const proof = createHmac("sha256", ORDER_EVENTS_SECRET).update(`${at}.`).update(body).digest("hex");
  const isProof = (given) => given.length === proof.length && timingSafeEqual(given, Buffer.from(proof));
  return parts.some(([name, value]) => name === "v1" && isProof(Buffer.from(value ?? "")));
}

// Records an event once: the service repeats it until the shop answers 2xx.
function take({ id, type, data }) {
  if (seen.has(id)) return;
  seen.add(id);
  if (type === "order.paid") orders[data.object.order_id].paid = true;
}

function page(orderId) {
  const values = { token: tokenFor(orderId), order_id: orderId, service: SERVICE_URL, client_id: CLIENT_ID };
  return PAGE.replace(/{{(\w+)}}/g, (_, name) => ({ ...values, stripe_js: STRIPE_JS })[name]);
}

createServer(async (request, response) => {
  const answer = (status, text = "", type = "text/html") =>
    response.writeHead(status, { "Content-Type": `${type}; charset=utf-8` }).end(text);
  const [, what, orderId] = request.url.split("?")[0].split("/");
  const known = Object.hasOwn(orders, orderId ?? "");
  if (request.method === "POST" && what === "order-events") {
    const body = Buffer.concat(await request.toArray());
    if (!isGenuine(body, request.headers["order-signature"])) return answer(400);
    take(JSON.parse(body));
    return answer(204);
  }
  if (what === "pay.js") return answer(200, PAY_JS, "text/javascript");
  if (what === "checkout" && known) return answer(200, page(orderId));
  if (what === "orders" && known) return answer(200, JSON.stringify(orders[orderId]), "application/json");
  return answer(404);
}).listen(PORT, "127.0.0.1");
