"""Stripe's currencies, and the amounts that Stripe accepts in them.

Source: docs.stripe.com/currencies, "Supported presentment currencies" and "Special cases".
The minimum charge is not here: it depends on the account's own currency, so Stripe checks it.
"""

from __future__ import annotations

_CODES = """
aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd
cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq
gyd hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr
lrd lsl mad mdl mga mkd mmk mnt mop mro mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab
pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs
tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
"""
_NO_DECIMALS = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"

CURRENCIES = frozenset(_CODES.split())

# The amount is the number of whole units: 500 is 500 yen.
ZERO_DECIMAL = frozenset(_NO_DECIMALS.split())

# The amount has three decimals, of which the card networks settle two.
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

# These no longer have decimals, but the API still expects two, as before.
WHOLE_UNITS = frozenset({"isk", "ugx"})

MIN_AMOUNT, MAX_AMOUNT = 1, 99_999_999


def currency_code(text: str) -> str:
    """Return the code in lower case; raises ValueError for one that Stripe does not support.

    Only ASCII is accepted, because lower() turns the Kelvin sign into a plain k.
    """
    code = text.lower()
    if not text.isascii() or code not in CURRENCIES:
        raise ValueError("must be the three ISO 4217 letters of a currency that Stripe takes")
    return code


def check_amount(amount: int, currency: str) -> None:
    """Raise ValueError for an amount that the currency cannot have."""
    if currency in WHOLE_UNITS and amount % 100:
        raise ValueError(
            f"amount: {currency} is sent with two decimals that must be 00, so 5 {currency} is 500"
        )
    if currency in THREE_DECIMAL and amount % 10:
        raise ValueError(
            f"amount: {currency} has three decimals and the last digit must be 0, "
            f"so 5.12 {currency} is 5120"
        )
