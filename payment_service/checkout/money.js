// Formats amounts. Stripe's amounts are in the smallest unit, which depends on the currency
// (docs.stripe.com/currencies); Stripe and Unicode do not always agree about it.

const NO_DECIMALS = new Set(("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf").split(" "));
const THREE_DECIMALS = new Set("bhd jod kwd omr tnd".split(" "));

/** Returns the number of decimals of Stripe's amounts in a currency. */
export function decimalsOf(currency) {
  const code = currency.toLowerCase();
  return NO_DECIMALS.has(code) ? 0 : THREE_DECIMALS.has(code) ? 3 : 2;
}

/** `formatAmount(123456, "eur", "de")` → "1.234,56 €". Never rounds. */
export function formatAmount(amount, currency, locale = undefined) {
  const decimals = decimalsOf(currency);
  const style = { style: "currency", currency: currency.toUpperCase() };
  // Unicode omits the decimals of some currencies; show them if they are not zero.
  const whole = amount % 10 ** decimals === 0;
  const exact = whole ? {} : { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat(locale, { ...style, ...exact }).format(amount / 10 ** decimals);
}
