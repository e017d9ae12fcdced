// Messages for the shopper: first what happened to their money, then what they can do.

const SAFE = "This did not charge you.";

/** After a confirmation whose result cannot be seen. The next press looks before it pays. */
export const UNCLEAR = "We cannot see yet whether your payment went through. Press Pay to look again: you cannot be charged twice.";

/** After Stripe.js failed and the card form was made again. */
export const FORM_AGAIN = `The card form had to be loaded again. ${SAFE} Please enter your card once more.`;

/** After the shop canceled the PaymentIntent and the page got another one. */
export const CANCELED = `Your first payment was canceled. ${SAFE} You can pay for the order with the card form above.`;

/** Stripe does not answer, and the order is at PayPal. */
export const WALLET = "Cards cannot be charged at the moment. You can pay with PayPal instead.";

/** The shopper came back from PayPal without an approval. */
export const WALLET_AGAIN = `You came back without approving the payment. ${SAFE} You can try again.`;

/** The shop changed the order behind the page. */
export const newPrice = (amount) => `The price of your order has changed: it is now ${amount}. ${SAFE} Press Pay to pay the new price.`;

// The service's own codes (see README, Errors), and pay.js's.
const SERVICE = {
  offline: `You are offline. ${SAFE} Your order is kept: try again when you are connected.`,
  no_answer: `We could not reach the shop. ${SAFE} Trying again cannot charge you twice.`,
  unreadable: `The shop did not answer properly. ${SAFE} Trying again cannot charge you twice.`,
  in_flight: `Your order is still being prepared. ${SAFE} Please try again in a moment.`,
  order_reused: `This order has changed since it was first sent. ${SAFE} Please go back to your cart and start again.`,
  stripe_rate_limited: `Many people are paying right now. ${SAFE} Please try again in a moment.`,
  stripe_unreachable: `Our payment partner cannot be reached. ${SAFE} Please try again in a moment.`,
  stripe_error: `Our payment partner has a problem. ${SAFE} Trying again cannot charge you twice.`,
  gateway_not_accepted: `Your order is waiting for you at PayPal. ${SAFE} Please contact the shop.`,
  already_paid: `This order seems to be paid already. ${SAFE} Please contact the shop.`,
  paypal_rate_limited: `Many people are paying right now. ${SAFE} Please try again in a moment.`,
  paypal_unreachable: `PayPal cannot be reached. ${SAFE} Trying again cannot charge you twice.`,
  paypal_error: `PayPal has a problem. ${SAFE} Trying again cannot charge you twice.`,
  store_unavailable: `We cannot take orders for the moment. ${SAFE} Please try again in a moment.`,
  overloaded: `Many people are paying right now. ${SAFE} Please try again in a moment.`,
  form_unavailable: `The card form could not be loaded. ${SAFE} Please try again. A content blocker may have stopped it.`,
};

// Stripe's decline codes (docs.stripe.com/declines/codes) that a shopper can act on: what happened,
// and what to do. A stolen or lost card gets the general message, because the shopper may be the
// thief.
const DECLINES = {
  insufficient_funds: ["There is not enough money on this card.", "Please use another one."],
  expired_card: ["This card has expired.", "Please use another one."],
  incorrect_cvc: ["The security code is not right.", "Please look at the card and try again."],
  incorrect_number: ["The card number is not right.", "Please look at the card and try again."],
  processing_error: ["Your bank could not answer.", "Please try again in a moment."],
  authentication_required: ["Your bank wants to check that it is you.", "Please try again and confirm with your bank."],
  payment_intent_authentication_failure: ["Your bank did not confirm the payment.", "Please try again or use another card."],
};
const DECLINED = ["Your bank declined this card.", "Please use another one."];

/** Returns a few sentences for the shopper about an error of pay.js or Stripe.js. */
export function explain(error) {
  if (error.name === "PaymentError") return SERVICE[error.code] ?? fromService(error);
  if (error.type === "validation_error") return "Please complete the marked fields.";
  if (error.type === "card_error") {
    const [happened, advice] = DECLINES[error.decline_code] ?? DECLINES[error.code] ?? DECLINED;
    return `${happened} ${SAFE} ${advice}`;
  }
  if (error.type === "api_connection_error") return SERVICE.no_answer;
  return `Something went wrong. ${SAFE} Please try again, or contact the shop.`;
}

function fromService(error) {
  if (error.action === "retry_same") return `The payment could not be prepared. ${SAFE} Please try again.`;
  const reference = error.requestId ? ` (reference ${error.requestId})` : "";
  return `This order cannot be paid here. ${SAFE} Please contact the shop${reference}.`;
}
