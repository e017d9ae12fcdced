"""Stripe's currencies: codes, decimals, minimum and maximum charge.

Source: docs.stripe.com/currencies.
"""

from __future__ import annotations

from collections.abc import Collection

from sandbox.answers import refusal

_CODES = """
usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn
bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf
gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp
lkr lrd lsl mad mdl mga mkd mmk mnt mop mro mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr
pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb
tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
"""
_NO_DECIMALS = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
_SYMBOLS = {"usd": "$", "cad": "$", "aud": "$", "nzd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}

CURRENCIES = frozenset(_CODES.split())
ZERO_DECIMAL = frozenset(_NO_DECIMALS.split())
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

# Whole units only, although amounts have two decimals.
WHOLE_UNITS = frozenset({"isk", "ugx"})

# The most digits of an amount: for cards, in some currencies, and for everything else.
CARD_DIGITS, CURRENCY_DIGITS, OTHER_DIGITS = 12, {"idr": 12, "cop": 10, "inr": 9}, 8

MINIMUM = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500,
    "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000,
    "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip


def checked_currency(currency: str) -> str:
    """Return the currency in lower case; reject one that Stripe does not support."""
    lower = currency.lower()
    if lower not in CURRENCIES:
        allowed = ", ".join(sorted(CURRENCIES))
        message = (
            f"Invalid currency: {lower}. Stripe currently supports these currencies: {allowed}"
        )
        raise refusal(message, param="currency")
    return lower


def check_amount(
    amount: int, currency: str, types: Collection[str] = (), param: str = "amount"
) -> None:
    """Reject an amount that no account may charge; check_minimum checks the minimum.

    `types` are the payment method types on offer; none means those of the Dashboard settings.
    """
    if amount < 1:
        message = "This value must be greater than or equal to 1."
        raise refusal(message, code="parameter_invalid_integer", param=param)
    largest = _largest(currency, types)
    if amount > largest:
        message = f"Amount must be no more than {format_amount(largest, currency)}"
        raise refusal(message, code="amount_too_large", param=param)
    step = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_UNITS else 1
    if amount % step:
        message = f"Invalid amount: {currency} amounts must be a multiple of {step}."
        raise refusal(message, code="parameter_invalid_integer", param=param)


def _largest(currency: str, types: Collection[str]) -> int:
    takes_cards = not types or "card" in types
    digits = CARD_DIGITS if takes_cards else CURRENCY_DIGITS.get(currency, OTHER_DIGITS)
    return int(10**digits) - 1


def check_minimum(amount: int, currency: str) -> None:
    """Reject less than the minimum charge. It depends on the account, so execution checks it."""
    if amount < MINIMUM.get(currency, 1):
        message = f"Amount must be at least {format_amount(MINIMUM[currency], currency)}"
        raise refusal(message, code="amount_too_small", param="amount")


def format_amount(amount: int, currency: str) -> str:
    """Format an amount as in Stripe's messages: `$10.99 usd`."""
    digits = _digits(currency)
    sign = "$" if currency == "usd" else ""
    return f"{sign}{amount / 10**digits:,.{digits}f} {currency}"


def format_with_symbol(amount: int, currency: str) -> str:
    """Format an amount as in Stripe's messages about refunds: `$10.99`."""
    digits = _digits(currency)
    symbol = _SYMBOLS.get(currency, currency.upper())
    return f"{symbol}{amount / 10**digits:,.{digits}f}"


def _digits(currency: str) -> int:
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
