// The checks of a card form before it sends anything, with Stripe's messages.

export const digitsOf = (text) => text.replace(/\D/g, "");

const AMEX = /^(3[47]\d{0,2})(\d{0,6})(\d{0,5})/;
const OTHERS = /^(\d{0,4})(\d{0,4})(\d{0,4})(\d{0,4})(\d{0,3})/;

export function groupDigits(number) {
  const digits = digitsOf(number);
  return (digits.match(AMEX) ?? digits.match(OTHERS)).slice(1).filter(Boolean).join(" ");
}

export function formatExpiry(text, deleting = false) {
  let digits = digitsOf(text).slice(0, 4);
  if (/^[2-9]/.test(digits)) digits = `0${digits}`.slice(0, 4);
  if (digits.length < 2 || (digits.length === 2 && deleting)) return digits;
  return `${digits.slice(0, 2)} / ${digits.slice(2)}`;
}

// The error of each field, or undefined: { number, expiry, cvc }.
export function fieldErrors({ number, expiry, cvc }, now = new Date()) {
  return { number: aboutNumber(digitsOf(number)), expiry: aboutExpiry(digitsOf(expiry), now), cvc: aboutCvc(digitsOf(cvc)) };
}

function aboutNumber(digits) {
  if (digits.length < 13) return ["incomplete_number", "Your card number is incomplete."];
  if (!passesLuhn(digits)) return ["invalid_number", "Your card number is invalid."];
  return null;
}

function passesLuhn(digits) {
  const sum = [...digits].reverse().reduce((total, digit, place) => {
    const doubled = Number(digit) * (place % 2 ? 2 : 1);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return sum % 10 === 0;
}

function aboutExpiry(digits, now) {
  const [month, year] = [Number(digits.slice(0, 2)), 2000 + Number(digits.slice(2))];
  if (digits.length < 4) return ["incomplete_expiry", "Your card's expiration date is incomplete."];
  if (month < 1 || month > 12) return ["invalid_expiry_month", "Your card's expiration date is invalid."];
  if (new Date(year, month) <= now) return ["invalid_expiry_year_past", "Your card's expiration year is in the past."];
  return null;
}

function aboutCvc(digits) {
  return digits.length < 3 ? ["incomplete_cvc", "Your card's security code is incomplete."] : null;
}
