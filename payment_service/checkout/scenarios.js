// Real-life failures, played identically to every lane. `orders` is the number of orders, and so the
// expected number of PaymentIntents.
import { pause } from "./lanes.js";

const CLICKS = 20;
const ALL_SENDS = 3;
const DAY_AND_AN_HOUR = 25 * 3600;
const CLEARED_WITHIN_SECONDS = 60;

const each = (lanes, play) => Promise.all(lanes.map(play));
const times = (count, work) => Promise.all(Array.from({ length: count }, work));

export const SCENARIOS = [
  {
    id: "double-click",
    title: "Pay is pressed 20 times",
    text: "An impatient shopper, twenty requests at once.",
    orders: 1,
    async play({ lanes, order, sandbox }) {
      await sandbox.break(lanes, { kind: "slow", seconds: 0.3, count: null });
      await each(lanes, (lane) => times(CLICKS, () => lane.post(order)));
    },
  },
  {
    id: "lost-answer",
    title: "Stripe's answers are lost",
    text: "The PaymentIntent is made, three answers in a row never arrive, the shopper presses again.",
    orders: 1,
    async play({ lanes, order, sandbox }) {
      await sandbox.break(lanes, { kind: "lost_after", count: ALL_SENDS });
      await each(lanes, (lane) => lane.press(order));
    },
  },
  {
    id: "saved-500",
    title: "Stripe says 500, and made it",
    text: "An internal error after the work was done. Stripe repeats it for that key for a day.",
    orders: 1,
    async play({ lanes, order, sandbox }) {
      await sandbox.break(lanes, { kind: "error_500_with_object" });
      await each(lanes, (lane) => lane.press(order));
    },
  },
  {
    id: "killed",
    title: "The server dies in mid-call",
    text: "Its workers are killed (kill -9) while Stripe is at it. New ones start, the shopper presses again.",
    orders: 1,
    async play({ lanes, order, sandbox, kill }) {
      const struck = await sandbox.struck("slow");
      await sandbox.break(lanes, { kind: "slow", seconds: 1 });
      // If the connection dies, the browser may retry the request without a press of the button.
      const paying = each(lanes, async (lane) => await lane.post(order) || lane.press(order));
      while (await sandbox.struck("slow") < struck + lanes.length) await pause(0.05);
      await kill();
      await paying;
    },
  },
  {
    id: "tomorrow",
    title: "The shopper comes back tomorrow",
    text: "The same order again, 25 hours later, when Stripe has forgotten every key.",
    orders: 1,
    async play({ lanes, order, sandbox }) {
      await each(lanes, (lane) => lane.press(order));
      await sandbox.ask("clock", "POST", { advance: DAY_AND_AN_HOUR });
      await each(lanes, (lane) => lane.press(order));
    },
  },
  {
    id: "two-shops",
    title: "Two shops, one order number",
    text: "Shop A and shop B both count from 1, and one server takes payments for both.",
    orders: 2,
    async play({ lanes, order }) {
      await each(lanes, (lane) => lane.press({ ...order, client_id: "shop-a" }, "shop-a"));
      await each(lanes, (lane) => lane.press({ ...order, client_id: "shop-b" }, "shop-b"));
    },
  },
  {
    id: "stripe-down",
    title: "Stripe is down",
    text: "Stripe makes what it is asked for, and no answer arrives. The third server charges the card, sees no answer and sells through PayPal instead. Then Stripe is back.",
    orders: 1,
    several: true,
    lanes: ["service", "plain", "failover"],
    words: { one: "Paid once, at PayPal", many: (made) => `Paid ${made} times: Stripe and PayPal` },
    async play({ lanes, order, sandbox }) {
      await sandbox.silence(lanes);
      await each(lanes, (lane) => lane.press({ ...order, ...lane.more }));
      // The shopper approves at PayPal, and comes back to the shop.
      await each(lanes, async (lane) => await lane.approve() && lane.comeBack({ ...order, ...lane.more }));
      await sandbox.clearFaults();
      await lanes[0].until(({ made }) => made <= 1, CLEARED_WITHIN_SECONDS);
    },
  },
];

const WORDS = { one: "One PaymentIntent", many: (made) => `${made} PaymentIntents` };

/** Returns { good, text }, the verdict on a lane's result. */
export function verdict({ orders, words = WORDS }, { made, given }) {
  if (given.includes(null)) return { good: false, text: "Stuck: cannot be paid" };
  if (made > orders) return { good: false, text: words.many(made) };
  if (new Set(given).size < orders) return { good: false, text: "B was given A's" };
  return { good: true, text: orders === 1 ? words.one : "One for each" };
}
