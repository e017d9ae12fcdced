"""The payment method types, and the currencies that each of them supports.

Source: docs.stripe.com/payments/payment-methods/payment-method-support.
"""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = """
acss_debit affirm afterpay_clearpay alipay alma amazon_pay au_becs_debit bacs_debit bancontact
billie bizum blik boleto card card_present cashapp crypto customer_balance eps fpx giropay
grabpay ideal interac_present kakao_pay klarna konbini kr_card link mb_way mobilepay multibanco
naver_pay nz_bank_account oxxo p24 pay_by_bank payco paynow paypal paypay payto pix promptpay
revolut_pay samsung_pay satispay scalapay sepa_debit sequra sofort sunbit swish twint upi
us_bank_account wechat_pay zip
"""
TYPES = frozenset(_NAMES.split())

# Only types with a limited list; the others support every currency.
ONLY_CURRENCIES = {
    "acss_debit": ("cad", "usd"),
    "affirm": ("cad", "usd"),
    "au_becs_debit": ("aud",),
    "bacs_debit": ("gbp",),
    "bancontact": ("eur",),
    "blik": ("pln",),
    "boleto": ("brl",),
    "cashapp": ("usd",),
    "eps": ("eur",),
    "fpx": ("myr",),
    "giropay": ("eur",),
    "ideal": ("eur",),
    "interac_present": ("cad",),
    "konbini": ("jpy",),
    "multibanco": ("eur",),
    "nz_bank_account": ("nzd",),
    "oxxo": ("mxn",),
    "p24": ("eur", "pln"),
    "paynow": ("sgd",),
    "payto": ("aud",),
    "pix": ("brl",),
    "promptpay": ("thb",),
    "sepa_debit": ("eur",),
    "swish": ("sek",),
    "twint": ("chf",),
    "upi": ("inr",),
    "us_bank_account": ("usd",),
}

# The types that are enabled in the Dashboard settings of every sandbox account.
ENABLED_TYPES = ("card", "link", "us_bank_account")


def takes(kind: str, currency: str) -> bool:
    """Whether a type supports a currency."""
    return currency in ONLY_CURRENCIES.get(kind, (currency,))


def compatible(kinds: Iterable[str], currency: str) -> list[str]:
    """Return the types that support the currency, in the given order."""
    return [kind for kind in kinds if takes(kind, currency)]
