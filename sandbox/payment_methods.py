"""Test payment methods, and the outcome of a confirmation with each of them.

Source: docs.stripe.com/testing (cards), docs.stripe.com/payments/ach-direct-debit and
docs.stripe.com/payments/acss-debit (bank debits).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from sandbox.answers import refusal


class Outcome(Enum):
    """The outcome of a confirmation."""

    SUCCEEDS = "succeeds"
    DECLINED = "declined"
    NEEDS_ACTION = "needs_action"
    SETTLES_LATER = "settles_later"
    FAILS_LATER = "fails_later"


@dataclass(frozen=True, slots=True)
class Decline:
    """The reason for a decline, as `code` and `decline_code` of a card_error."""

    code: str
    message: str
    decline_code: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """A test payment method and its outcome."""

    type: str
    outcome: Outcome
    decline: Decline | None = None
    last4: str = "4242"


_DECLINED = "Your card was declined."

GENERIC_DECLINE = Decline("card_declined", _DECLINED, "generic_decline")
INSUFFICIENT_FUNDS = Decline(
    "card_declined", "Your card has insufficient funds.", "insufficient_funds"
)
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)
AUTHENTICATION_FAILURE = Decline(
    "payment_intent_authentication_failure",
    "We are unable to authenticate your payment method. Please choose a different payment "
    "method and try again.",
)
BANK_FAILURE = Decline(
    "payment_method_customer_decline", "The customer's bank returned the debit.", None
)


def _card(outcome: Outcome, last4: str, decline: Decline | None = None) -> PaymentMethod:
    return PaymentMethod("card", outcome, decline, last4)


def _declined(last4: str, decline: Decline) -> PaymentMethod:
    return _card(Outcome.DECLINED, last4, decline)


_SUCCEEDS, _ACTION = Outcome.SUCCEEDS, Outcome.NEEDS_ACTION
_EXPIRED = Decline("expired_card", "Your card has expired.")
_WRONG_CVC = Decline("incorrect_cvc", "Your card's security code is incorrect.")
_PROCESSING = Decline(
    "processing_error", "An error occurred while processing your card. Try again in a little bit."
)

CARD_NUMBERS = {
    "4242424242424242": _card(_SUCCEEDS, "4242"),
    "4000056655665556": _card(_SUCCEEDS, "5556"),
    "5555555555554444": _card(_SUCCEEDS, "4444"),
    "378282246310005": _card(_SUCCEEDS, "0005"),
    "4000000000000002": _declined("0002", GENERIC_DECLINE),
    "4000000000009995": _declined("9995", INSUFFICIENT_FUNDS),
    "4000000000009987": _declined("9987", Decline("card_declined", _DECLINED, "lost_card")),
    "4000000000009979": _declined("9979", Decline("card_declined", _DECLINED, "stolen_card")),
    "4000000000000069": _declined("0069", _EXPIRED),
    "4000000000000127": _declined("0127", _WRONG_CVC),
    "4000000000000119": _declined("0119", _PROCESSING),
    "4000002500003155": _card(_ACTION, "3155"),
    "4000002760003184": _card(_ACTION, "3184"),
    "4000000000003220": _card(_ACTION, "3220"),
}

TEST_METHODS = {
    "pm_card_visa": CARD_NUMBERS["4242424242424242"],
    "pm_card_visa_debit": CARD_NUMBERS["4000056655665556"],
    "pm_card_mastercard": CARD_NUMBERS["5555555555554444"],
    "pm_card_amex": CARD_NUMBERS["378282246310005"],
    "pm_card_chargeDeclined": CARD_NUMBERS["4000000000000002"],
    "pm_card_visa_chargeDeclined": CARD_NUMBERS["4000000000000002"],
    "pm_card_chargeDeclinedInsufficientFunds": CARD_NUMBERS["4000000000009995"],
    "pm_card_visa_chargeDeclinedInsufficientFunds": CARD_NUMBERS["4000000000009995"],
    "pm_card_chargeDeclinedLostCard": CARD_NUMBERS["4000000000009987"],
    "pm_card_visa_chargeDeclinedLostCard": CARD_NUMBERS["4000000000009987"],
    "pm_card_chargeDeclinedStolenCard": CARD_NUMBERS["4000000000009979"],
    "pm_card_visa_chargeDeclinedStolenCard": CARD_NUMBERS["4000000000009979"],
    "pm_card_chargeDeclinedExpiredCard": CARD_NUMBERS["4000000000000069"],
    "pm_card_chargeDeclinedIncorrectCvc": CARD_NUMBERS["4000000000000127"],
    "pm_card_chargeDeclinedProcessingError": CARD_NUMBERS["4000000000000119"],
    "pm_card_authenticationRequired": CARD_NUMBERS["4000002760003184"],
    "pm_card_authenticationRequiredOnSetup": CARD_NUMBERS["4000002500003155"],
    "pm_card_threeDSecure2Required": CARD_NUMBERS["4000000000003220"],
    "pm_card_threeDSecureRequired": CARD_NUMBERS["4000000000003220"],
    "pm_usBankAccount": PaymentMethod("us_bank_account", Outcome.SETTLES_LATER, last4="6789"),
    "pm_usBankAccount_success": PaymentMethod(
        "us_bank_account", Outcome.SETTLES_LATER, last4="6789"
    ),
    "pm_usBankAccount_insufficientFunds": PaymentMethod(
        "us_bank_account", Outcome.FAILS_LATER, BANK_FAILURE, "2222"
    ),
    "pm_acssDebit": PaymentMethod("acss_debit", Outcome.SETTLES_LATER, last4="6789"),
    "pm_acssDebit_success": PaymentMethod("acss_debit", Outcome.SETTLES_LATER, last4="6789"),
    "pm_acssDebit_insufficientFunds": PaymentMethod(
        "acss_debit", Outcome.FAILS_LATER, BANK_FAILURE, "2222"
    ),
    "pm_card_interac_present": PaymentMethod("interac_present", _SUCCEEDS, last4="0006"),
    "pm_card_present": PaymentMethod("card_present", _SUCCEEDS, last4="9969"),
}

# Numbers of bank accounts whose debits fail (docs.stripe.com/testing).
_FAILING_ACCOUNTS = frozenset({"000222222227", "000111111116", "000000004954"})


def from_data(data: dict[str, Any]) -> PaymentMethod:
    """Return the payment method for `payment_method_data`, by its test number."""
    kind = data.get("type")
    details = data.get(str(kind)) or {}
    if kind == "card":
        return _by_number(details)
    if kind in ("us_bank_account", "acss_debit"):
        return _bank_debit(kind, str(details.get("account_number", "")))
    raise refusal(f"The sandbox cannot pay by {kind}.", param="payment_method_data[type]")


def _by_number(card: dict[str, Any]) -> PaymentMethod:
    number = str(card.get("number", "")).replace(" ", "")
    if number not in CARD_NUMBERS:
        raise refusal(
            "Your card number is incorrect.",
            status=402,
            kind="card_error",
            code="incorrect_number",
            param="number",
        )
    return CARD_NUMBERS[number]


def _bank_debit(kind: str, account_number: str) -> PaymentMethod:
    fails = account_number in _FAILING_ACCOUNTS
    outcome = Outcome.FAILS_LATER if fails else Outcome.SETTLES_LATER
    return PaymentMethod(kind, outcome, BANK_FAILURE if fails else None, account_number[-4:])
