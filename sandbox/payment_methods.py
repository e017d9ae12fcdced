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


class RefundOutcome(Enum):
    """The status of a refund at first, and later."""

    SUCCEEDS = ("succeeded", "succeeded")
    SUCCEEDS_LATER = ("pending", "succeeded")
    FAILS_LATER = ("succeeded", "failed")


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """A test payment method, its outcome, and what follows a payment.

    `dispute`: the reason of the dispute that follows a payment. `inquiry`: that dispute is an
    inquiry, which moves no money.
    """

    type: str
    outcome: Outcome
    decline: Decline | None = None
    last4: str = "4242"
    refund: RefundOutcome = RefundOutcome.SUCCEEDS
    dispute: str | None = None
    inquiry: bool = False


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


def _bank(kind: str, outcome: Outcome, last4: str, decline: Decline | None = None) -> PaymentMethod:
    """A bank debit; its refund is a transfer that takes days."""
    return PaymentMethod(kind, outcome, decline, last4, RefundOutcome.SUCCEEDS_LATER)


def _declined(last4: str, decline: Decline) -> PaymentMethod:
    return _card(Outcome.DECLINED, last4, decline)


_SUCCEEDS, _ACTION, _LATER = Outcome.SUCCEEDS, Outcome.NEEDS_ACTION, Outcome.SETTLES_LATER
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
    "4000000000007726": PaymentMethod(
        "card", _SUCCEEDS, last4="7726", refund=RefundOutcome.SUCCEEDS_LATER
    ),
    "4000000000005126": PaymentMethod(
        "card", _SUCCEEDS, last4="5126", refund=RefundOutcome.FAILS_LATER
    ),
    "4000000000000259": PaymentMethod("card", _SUCCEEDS, last4="0259", dispute="fraudulent"),
    "4000000000002685": PaymentMethod(
        "card", _SUCCEEDS, last4="2685", dispute="product_not_received"
    ),
    "4000000000001976": PaymentMethod(
        "card", _SUCCEEDS, last4="1976", dispute="fraudulent", inquiry=True
    ),
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
    "pm_card_pendingRefund": CARD_NUMBERS["4000000000007726"],
    "pm_card_refundFail": CARD_NUMBERS["4000000000005126"],
    "pm_card_createDispute": CARD_NUMBERS["4000000000000259"],
    "pm_card_createDisputeProductNotReceived": CARD_NUMBERS["4000000000002685"],
    "pm_card_createDisputeInquiry": CARD_NUMBERS["4000000000001976"],
    "pm_usBankAccount": _bank("us_bank_account", _LATER, "6789"),
    "pm_usBankAccount_success": _bank("us_bank_account", _LATER, "6789"),
    "pm_usBankAccount_insufficientFunds": _bank(
        "us_bank_account", Outcome.FAILS_LATER, "2222", BANK_FAILURE
    ),
    "pm_acssDebit": _bank("acss_debit", _LATER, "6789"),
    "pm_acssDebit_success": _bank("acss_debit", _LATER, "6789"),
    "pm_acssDebit_insufficientFunds": _bank(
        "acss_debit", Outcome.FAILS_LATER, "2222", BANK_FAILURE
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
    outcome = Outcome.FAILS_LATER if fails else _LATER
    return _bank(kind, outcome, account_number[-4:], BANK_FAILURE if fails else None)
